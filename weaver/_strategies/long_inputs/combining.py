"""Which questions code can answer from partial results, and how: counts, sums, lists, extremes."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from weaver._coordination.values.quantities import Quantity
from weaver._coordination.values.units import unit_of
from weaver._documents.places import Source

Combine = Literal["count", "sum", "average", "max", "min", "list", "tally", "write"]
"""How the results of the pieces become one answer. Only ``write`` has a model do it."""
VALUED: tuple[Combine, ...] = ("sum", "average", "max", "min")

_WORDS: dict[Combine, str] = {
    "tally": r"how many\b.{1,80}\b(?:per|for each|in each|does each|of each)\b|count\w*\b.{1,60}\bper\b",
    "count": r"how many\b|(?:the )?number of\b|count\b|wie viele\b|combien d|cu[aá]nt[oa]s\b|quant[ie]\b",
    "average": r"average\b|mean\b|durchschnitt|moyenne\b|promedio\b",
    "sum": r"(?:the )?(?:sum|total)\b|altogether\b|in total\b|summe\b|gesamt|insgesamt\b|somme\b|suma\b",
    "max": r"highest\b|largest\b|biggest\b|maximum\b|most expensive\b|greatest\b|longest\b|oldest\b",
    "min": r"lowest\b|smallest\b|minimum\b|cheapest\b|least\b|shortest\b|youngest\b",
    "list": r"^\W*(?:list|name all|give all|enumerate|find all|extract all|liste\b|nenne alle)",
}
_CUES: dict[Combine, re.Pattern[str]] = {
    combine: re.compile(rf"(?<!\w)(?:{words})", re.IGNORECASE) for combine, words in _WORDS.items()
}
_SECOND_PART = re.compile(
    r"\b(?:and|also)\s+(?:why|which|what|who|how|explain|describe|summar)", re.IGNORECASE
)


def combine_for(question: str) -> Combine:
    """Tell by the question's words how partial results are combined; ``write`` where that is not sure."""
    text = question.strip()
    if text.count("?") > 1 or _SECOND_PART.search(text):
        return "write"
    kinds: list[Combine] = [combine for combine, cue in _CUES.items() if cue.search(text)]
    if not kinds:
        return "write"
    if kinds[0] in {"tally", "list"}:
        return kinds[0]
    if "sum" in kinds and "count" in kinds:  # "the total number of orders" counts, "the total" adds
        return "count"
    return kinds[0] if len(kinds) == 1 else "write"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line that a thread found, with what it read there.

    Attributes:
        text: the fact, the item of a list, or the group that the line belongs to.
        value: the number on that line.
        topic: what a fact is about, for finding contradictions.
        stated: a fact's value in words.
    """

    source: Source
    text: str = ""
    value: Quantity | None = None
    topic: str = ""
    stated: str = ""


@dataclass(frozen=True, slots=True)
class Combined:
    """What code made of all entries.

    Attributes:
        text: the answer.
        value: the same as data.
        entries: those that it rests on.
        note: what a reader should know, or "".
    """

    text: str
    value: Any
    entries: Sequence[Entry]
    note: str = ""


def combined(combine: Combine, entries: Sequence[Entry]) -> Combined | None:
    """Combine entries by code; None where that takes a model: no numbers, or numbers of different units."""
    if combine == "count":
        return Combined(str(len(entries)), len(entries), entries)
    if combine == "list":
        return _listed(entries)
    if combine == "tally":
        counts = Counter(_tidy(entry.text) for entry in entries).most_common()
        text = "\n".join(f"- {name}: {count}" for name, count in counts) or "None."
        return Combined(text, dict(counts), entries)
    return _of_values(combine, entries)


def _listed(entries: Sequence[Entry]) -> Combined:
    by_text: dict[str, Entry] = {}
    for entry in entries:
        by_text.setdefault(_tidy(entry.text).casefold(), entry)
    items = [_tidy(entry.text) for entry in by_text.values()]
    return Combined("\n".join(f"- {item}" for item in items) or "None.", items, list(by_text.values()))


def _of_values(combine: Combine, entries: Sequence[Entry]) -> Combined | None:
    valued = [entry for entry in entries if entry.value is not None]
    numbers = [entry.value for entry in valued if entry.value is not None]
    if not numbers:
        return Combined("0", 0, entries) if combine == "sum" else None
    if (values := _in_one_unit(numbers)) is None:
        return None
    unit = numbers[0].unit
    if combine in {"max", "min"}:
        extreme = max(values) if combine == "max" else min(values)
        winners = [entry for entry, value in zip(valued, values, strict=True) if value == extreme]
        return Combined(_number(extreme, unit), _plain(extreme), winners)
    total = sum(values, Fraction(0))
    result = total if combine == "sum" else total / len(values)
    return Combined(_number(result, unit), _plain(result), valued)


def _in_one_unit(numbers: Sequence[Quantity]) -> list[Fraction] | None:
    """Return the numbers in the first one's unit; None where they measure different things."""
    first = numbers[0]
    if all(number.unit.casefold() == first.unit.casefold() for number in numbers):
        return [number.written for number in numbers]
    unit = unit_of(first.unit)
    if unit is None or any(number.dimension != first.dimension for number in numbers):
        return None
    return [(number.value - unit.offset) / unit.factor for number in numbers]


def as_json(value: Any) -> str:
    """The combined value for an output type."""
    return json.dumps(value, ensure_ascii=False)


def _plain(value: Fraction) -> int | float:
    return value.numerator if value.denominator == 1 else float(value)


def _number(value: Fraction, unit: str) -> str:
    whole = value.denominator == 1
    text = str(value.numerator) if whole else f"{float(value):.6f}".rstrip("0").rstrip(".")
    return f"{text} {unit}".strip()


def _tidy(text: str) -> str:
    return " ".join(text.split()).strip(" .;,-")
