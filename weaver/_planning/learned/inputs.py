"""Make rows of numbers of features for the regressions, and tell which tasks are like their examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from weaver._planning.learned.linear import cholesky, distance

PRODUCTS = (
    ("items", "operators"),
    ("items", "chained"),
    ("several", "expected tokens"),
    ("questions", "operators"),
    ("chained", "numbers"),
    ("rules plan", "operators"),
    ("rules plan", "expected tokens"),
)
"""Pairs of features whose product counts too: a list of sums is not a list and sums."""
_RIDGE = 0.05
_SLACK = 1.3
_QUANTILE = 0.99


@dataclass(frozen=True, slots=True)
class Inputs:
    """How features become a row.

    Args:
        columns: features, products (``a x b``) and models (``model NAME``) in the order of the row.
        scales: what each is divided by, so that they are of one size.
    """

    columns: tuple[str, ...]
    scales: tuple[float, ...]

    @classmethod
    def of(cls, examples: Sequence[Mapping[str, float]], models: Sequence[str]) -> Inputs:
        """Take what varies in these examples; the same value everywhere says nothing."""
        names = list(dict.fromkeys(name for features in examples for name in features))
        names += [f"{a} x {b}" for a, b in PRODUCTS]
        values = {name: [_value(features, name, "") for features in examples] for name in names}
        columns = {
            name: max(map(abs, column)) for name, column in values.items() if min(column) != max(column)
        }
        known_models = sorted(set(models))
        columns |= {f"model {name}": 1.0 for name in known_models} if len(known_models) > 1 else {}
        return cls(tuple(columns), tuple(columns.values()))

    def row(self, features: Mapping[str, float], model: str) -> list[float]:
        """Return 1 and the scaled columns; what is not there is 0."""
        pairs = zip(self.columns, self.scales, strict=True)
        return [1.0, *(_value(features, name, model) / scale for name, scale in pairs)]


def _value(features: Mapping[str, float], column: str, model: str) -> float:
    if column.startswith("model "):
        return float(column == f"model {model}")
    first, product, second = column.partition(" x ")
    value = features.get(first, 0.0)
    return value * features.get(second, 0.0) if product else value


@dataclass(frozen=True, slots=True)
class Domain:
    """Where the examples lie: what is far from them is an unknown kind of task.

    Args:
        occurring: features that were not 0 somewhere.
        centre: mean row, without its 1.
        shape: lower triangle of the decomposed covariance.
        radius: the farthest squared distance that is still like the examples.
    """

    occurring: frozenset[str]
    centre: tuple[float, ...]
    shape: tuple[tuple[float, ...], ...]
    radius: float

    @classmethod
    def of(cls, inputs: Inputs, examples: Sequence[Mapping[str, float]]) -> Domain:
        """Measure the examples; models are no part of it."""
        rows = [inputs.row(features, "")[1:] for features in examples]
        size, number = len(inputs.columns), len(rows)
        centre = [sum(row[i] for row in rows) / number for i in range(size)]
        moved = [[value - c for value, c in zip(row, centre, strict=True)] for row in rows]
        covariance = [
            [sum(row[i] * row[j] for row in moved) / number for j in range(size)] for i in range(size)
        ]
        for i in range(size):
            covariance[i][i] += _RIDGE
        shape = cholesky(covariance)
        distances = sorted(distance(shape, row) for row in moved)
        radius = _SLACK * distances[min(number - 1, int(_QUANTILE * number))]
        occurring = frozenset(name for features in examples for name, value in features.items() if value)
        return cls(occurring, tuple(centre), tuple(map(tuple, shape)), radius)

    def stranger(self, inputs: Inputs, features: Mapping[str, float]) -> str:
        """Say why a task is of an unknown kind; "" where it is like the examples."""
        if new := sorted(name for name, value in features.items() if value and name not in self.occurring):
            return f"no example has {', '.join(map(repr, new[:3]))}"
        row = inputs.row(features, "")[1:]
        far = distance(self.shape, [value - c for value, c in zip(row, self.centre, strict=True)])
        return (
            f"it is unlike the examples ({far / self.radius:.1f} x their spread)" if far > self.radius else ""
        )
