"""Limit the wait for anything about an endpoint to a share of the time until the run's deadline."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

SHARE = 0.1
"""Share of the time left that asking a server what it can do may take."""

deadline_at: ContextVar[float] = ContextVar("weaver_deadline", default=float("inf"))
"""Event-loop time by which the run of the current task must have answered; infinity without a deadline."""


def patience(longest: float) -> float:
    """Seconds to wait at most for a side question to a server, never more than ``longest``."""
    seconds_left = deadline_at.get() - asyncio.get_running_loop().time()
    return min(longest, max(0.0, SHARE * seconds_left))
