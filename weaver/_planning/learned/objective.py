"""What a way to answer is worth: quality, less what seconds and dollars cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Preset = Literal["quality", "balanced", "fast"]


@dataclass(frozen=True, slots=True)
class Objective:
    """u = quality - per_second x seconds - per_usd x dollars.

    Args:
        name: of a preset, or ``own``.
        per_second, per_usd: what a second and a dollar cost, in right answers.
    """

    name: str
    per_second: float
    per_usd: float

    def utility(self, quality: float, seconds: float, usd: float | None) -> float:
        """Return u; unknown dollars count nothing."""
        return quality - self.per_second * seconds - self.per_usd * (usd or 0.0)


OBJECTIVES: dict[str, Objective] = {
    "quality": Objective("quality", 1 / 3600, 1 / 6),
    "balanced": Objective("balanced", 1 / 60, 1000 / 60),
    "fast": Objective("fast", 1 / 10, 100 / 6),
}
"""A right answer instead of a wrong one is worth an hour or 6 USD; a minute or 0.06 USD, as to the gate; ten
seconds or 0.06 USD."""
