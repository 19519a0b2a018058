"""Short values: numbers with units, dates, yes or no, words; and when two of them can both hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from weaver._coordination.values.dates import date_of
from weaver._coordination.values.final import plain, trimmed
from weaver._coordination.values.quantities import Quantity, quantity


@dataclass(frozen=True, slots=True)
class Value:
    """A scalar that is not a number: ``kind`` is ``text``, ``date`` or ``bool``."""

    kind: Literal["text", "date", "bool"]
    value: str


def read_value(text: str, unit: str = "") -> Quantity | Value | None:
    """Read a short text as a number with unit, a date, yes or no, or else as words; None when it is empty."""
    text = trimmed(text)
    if not text:
        return None
    if (date := date_of(text)) is not None:
        return Value("date", date)
    if (number := quantity(text, unit)) is not None:
        return number
    words = plain(text)
    if words in BOOLEANS:
        return Value("bool", BOOLEANS[words])
    return Value("text", words) if words else Value("text", text)


def same_value(a: Any, b: Any, *, tolerance: float = 1e-6, rounding: bool = False) -> bool | None:
    """Compare two values of `read_value`. Numbers and dates differ for certain; words only perhaps."""
    if isinstance(a, Quantity) and isinstance(b, Quantity):
        return a.agrees(b, tolerance=tolerance, rounding=rounding)
    if a == b:
        return True
    if isinstance(a, Value) and isinstance(b, Value) and a.kind == b.kind != "text":
        # A date that is only less exact ("2024-03", "2024-03-05") does not contradict.
        if a.kind == "date" and (a.value.startswith(b.value) or b.value.startswith(a.value)):
            return None
        return False
    return None


BOOLEANS = {"yes": "yes", "true": "yes", "correct": "yes", "no": "no", "false": "no", "incorrect": "no"}
