"""Judge a policy without running it: on examples that it was not fitted on.

Where an example has every arm, the value of a choice is known. Where it has the one arm of a log, it is
estimated doubly robustly (Dudik, Langford, Li 2011, 1103.4601): the model's prediction, and, where the policy
agrees with the log, the prediction's error, weighed by the inverse of the chance that the log gave its arm.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean

from weaver._evals.policies.examples import Example, Examples, Observed, without
from weaver._evals.policies.fitting import fit_arms, strength_of
from weaver._evals.statistics import quantile
from weaver._planning.gate.speeds import Speeds
from weaver._planning.learned.fitted import RULES, Expected, Fitted, best
from weaver._planning.learned.objective import Objective

FOLDS = 5
RESAMPLES = 2000
MOST_WEIGHT = 20.0
THRESHOLDS = (0.3, 0.2, 0.1, 0.05, 0.02, 0.0)
MOST_CHAIN_LOSS = 0.02
DELTA = 0.1
"""Chance that a threshold is certified although it gains nothing."""
BINS = 10
LEARNED = "learned"
Predictions = list[tuple[Example, dict[str, Expected], bool]]
"""Examples, what was expected of their arms, and whether they were unlike what the prediction rests on."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with the ends of its 95 % interval.

    Args:
        effective: examples that it rests on: (sum of weights) squared over the sum of squared weights.
    """

    mean: float
    low: float
    high: float
    effective: float = 0.0


@dataclass(frozen=True, slots=True)
class Row:
    """One policy in the table: utility, gain over the rules, and the means of what makes it up."""

    name: str
    utility: float
    gain: Estimate
    quality: float
    seconds: float
    usd: float | None


@dataclass(frozen=True, slots=True)
class Bin:
    """Predictions of about one size: how many, their mean, and the mean of the rewards."""

    number: int
    predicted: float
    actual: float


def predict(fitted: Fitted, example: Example, speeds: Mapping[str, Speeds]) -> dict[str, Expected]:
    """Predict every arm of an example; dollars as they were, since results hold no prices."""
    expected = fitted.expect(example.features, model=example.model, speeds=speeds[example.model])
    costs = [arm.usd for arm in example.arms.values() if arm.usd]
    if not costs or example.logged:
        return expected
    each = fmean(costs) / max(1.0, fmean(arm.works[""].written for arm in fitted.arms.values()))
    return {
        name: Expected(e.quality, e.seconds, each * fitted.arms[name].works[""].written, e.logit, e.deviation)
        for name, e in expected.items()
    }


def predictions(fitted: Fitted, examples: Sequence[Example], speeds: Mapping[str, Speeds]) -> Predictions:
    """Predict every example."""
    domain, inputs = fitted.domain, fitted.inputs
    return [
        (example, predict(fitted, example, speeds), bool(domain.stranger(inputs, example.features)))
        for example in examples
    ]


def fold_of(example: Example, seed: int = 0) -> int:
    """Return the fold of an example, by its block: an item is never on both sides."""
    return random.Random(f"{seed}/{example.block}").randrange(FOLDS)


def cross_fitted(examples: Examples, speeds: Mapping[str, Speeds], seed: int = 0) -> Predictions:
    """Predict every example by what was fitted without its fold."""
    predicted: Predictions = []
    strength = strength_of(examples)
    for fold in range(FOLDS):
        inside = [e for e in examples.full if fold_of(e, seed) != fold]
        outside = [e for e in (*examples.full, *examples.logs) if fold_of(e, seed) == fold]
        logs = [e for e in examples.logs if fold_of(e, seed) != fold]
        if inside and outside:
            predicted += predictions(
                fit_arms(inside, examples.strategies, logs, strength=strength), outside, speeds
            )
    return predicted


def kind_by_kind(examples: Examples, speeds: Mapping[str, Speeds]) -> Predictions:
    """Predict every example by what was fitted without its kind; nothing where there is one kind."""
    predicted: Predictions = []
    strength = strength_of(examples)
    for kind in examples.kinds if len(examples.kinds) > 1 else ():
        inside = without(examples, kind).full
        fitted = fit_arms(inside, examples.strategies, examples.logs, strength=strength)
        predicted += predictions(fitted, [e for e in examples.full if e.kind == kind], speeds)
    return predicted


def arm_for(
    expected: Mapping[str, Expected], objective: Objective, threshold: float, *, stranger: bool
) -> str:
    """Return the arm that the policy takes: the rules where the task is unlike its examples."""
    return RULES if stranger else best(expected, objective, threshold)


def value_of(
    example: Example, expected: Mapping[str, Expected], arm: str, objective: Objective
) -> tuple[float, float]:
    """Return the utility of an arm on an example, and the weight of what was observed in it."""
    if not example.logged:
        observed = example.arms[arm]
        return objective.utility(observed.reward, observed.seconds, observed.usd), 1.0
    guess = expected[arm]
    value = objective.utility(guess.quality, guess.seconds, guess.usd)
    if arm != example.logged:
        return value, 0.0
    observed = example.arms[arm]
    weight = min(MOST_WEIGHT, 1 / max(1e-9, example.propensity))
    actual = objective.utility(observed.reward, observed.seconds, observed.usd)
    return value + weight * (actual - value), weight


def estimate(
    examples: Sequence[Example],
    values: Sequence[float],
    weights: Sequence[float] = (),
    *,
    seed: int = 0,
    choices: int = 1,
) -> Estimate:
    """Return the mean of values with a 95 % bootstrap interval; items are drawn again as blocks.

    Args:
        choices: what is estimated was the best of so many; the interval holds for all of them (Bonferroni).
    """
    blocks: dict[str, list[float]] = {}
    for example, value in zip(examples, values, strict=True):
        blocks.setdefault(example.block, []).append(value)
    if not blocks:
        return Estimate(0.0, 0.0, 0.0)
    sums = [(math.fsum(block), len(block)) for block in blocks.values()]
    rng = random.Random(seed)
    means: list[float] = []
    for _ in range(RESAMPLES if any(values) else 1):
        drawn = rng.choices(sums, k=len(sums))
        means.append(sum(total for total, _ in drawn) / sum(number for _, number in drawn))
    squares = math.fsum(w * w for w in weights)
    effective = math.fsum(weights) ** 2 / squares if squares else float(len(blocks))
    return Estimate(
        fmean(values),
        quantile(means, 0.025 / choices),
        quantile(means, 1 - 0.025 / choices),
        min(effective, len(blocks)),
    )


def certified_threshold(predicted: Predictions, objective: Objective) -> float:
    """Return the threshold that gains most, of those that certainly gain (Learn then Test, 2110.01052).

    Each has a one-sided test that its mean gain over the rules is above 0; with Bonferroni's correction the
    chance that any is certified wrongly is at most `DELTA`. One that loses on chains is out. Where none is
    left, the strictest.
    """
    certified: list[tuple[float, float]] = []
    for threshold in THRESHOLDS:
        gains = gains_of(predicted, objective, partial(_always, threshold))
        mean, spread = fmean(gains) if gains else 0.0, _standard_error(gains)
        chance = 1.0 if mean <= 0 else 0.5 * math.erfc(mean / spread / math.sqrt(2)) if spread else 0.0
        loses = loses_on_chains(chain_gain(predicted, objective, partial(_always, threshold)))
        if chance <= DELTA / len(THRESHOLDS) and not loses:
            certified.append((mean, threshold))
    return max(certified)[1] if certified else THRESHOLDS[0]


def chain_gain(
    predicted: Predictions, objective: Objective, threshold: Callable[[Example], float]
) -> tuple[float, float] | None:
    """Return the quality above the rules on chains, and its standard error; None without any chain.

    Nothing can be done at the same time in a chain, so a policy that forks there has learned nonsense.
    """
    gains: list[float] = []
    for example, expected, stranger in predicted:
        if example.structure == "chain" and not example.logged:
            arm = arm_for(expected, objective, threshold(example), stranger=stranger)
            gains.append(example.arms[arm].reward - example.arms[RULES].reward)
    return (fmean(gains), _standard_error(gains)) if gains else None


def loses_on_chains(gain: tuple[float, float] | None) -> bool:
    """Tell whether the loss on chains is above `MOST_CHAIN_LOSS` by more than its standard error."""
    return gain is not None and gain[0] + gain[1] < -MOST_CHAIN_LOSS


def _standard_error(values: Sequence[float]) -> float:
    number = len(values)
    mean = fmean(values) if values else 0.0
    return math.sqrt(math.fsum((v - mean) ** 2 for v in values) / max(1, number - 1) / max(1, number))


def _always(threshold: float, _: Example) -> float:
    return threshold


def gains_of(
    predicted: Predictions, objective: Objective, threshold: Callable[[Example], float]
) -> list[float]:
    """Return the utility of the policy above the rules, for each example."""
    gains: list[float] = []
    for example, expected, stranger in predicted:
        arm = arm_for(expected, objective, threshold(example), stranger=stranger)
        policy, _ = value_of(example, expected, arm, objective)
        rules, _ = value_of(example, expected, RULES, objective)
        gains.append(policy - rules)
    return gains


def table(predicted: Predictions, objective: Objective, threshold: Callable[[Example], float]) -> list[Row]:
    """Return the rows: the policy, the rules, always the same arm, and the oracle that knows the outcome.

    On full examples the oracle takes the arm that came out best; by chance alone it beats every policy.
    """
    arms = list(predicted[0][1])

    choices: dict[str, list[str]] = {
        LEARNED: _choices(predicted, objective, threshold),
        RULES: [RULES] * len(predicted),
        **{f"always {arm}": [arm] * len(predicted) for arm in arms if arm != RULES},
        "oracle": [
            max(arms, key=lambda arm: value_of(example, expected, arm, objective)[0])
            for example, expected, _ in predicted
        ],
    }
    return [_row(name, predicted, picked, objective) for name, picked in choices.items()]


def _choices(
    predicted: Predictions, objective: Objective, threshold: Callable[[Example], float]
) -> list[str]:
    """The arms that the policy takes."""
    return [
        arm_for(expected, objective, threshold(example), stranger=stranger)
        for example, expected, stranger in predicted
    ]


def learned_row(predicted: Predictions, objective: Objective, threshold: Callable[[Example], float]) -> Row:
    """Return the row of the policy alone."""
    picked = _choices(predicted, objective, threshold)
    return _row(LEARNED, predicted, picked, objective)


def _row(name: str, predicted: Predictions, picked: Sequence[str], objective: Objective) -> Row:
    examples = [example for example, _, _ in predicted]
    values: list[float] = []
    weights: list[float] = []
    gains: list[float] = []
    observations: list[Observed] = []
    for (example, expected, _), arm in zip(predicted, picked, strict=True):
        value, weight = value_of(example, expected, arm, objective)
        rules, _ = value_of(example, expected, RULES, objective)
        values.append(value)
        weights.append(weight)
        gains.append(value - rules)
        if not example.logged:
            observations.append(example.arms[arm])
    costs = [observed.usd for observed in observations]
    return Row(
        name,
        fmean(values),
        estimate(examples, gains, weights, choices=len(THRESHOLDS) if name == LEARNED else 1),
        fmean(observed.reward for observed in observations) if observations else 0.0,
        fmean(observed.seconds for observed in observations) if observations else 0.0,
        None if None in costs or not costs else fmean(cost for cost in costs if cost is not None),
    )


def calibration(predicted: Predictions) -> list[Bin]:
    """Return predicted against actual quality of all arms, in ten bins of equal width."""
    bins: dict[int, list[tuple[float, float]]] = {}
    for example, expected, stranger in predicted:
        for arm, observed in example.arms.items():
            if not stranger:
                chance = expected[arm].quality
                bins.setdefault(min(BINS - 1, int(chance * BINS)), []).append((chance, observed.reward))
    return [
        Bin(len(pairs), fmean(p for p, _ in pairs), fmean(a for _, a in pairs))
        for _, pairs in sorted(bins.items())
    ]


def calibration_error(bins: Sequence[Bin]) -> float:
    """Return the mean distance of predicted and actual quality, by the size of the bins."""
    number = sum(b.number for b in bins)
    return sum(b.number * abs(b.predicted - b.actual) for b in bins) / number if number else 0.0
