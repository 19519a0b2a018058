"""Keys of values: two values can only be the same where they share a key, so only those are compared."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Hashable, Iterator
from fractions import Fraction
from typing import Any

from weaver._coordination.values.quantities import Quantity
from weaver._coordination.values.scalars import Value
from weaver._json_reading.json_types import Json

Keys = Callable[[Any], tuple[Hashable, ...] | None]
"""The keys of a value; None: it has to be compared with every other."""

_CELL = 4.0  # of a grid, in tolerances: what is near another value is in its cell of one of two grids
_FINEST = 1e-12


def plain_keys(value: Any) -> tuple[Hashable, ...] | None:
    """The keys of a value that is compared by ``==``."""
    try:
        hash(value)
    except TypeError:
        return None
    return (value,)


def quantity_keys(value: Quantity, tolerance: float) -> tuple[Hashable, ...] | None:
    """The keys of a number with its unit, for `Quantity.agrees` without rounding."""
    if value.spread:
        return None  # a range agrees with all that it touches
    written = [("written", *cell) for cell in _cells(value.written, tolerance)]
    if value.dimension is None:
        return tuple(written)
    return (*written, *((value.dimension, *cell) for cell in _cells(value.value, tolerance)))


def value_keys(value: Any, tolerance: float = 1e-6) -> tuple[Hashable, ...] | None:
    """The keys of what `weaver._coordination.values.scalars.read_value` reads, and of ``("json", value)``."""
    if isinstance(value, Quantity):
        return quantity_keys(value, tolerance)
    if isinstance(value, Value):
        return (value,)
    if isinstance(value, tuple):
        return json_keys(value[1])
    return plain_keys(value)


def json_keys(value: Any, tolerance: float = 1e-9) -> tuple[Hashable, ...]:
    """The keys of a JSON value: its form and its first number, for `same_json`."""
    numbers: list[float] = []

    def form(part: Json) -> Any:
        if isinstance(part, bool) or part is None:
            return part
        if isinstance(part, int | float):
            numbers.append(part)
            return 0
        if isinstance(part, dict):
            return {str(key): form(part[key]) for key in sorted(part, key=str)}
        return [form(item) for item in part] if isinstance(part, list) else part

    text = json.dumps(form(value))
    if not numbers or not math.isfinite(numbers[0]):
        return (text,)
    return tuple((text, *cell) for cell in _cells(Fraction(numbers[0]), tolerance))


def _cells(value: Fraction, tolerance: float) -> Iterator[tuple[Hashable, ...]]:
    """The cells of a number in two grids, of which one is shifted by half a cell."""
    if not value or not tolerance:
        yield (value,)
        return
    size = math.log(abs(value.numerator)) - math.log(value.denominator)
    at = size / (_CELL * max(tolerance, _FINEST))
    yield (value > 0, "a", math.floor(at))
    yield (value > 0, "b", math.floor(at + 0.5))
