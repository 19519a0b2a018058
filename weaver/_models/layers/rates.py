"""Limits by the minute: what the user sets, what a server announces, and what its refusals show."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Literal

_WINDOW = 60.0
_RISE = 1.05

Unit = Literal["requests", "tokens"]


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a server's headers say about a limit by time.

    Attributes:
        unit: what is counted.
        remaining: units that may still be spent.
        limit: units that may be spent when nothing was spent before; None: unknown.
        reset: seconds until ``limit`` units may be spent again.
    """

    unit: Unit
    remaining: float
    limit: float | None
    reset: float


class Window:
    """At most ``maximum`` units within any 60 seconds.

    Args:
        maximum: None: learned from the refusals of the server; infinity until then.
    """

    def __init__(self, maximum: float | None = None) -> None:
        self._learns = maximum is None
        self._maximum = math.inf if maximum is None else maximum
        self._rises_at = 0.0
        self._sum = 0.0
        self._spent: deque[list[float]] = deque()  # [when, units], oldest first

    def limit_to(self, maximum: float) -> None:
        """Replace the maximum; what was spent before counts."""
        self._maximum, self._learns = maximum, False

    def wait(self, now: float, units: float) -> float:
        """Seconds until ``units`` more fit. More than ``maximum`` fit when there is nothing else."""
        if self._maximum == math.inf:
            return 0.0
        self._drop(now)
        if self._learns and now >= self._rises_at:
            self._maximum, self._rises_at = self._maximum * _RISE, now + _WINDOW
        room = max(0.0, self._maximum - units) + 1e-9
        if self._sum <= room:
            return 0.0
        rest = self._sum
        for when, spent in self._spent:
            rest -= spent
            if rest <= room:
                return when + _WINDOW - now
        return _WINDOW

    def spend(self, now: float, units: float) -> list[float]:
        """Count ``units`` from now on; give the entry to `correct` when more is known."""
        self._drop(now)
        entry = [now, units]
        self._spent.append(entry)
        self._sum += units
        return entry

    def correct(self, entry: list[float], units: float, now: float) -> None:
        """The ``entry`` was really ``units``."""
        if entry[0] > now - _WINDOW:
            self._sum += units - entry[1]
            entry[1] = units

    def refused(self, now: float) -> None:
        """The server says that too much was spent. What was refused must be corrected to 0 before."""
        self._drop(now)
        if self._learns and self._sum > 0.0:
            self._maximum, self._rises_at = min(self._maximum, self._sum), now + _WINDOW

    def _drop(self, now: float) -> None:
        # The tolerance is for timers that fire a rounding error early.
        while self._spent and self._spent[0][0] <= now - _WINDOW + 1e-6:
            self._sum -= self._spent.popleft()[1]


class Bucket:
    """What a server still allows by its own account, filling up evenly until it is full."""

    def __init__(self) -> None:
        self._full = math.inf
        self._level = math.inf
        self._rate = 0.0
        self._at = 0.0

    def announce(self, allowance: Allowance, now: float, spent_since: float) -> None:
        """Take over what the server says.

        Args:
            spent_since: units of the calls that were sent after the one to which it says this.
        """
        full = allowance.remaining if allowance.limit is None else allowance.limit
        missing = full - allowance.remaining if allowance.limit is not None else max(1.0, full)
        self._full = max(1.0, full)
        self._level = allowance.remaining - spent_since
        self._rate = max(1e-9, missing / allowance.reset) if allowance.reset > 0 else math.inf
        self._at = now

    def wait(self, now: float, units: float) -> float:
        """Seconds until ``units`` may be spent."""
        if self._level >= units or self._rate == math.inf:
            return 0.0
        short = min(units, self._full) - self._level - (now - self._at) * self._rate
        return max(0.0, short / self._rate) if short > 1e-9 else 0.0

    def spend(self, now: float, units: float) -> None:
        """Count ``units``."""
        if self._level == math.inf:
            return
        if self._rate < math.inf:
            self._level = min(self._full, self._level + (now - self._at) * self._rate)
        else:
            self._level = self._full
        self._at = now
        self._level -= units
