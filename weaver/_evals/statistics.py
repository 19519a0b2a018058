"""The statistics of a comparison: intervals, paired tests, quantiles, the Pareto front."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

Interval = tuple[float, float]
Z95 = 1.959963984540054
RESAMPLES = 2000


def mean(values: Sequence[float]) -> float:
    """The mean; 0 of nothing."""
    return math.fsum(values) / len(values) if values else 0.0


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` (0 to 1) of the values lie, linearly interpolated; 0 of nothing."""
    if not values:
        return 0.0
    ordered = sorted(values)
    at = share * (len(ordered) - 1)
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def wilson(successes: int, n: int, z: float = Z95) -> Interval:
    """Wilson's score interval of a proportion; it stays in [0, 1] and is right near the ends."""
    if n == 0:
        return (0.0, 1.0)
    p, zz = successes / n, z * z
    centre = (p + zz / (2 * n)) / (1 + zz / n)
    half = z / (1 + zz / n) * math.sqrt(p * (1 - p) / n + zz / (4 * n * n))
    return (
        0.0 if successes == 0 else max(0.0, centre - half),
        1.0 if successes == n else min(1.0, centre + half),
    )


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact two-sided p-value that two methods differ, from the items that only one of them got right."""
    n = only_first + only_second
    if n == 0:
        return 1.0
    tail = sum(math.comb(n, i) for i in range(min(only_first, only_second) + 1))
    return min(1.0, 2 * tail / (1 << n))


def bootstrap(
    values: Sequence[float],
    statistic: Callable[[Sequence[float]], float] = mean,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Interval:
    """95 % percentile interval of a statistic over items, which are drawn again with replacement."""
    if len(values) < 2:
        point = statistic(values) if values else 0.0
        return (point, point)
    rng = random.Random(seed)
    estimates = [statistic(rng.choices(list(values), k=len(values))) for _ in range(resamples)]
    return (quantile(estimates, 0.025), quantile(estimates, 0.975))


def pareto(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indexes of the points (cost, quality) that no other point dominates; the cheapest first."""
    front: list[int] = []
    best = -math.inf
    for i in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        if points[i][1] > best:
            front.append(i)
            best = points[i][1]
    return front


def longest_chain(spans: Sequence[tuple[float, float]]) -> int:
    """Most intervals (start, end) of which each begins after the one before has ended."""
    count, at = 0, -math.inf
    for start, end in sorted(spans, key=lambda s: s[1]):
        if start >= at:
            count, at = count + 1, end
    return count
