"""Time that is left until a deadline, and every share of it that Weaver sets aside."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from weaver._models.clock import current_time

THINKING_SHARE = 0.8
"""A thread's calls take at most this share of its time; then it is asked to conclude."""
PLANNING_SHARE = 0.4
"""Writing a plan takes at most this share."""
CONFLICT_SHARE = 0.5
"""Resolving conflicts takes at most this share."""
SYNTHESIS_SHARE, SYNTHESIS_SECONDS, SYNTHESIS_MAX_SHARE = 0.2, 2.0, 0.4
"""For the synthesis: this share of the time left, at least so many seconds, but never more than the last."""


@dataclass(frozen=True, slots=True)
class TimeBudget:
    """Time until a deadline.

    Args:
        deadline_at: event-loop time; infinity without a deadline.
    """

    deadline_at: float = inf

    @property
    def is_limited(self) -> bool:
        """True with a deadline."""
        return self.deadline_at < inf

    @property
    def left(self) -> float | None:
        """Seconds until the deadline, at least 0; None without one."""
        return max(0.0, self.deadline_at - current_time()) if self.is_limited else None

    @property
    def is_over(self) -> bool:
        """True once the deadline has passed."""
        return current_time() >= self.deadline_at

    def at(self, share: float) -> float:
        """Return the event-loop time at which a share of the time left has passed, or infinity."""
        if self.deadline_at == inf:
            return inf
        now = current_time()
        return now + share * max(0.0, self.deadline_at - now)

    @property
    def conclude_at(self) -> float:
        """Event-loop time at which a thread is asked to conclude."""
        return self.at(THINKING_SHARE)

    @property
    def plan_deadline_at(self) -> float:
        """Event-loop time at which planning stops."""
        return self.at(PLANNING_SHARE)

    def for_conflicts(self, seconds: float | None) -> float:
        """Return the seconds that resolving conflicts may take.

        Args:
            seconds: what the caller allows; None for no limit of its own.
        """
        seconds_until_deadline = self.left
        return min(
            inf if seconds is None else seconds,
            inf if seconds_until_deadline is None else CONFLICT_SHARE * seconds_until_deadline,
        )

    @property
    def threads_deadline_at(self) -> float | None:
        """Event-loop time at which threads stop, to leave time for the synthesis; None: no deadline."""
        seconds = self.left
        if seconds is None:
            return None
        kept_seconds = min(max(SYNTHESIS_SHARE * seconds, SYNTHESIS_SECONDS), SYNTHESIS_MAX_SHARE * seconds)
        return self.deadline_at - kept_seconds
