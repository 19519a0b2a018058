"""Started as its own process: limits itself, and becomes the command. Imports nothing of weaver."""

import contextlib
import json
import os
import sys


def main() -> None:
    """Apply the limits of the first argument (JSON), and run the rest."""
    limits = json.loads(sys.argv[1])
    with contextlib.suppress(ImportError):  # Windows has no such limits
        import resource

        for name, value in limits.items():
            with contextlib.suppress(ValueError, OSError, AttributeError):
                resource.setrlimit(getattr(resource, name), (value, value))
    if sys.platform == "linux":
        import ctypes

        with contextlib.suppress(OSError, AttributeError):  # no network, where the kernel lets us
            ctypes.CDLL(None).unshare(0x10000000 | 0x40000000)
    os.execvp(sys.argv[2], sys.argv[2:])


main()
