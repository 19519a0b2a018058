"""What the local trace store keeps, and whether it keeps anything."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from weaver.errors import ConfigurationError

STORE_ENV = "WEAVER_TRACE_STORE"
DAYS_ENV = "WEAVER_TRACE_DAYS"
RUNS_ENV = "WEAVER_TRACE_RUNS"
MEGABYTES_ENV = "WEAVER_TRACE_MB"


@dataclass(frozen=True, slots=True)
class Retention:
    """What the store keeps; older runs go first. None means no such limit.

    Args:
        days: age; 30 by default.
        runs: number; 1,000 by default.
        megabytes: size of the file; 512 by default.
    """

    days: float | None = 30
    runs: int | None = 1000
    megabytes: float | None = 512

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Retention:
        """Read ``WEAVER_TRACE_DAYS``, ``WEAVER_TRACE_RUNS`` and ``WEAVER_TRACE_MB``; 0 means no limit.

        Raises:
            ConfigurationError: one of them is not a number, or negative.
        """
        environ = os.environ if environ is None else environ
        base = cls()
        runs = _limit(environ, RUNS_ENV, base.runs)
        return cls(
            days=_limit(environ, DAYS_ENV, base.days),
            runs=None if runs is None else int(runs),
            megabytes=_limit(environ, MEGABYTES_ENV, base.megabytes),
        )


def store_wanted(environ: Mapping[str, str] | None = None) -> bool:
    """Say whether runs are kept: yes, unless ``WEAVER_TRACE_STORE`` says off (or 0, no, false)."""
    value = (os.environ if environ is None else environ).get(STORE_ENV, "")
    return value.strip().lower() not in ("off", "0", "no", "false")


def _limit(environ: Mapping[str, str], name: str, default: float | None) -> float | None:
    text = environ.get(name, "").strip()
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise ConfigurationError(
            f"{name} must be a number that is not negative; it is {text!r}.", hint="0 means no limit."
        )
    return value or None
