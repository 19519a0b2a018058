"""Quality, seconds and dollars of every arm, and the choice between them."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from weaver._models.protocol import Prices
from weaver._planning.gate.speeds import Speeds
from weaver._planning.learned.inputs import Domain, Inputs
from weaver._planning.learned.objective import Objective
from weaver._planning.learned.regression import Posterior, sigmoid
from weaver._planning.learned.work import Work, expected_of, lean_of

RULES = "rules"
"""The arm that goes where the rules, the gate and the planner go."""
FLOOR = 0.03
"""Least chance of every arm where the policy explores."""
_DRAWS = 400


@dataclass(frozen=True, slots=True)
class ArmModel:
    """One arm.

    Args:
        strategy: what it runs: ``NAME`` or ``NAME:key=value,...``.
        quality: the chance of a right answer.
        works: typical work by what the rules lean to; ``""`` for all.
    """

    strategy: str
    quality: Posterior
    works: Mapping[str, Work]


@dataclass(frozen=True, slots=True)
class Expected:
    """What is expected of one arm on one task.

    Args:
        quality: chance of a right answer.
        seconds, usd: of the whole run; ``usd`` is None where the prices are unknown.
        logit, deviation: of the quality, for exploration.
    """

    quality: float
    seconds: float
    usd: float | None
    logit: float
    deviation: float


@dataclass(frozen=True, slots=True)
class Fitted:
    """All that is learned.

    Args:
        inputs, domain: how features are read, and where they are like the examples.
        arms: by name; `RULES` is one of them.
        models: names of the models that the examples were answered by.
    """

    inputs: Inputs
    domain: Domain
    arms: Mapping[str, ArmModel]
    models: tuple[str, ...] = ()

    def expect(
        self,
        features: Mapping[str, float],
        *,
        model: str,
        speeds: Speeds,
        prices: Prices | None = None,
        direct_seconds: float | None = None,
    ) -> dict[str, Expected]:
        """Predict every arm.

        Args:
            direct_seconds: what the gate says of a direct answer; all seconds are scaled to it, so that what
                it has learned about this endpoint and such answers counts for every arm.
        """
        row, tokens, lean = self.inputs.row(features, model), expected_of(features), lean_of(features)
        expected: dict[str, Expected] = {}
        for name, arm in self.arms.items():
            work = arm.works.get(lean) or arm.works[""]
            logit, deviation = arm.quality.logit(row)
            quality, seconds = arm.quality.chance(row), work.seconds(speeds, tokens)
            expected[name] = Expected(quality, seconds, work.usd(prices, tokens), logit, deviation)
        direct = expected.get("direct")
        if direct_seconds is None or direct is None or direct.seconds <= 0:
            return expected
        factor = direct_seconds / direct.seconds
        return {
            name: Expected(e.quality, e.seconds * factor, e.usd, e.logit, e.deviation)
            for name, e in expected.items()
        }


def best(expected: Mapping[str, Expected], objective: Objective, threshold: float) -> str:
    """Return the arm of the highest utility; the rules where it is not better by ``threshold``."""
    worth = {name: objective.utility(e.quality, e.seconds, e.usd) for name, e in expected.items()}
    name = max(worth, key=lambda arm: worth[arm])
    return name if RULES not in worth or worth[name] - worth[RULES] > threshold else RULES


def thompson(expected: Mapping[str, Expected], objective: Objective, rng: random.Random) -> dict[str, float]:
    """Return the chance of every arm by Thompson sampling, with `FLOOR` for each."""
    wins = dict.fromkeys(expected, 0)
    for _ in range(_DRAWS):
        drawn = {
            name: objective.utility(sigmoid(e.logit + e.deviation * rng.gauss(0, 1)), e.seconds, e.usd)
            for name, e in expected.items()
        }
        wins[max(drawn, key=lambda arm: drawn[arm])] += 1
    floor = min(FLOOR, 1 / len(wins))
    return {name: floor + (1 - floor * len(wins)) * count / _DRAWS for name, count in wins.items()}
