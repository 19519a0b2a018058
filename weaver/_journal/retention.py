"""How long runs are kept that have ended."""

from __future__ import annotations

from dataclasses import dataclass

DAY = 86_400.0
MOST_AT_ONCE = 200
"""Runs that are forgotten at once; the rest is left for the next time."""
RESUMABLE = ("partial", "failed", "cancelled", "interrupted", "running")
"""Status of runs that can be resumed, unless a process still works on them."""


@dataclass(frozen=True, slots=True)
class Retention:
    """What a journal keeps. The oldest runs are forgotten first. None means no such limit.

    A run that has not begun, or that a process works on, is always kept.

    Args:
        days: age of complete runs, since they ended.
        runs: number of complete runs.
        megabytes: size of a journal that is a file; complete runs are forgotten until it is kept.
        unfinished_days: age of runs that could be resumed, since they were last worked on.
    """

    days: float | None = None
    runs: int | None = None
    megabytes: float | None = None
    unfinished_days: float | None = None
