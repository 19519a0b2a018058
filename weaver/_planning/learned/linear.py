"""Small symmetric matrices, as lists of rows: what a regression on some dozens of features needs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import mul

Vector = list[float]
Matrix = list[Vector]


def dot(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the inner product."""
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def cholesky(matrix: Sequence[Sequence[float]]) -> Matrix:
    """Return the lower triangle L of a positive definite matrix, L L^T = matrix; row i has i + 1 numbers.

    Raises:
        ValueError: the matrix is not positive definite.
    """
    lower: Matrix = []
    for i, row in enumerate(matrix):
        new: Vector = []
        for j in range(i + 1):
            above = lower[j] if j < i else new  # `new` has j numbers by now, and no more are multiplied
            rest = row[j] - sum(map(mul, new, above))
            if i == j:
                if not rest > 0:
                    raise ValueError("the matrix is not positive definite")
                new.append(math.sqrt(rest))
            else:
                new.append(rest / lower[j][j])
        lower.append(new)
    return lower


def forward(lower: Sequence[Sequence[float]], values: Sequence[float]) -> Vector:
    """Solve L y = values."""
    solution: Vector = []
    for i, row in enumerate(lower):
        solution.append((values[i] - sum(map(mul, row, solution))) / row[i])
    return solution


def backward(lower: Sequence[Sequence[float]], values: Sequence[float]) -> Vector:
    """Solve L^T x = values."""
    size = len(lower)
    solution = [0.0] * size
    for i in range(size - 1, -1, -1):
        rest = sum(lower[k][i] * solution[k] for k in range(i + 1, size))
        solution[i] = (values[i] - rest) / lower[i][i]
    return solution


def solve(lower: Sequence[Sequence[float]], values: Sequence[float]) -> Vector:
    """Solve (L L^T) x = values."""
    return backward(lower, forward(lower, values))


def distance(lower: Sequence[Sequence[float]], values: Sequence[float]) -> float:
    """Return values^T (L L^T)^-1 values."""
    return math.fsum(y * y for y in forward(lower, values))
