"""The algebra process: reads pairs of formulas as JSON, writes ``same``, ``different`` or ``unknown`` a line.

Run as ``python -m weaver._coordination.answers.math_worker`` by `weaver._coordination.answers.math` only.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys

_MEMORY = 2 << 30
_SECONDS_EACH = 2


def main() -> None:
    """Answer one question and end."""
    with contextlib.suppress(ImportError, ValueError, OSError):  # not on Windows; or a stricter limit is set
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    logging.disable(logging.CRITICAL)
    for pair in json.load(sys.stdin):
        sys.stdout.write(f"{_verdict(*pair) if pair else 'unknown'}\n")
        sys.stdout.flush()


def _verdict(one: str, other: str) -> str:
    from math_verify import parse, verify

    try:
        a, b = (parse(f"${text}$", parsing_timeout=_SECONDS_EACH) for text in (one, other))
        if not a or not b:
            return "unknown"
        # Comparing is not symmetric there (an equation against its value): either way will do.
        same = verify(a, b, timeout_seconds=_SECONDS_EACH) or verify(b, a, timeout_seconds=_SECONDS_EACH)
    except Exception:  # noqa: BLE001 - whatever a formula does to the algebra system, the answer is "unknown"
        return "unknown"
    return "same" if same else "different"


if __name__ == "__main__":
    main()
