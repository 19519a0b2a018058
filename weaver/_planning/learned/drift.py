"""Notice that tasks or answers are no longer as they were when the policy was fitted."""

from __future__ import annotations

import math
from collections import deque

WINDOW = 100
ENOUGH = 30
MOST_STRANGERS = 0.25
FARTHEST = 3.5
"""Standard errors that rewards may be below what was predicted; 3.5 by chance: once in 4,000 windows."""


class Drift:
    """The latest tasks and rewards of one process."""

    def __init__(self) -> None:
        self._strangers: deque[bool] = deque(maxlen=WINDOW)
        self._errors: deque[tuple[float, float]] = deque(maxlen=WINDOW)

    def saw(self, *, is_stranger: bool) -> None:
        """Take note of a task: whether it is unlike the examples."""
        self._strangers.append(is_stranger)

    def rewarded(self, predicted: float, reward: float) -> None:
        """Take note of a reward, from 0 to 1, and of the chance that was predicted."""
        self._errors.append((predicted, reward))

    @property
    def reason(self) -> str:
        """Say what has drifted; "" where nothing has."""
        number = len(self._strangers)
        if number >= ENOUGH and sum(self._strangers) > MOST_STRANGERS * number:
            return f"{sum(self._strangers)} of the last {number} tasks are unlike its examples"
        if len(self._errors) >= ENOUGH:
            spread = math.sqrt(sum(p * (1 - p) for p, _ in self._errors)) or 1.0
            short = sum(p - reward for p, reward in self._errors)
            if short / spread > FARTHEST:
                mean = sum(reward for _, reward in self._errors) / len(self._errors)
                predicted = sum(p for p, _ in self._errors) / len(self._errors)
                return f"rewards are {mean:.2f} on average where {predicted:.2f} was predicted"
        return ""
