"""Bayesian logistic regression: the chance of a right answer, and how sure it is.

A Gaussian prior on the weights, Newton's method to the mode, Laplace's approximation around it (Bishop 2006,
section 4.5). The strength of the prior is the one of a few with the highest evidence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from weaver._planning.learned.linear import Matrix, Vector, cholesky, distance, dot, solve

Sparse = tuple[tuple[int, float], ...]
"""The numbers of a row that are not 0, each with its column."""
Data = Sequence[tuple[Sparse, float, float]]
"""For each answer: its row, the logit by the prior's mean, and its reward."""
STRENGTHS = (0.3, 1.0, 3.0, 10.0)
"""Precisions of the prior that are tried."""
INTERCEPT_STRENGTH = 0.1
_STEPS = 30
_ENOUGH = 1e-4
_FARTHEST = 30.0  # beyond it a logistic function is 0 or 1


@dataclass(frozen=True, slots=True)
class Posterior:
    """What is known about the weights; column 0 is the intercept.

    Args:
        weights: the mode.
        precision: lower triangle L of the Cholesky decomposition of the precision matrix.
        strength: of the prior.
        rows: answers that it was fitted on.
        evidence: logarithm of the probability of these answers under the prior.
    """

    weights: tuple[float, ...]
    precision: tuple[tuple[float, ...], ...]
    strength: float
    rows: int
    evidence: float = 0.0

    def logit(self, row: Sequence[float]) -> tuple[float, float]:
        """Return the mean and the standard deviation of the logit of a row (dense, with its 1 in front)."""
        return dot(self.weights, row), math.sqrt(distance(self.precision, row))

    def chance(self, row: Sequence[float]) -> float:
        """Return the predicted chance of a right answer, the uncertainty of the weights included."""
        mean, deviation = self.logit(row)
        return sigmoid(mean / math.sqrt(1 + math.pi * deviation**2 / 8))


def sigmoid(value: float) -> float:
    """Return 1 / (1 + exp(-value)), without overflow."""
    value = max(-_FARTHEST, min(_FARTHEST, value))
    return 1 / (1 + math.exp(-value))


def sparse(row: Sequence[float]) -> Sparse:
    """Return the numbers of a row that are not 0."""
    return tuple((i, value) for i, value in enumerate(row) if value)


def fit(
    rows: Sequence[Sequence[float]],
    rewards: Sequence[float],
    strengths: Sequence[float] = STRENGTHS,
    *,
    centre: Sequence[float] = (),
) -> Posterior:
    """Fit the weights to rewards from 0 to 1.

    Args:
        rows: dense, each with a 1 in front; at least one.
        strengths: of the prior, to choose from.
        centre: mean of the prior; zeros by default.

    Raises:
        ValueError: there is no row.
    """
    if not rows:
        raise ValueError("there are no rows to fit")
    size = len(rows[0])
    centre = centre or [0.0] * size
    data = [(sparse(row), dot(centre, row), reward) for row, reward in zip(rows, rewards, strict=True)]
    moved = [0.0] * size
    fits: list[tuple[float, float, list[float], list[list[float]]]] = []
    for strength in strengths:
        moved, lower, evidence = _mode(data, strength, moved)
        fits.append((evidence, strength, moved, lower))
    evidence, strength, moved, lower = max(fits, key=lambda candidate: candidate[0])
    weights = tuple(c + m for c, m in zip(centre, moved, strict=True))
    return Posterior(weights, tuple(map(tuple, lower)), strength, len(rows), evidence)


def _mode(data: Data, strength: float, start: Vector) -> tuple[Vector, Matrix, float]:
    """The mode from the prior's mean, the decomposed precision there, the logarithm of the evidence."""
    size = len(start)
    prior = [INTERCEPT_STRENGTH, *[strength] * (size - 1)]
    weights = list(start)
    lower: Matrix = []
    best = _fitness(data, weights, prior)
    for _ in range(_STEPS):
        gradient = [-p * w for p, w in zip(prior, weights, strict=True)]
        hessian = [[0.0] * (i + 1) for i in range(size)]
        for i in range(size):
            hessian[i][i] = prior[i]
        for row, offset, reward in data:
            chance = sigmoid(offset + sum(weights[i] * value for i, value in row))
            slope = chance * (1 - chance)
            for i, value in row:
                gradient[i] += (reward - chance) * value
                steep, line = slope * value, hessian[i]
                for j, other in row:
                    if j > i:
                        break
                    line[j] += steep * other
        lower = cholesky(hessian)
        moved, fitness = _step(data, weights, prior, solve(lower, gradient), fitness=best)
        weights, gained, best = moved, fitness - best, fitness
        if gained < _ENOUGH:
            break
    volume = sum(math.log(row[i]) for i, row in enumerate(lower))
    evidence = best + 0.5 * sum(map(math.log, prior)) - volume
    return weights, lower, evidence


def _step(
    data: Data, weights: Vector, prior: Sequence[float], step: Vector, *, fitness: float
) -> tuple[Vector, float]:
    """The weights after Newton's step, made shorter where it goes too far, and their fitness."""
    share = 1.0
    while share > 1e-4:
        moved = [w + share * s for w, s in zip(weights, step, strict=True)]
        if (reached := _fitness(data, moved, prior)) >= fitness:
            return moved, reached
        share /= 2
    return weights, fitness


def _fitness(data: Data, weights: Vector, prior: Sequence[float]) -> float:
    """Logarithm of likelihood and prior, without constants."""
    total = -0.5 * sum(p * w * w for p, w in zip(prior, weights, strict=True))
    for row, offset, reward in data:
        logit = offset + sum(weights[i] * value for i, value in row)
        total += reward * logit - max(0.0, logit) - math.log1p(math.exp(-abs(logit)))
    return total
