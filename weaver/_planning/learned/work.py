"""What a way to answer makes a model do: calls and tokens, which do not depend on the endpoint.

Seconds and dollars follow from them by the gate's model of the endpoint that is asked just now.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from weaver._data.usage import Usage
from weaver._models.protocol import Prices
from weaver._planning.gate.formulas import token_seconds
from weaver._planning.gate.speeds import Speeds

LEAST = 5


@dataclass(frozen=True, slots=True)
class Trial:
    """One run, as far as its work goes.

    Args:
        steps: model calls one after another.
        path, written, read: tokens generated on the longest chain, generated in all, and read in all.
    """

    steps: float
    path: float
    written: float
    read: float


@dataclass(frozen=True, slots=True)
class Work:
    """Typical work, for each token that a direct answer is expected to have by the task's words.

    Args:
        steps: model calls one after another.
        path, written: generated tokens for each expected one.
        read: tokens of prompts.
    """

    steps: float
    path: float
    written: float
    read: float

    @classmethod
    def of(cls, trials: Sequence[tuple[Trial, float]]) -> Work:
        """Take the medians of runs, each with the expected tokens of its task."""
        return cls(
            fmean(trial.steps for trial, _ in trials),
            median(trial.path / expected for trial, expected in trials),
            median(trial.written / expected for trial, expected in trials),
            median(trial.read for trial, _ in trials),
        )

    def seconds(self, speeds: Speeds, expected: float) -> float:
        """Return the seconds at an endpoint of these speeds."""
        width = max(1.0, self.written / self.path if self.path else 1.0)
        width = min(width, speeds.slots or width)
        waiting = self.steps * (speeds.wait + speeds.first_token)
        reading = self.read / max(1.0, width) / speeds.prefill
        return waiting + reading + self.path * expected * token_seconds(speeds, width)

    def usd(self, prices: Prices | None, expected: float) -> float | None:
        """Return the dollars; None where the prices are unknown."""
        if prices is None:
            return None
        return prices.cost(
            Usage(calls=1, input_tokens=round(self.read), output_tokens=round(self.written * expected))
        )


def lean_of(features: Mapping[str, float]) -> str:
    """Return what the rules lean to, by the features."""
    if features.get("rules direct"):
        return "direct"
    return "plan" if features.get("rules plan") else "unsure"


def expected_of(features: Mapping[str, float]) -> float:
    """Return the tokens that a direct answer is expected to have, by the task's words."""
    return max(1.0, math.expm1(features.get("expected tokens", 0.0)))


def works_of(runs: Sequence[tuple[Trial, Mapping[str, float]]]) -> dict[str, Work]:
    """Return the work of one arm: for each lean with enough runs, and ``""`` for all together."""
    groups: dict[str, list[tuple[Trial, float]]] = {"": []}
    for trial, features in runs:
        pair = (trial, expected_of(features))
        groups[""].append(pair)
        groups.setdefault(lean_of(features), []).append(pair)
    return {lean: Work.of(trials) for lean, trials in groups.items() if not lean or len(trials) >= LEAST}
