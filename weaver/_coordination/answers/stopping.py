"""How certain a lead is: the stopping criteria of Adaptive-Consistency (Aggarwal et al. 2023, 2305.11860)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence


def beta_certainty(first: int, second: int) -> float:
    """Probability that the leading answer beats the runner-up, given how often each was drawn.

    The part of Beta(first + 1, second + 1) above one half, in closed form: an uninformed prior over the two
    answers, all others left aside. 0.5 without any draw. The paper stops at 0.95.

    Args:
        first, second: counts of the most and second most frequent answer.
    """
    if first < 0 or second < 0:
        raise ValueError("Counts cannot be negative.")
    n = first + second + 1
    return float(sum(math.comb(n, i) for i in range(first + 1)) / 2**n)


def dirichlet_certainty(counts: Sequence[int], *, points: int = 400) -> float:
    """Probability that the most frequent answer is the most probable one, against all others at once.

    Under a uniform Dirichlet prior over the answers seen so far, by Simpson's rule (no sampling, so the
    same counts always give the same value; the error is below 1e-4 for fewer than a thousand draws).

    Args:
        counts: how often each answer was drawn, in any order. A single one is compared with an unseen one.
        points: intervals of the integration, even.
    """
    ranked = sorted((int(c) for c in counts), reverse=True)
    if not ranked:
        return 0.0
    if ranked[-1] < 0:
        raise ValueError("Counts cannot be negative.")
    if len(ranked) <= 2:
        return beta_certainty(ranked[0], ranked[1] if len(ranked) == 2 else 0)
    # Proportions drawn from a Dirichlet are ratios of independent gamma variables of integer shape.
    shape = ranked[0] + 1
    width = 10 * math.sqrt(shape) + 10
    low, high = max(0.0, shape - width), shape + width
    step = (high - low) / points
    total = 0.0
    others = Counter(ranked[1:])  # equal counts are computed once
    for i in range(points + 1):
        x = low + i * step
        weight = 1 if i in (0, points) else 4 if i % 2 else 2
        below = math.prod(_gamma_below(count + 1, x) ** times for count, times in others.items())
        total += weight * _gamma_density(shape, x) * below
    return min(1.0, total * step / 3)


def _gamma_density(shape: int, x: float) -> float:
    if x <= 0:
        return 1.0 if shape == 1 else 0.0
    return math.exp((shape - 1) * math.log(x) - x - math.lgamma(shape))


def _gamma_below(shape: int, x: float) -> float:
    """Probability that a gamma variable of integer ``shape`` is below ``x``."""
    if x <= 0:
        return 0.0
    term = above = math.exp(-x)
    for k in range(1, shape):
        term *= x / k
        above += term
    return max(0.0, 1.0 - above)
