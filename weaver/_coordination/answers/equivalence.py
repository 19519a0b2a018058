"""When two answers are the same answer.

An `Equivalence` reads a value out of an answer's text and compares two values, at once and without a model.
Where that cannot tell, ``same`` says None, and an *arbiter* (the mathematics worker, a judging model) may be
asked about just those pairs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from weaver._coordination.answers.keys import plain_keys, quantity_keys, value_keys
from weaver._coordination.answers.protocol import Equivalence
from weaver._coordination.values.final import (
    NOTHING_FOUND,
    answer_of,
    final_answer,
    final_part,
    is_short,
    json_value,
    plain,
    trimmed,
    written_answer,
)
from weaver._coordination.values.mentions import last_number
from weaver._coordination.values.quantities import Quantity, quantity
from weaver._coordination.values.scalars import BOOLEANS, Value, read_value, same_value
from weaver._json_reading.json_types import Json, is_array, is_tuple
from weaver.errors import ConfigurationError, UnknownNameError


def _read_auto(text: str) -> Any:
    marked = final_answer(text)
    candidate = marked if marked is not None else trimmed(text)
    if not candidate:
        return None
    if candidate[0] in "{[" and (value := json_value(candidate)) is not NOTHING_FOUND:
        return ("json", value)
    if marked is None and not is_short(candidate):
        return Value("text", plain(candidate) or candidate)
    return read_value(candidate)


def _same_auto(a: Any, b: Any) -> bool | None:
    if is_tuple(a) and is_tuple(b):
        return same_json(a[1], b[1])
    return same_value(a, b)


AUTO = Equivalence("auto", _read_auto, _same_auto, keys=value_keys)
EXACT = Equivalence("exact", lambda text: written_answer(text) or None, keys=plain_keys)
TEXT = Equivalence("text", lambda text: plain(answer_of(text)) or trimmed(text) or None, keys=plain_keys)


def number(tolerance: float = 1e-6) -> Equivalence:
    """The marked answer, or else the last number of the text, with its unit.

    Args:
        tolerance: largest relative difference of equal numbers.
    """

    def read(text: str) -> Quantity | None:
        marked = final_answer(text)
        if marked is not None:
            return quantity(marked) or last_number(marked)
        return quantity(trimmed(text)) or last_number(text)

    name = "number" if tolerance == 1e-6 else f"number({tolerance:g})"
    return Equivalence(
        name,
        read,
        lambda a, b: a.agrees(b, tolerance=tolerance),
        keys=lambda value: quantity_keys(value, tolerance),
    )


def _read_choice(text: str) -> str | None:
    marked = final_answer(text)
    for candidate in (marked, trimmed(text)):
        if candidate and (
            match := re.match(r"^\(?(?:option\s+|choice\s+)?([A-J])\)?(?:[.):,\s]|$)", candidate)
        ):
            return match[1]
    letters = re.findall(
        r"\b(?:answer|option|choice)[ \t]{0,4}(?:is|:)?[ \t]{0,4}\(?([A-J])\)?(?![\w'])", text
    )
    return letters[-1] if letters else None


def _read_bool(text: str) -> str | None:
    for candidate in (final_answer(text), text):
        words = plain(candidate).split() if candidate else []
        for word in (words[0], words[-1]) if words else ():
            if word in BOOLEANS:
                return BOOLEANS[word]
    return None


MAX_ITEMS = 200
"""Longer lists are not read as lists: comparing sets takes the square of it."""


_EQUALS = re.compile(r"=|\bequals\b")
_BULLETS = re.compile(r"^[ \t]{0,12}(?:[-*\u2022]|\d{1,3}[.)])[ \t]{1,4}(\S[^\n]*)$", re.MULTILINE)


def items_of(text: str) -> list[Any] | None:
    """The items of the list that is the answer: a JSON array, bullets, numbered lines, or between commas.

    Where the answer is marked, lists before it (steps, reasons) do not count. None when there are none, or
    more than `MAX_ITEMS`.
    """
    part = final_part(text)
    value = json_value(part) if "[" in part else NOTHING_FOUND
    if is_array(value):
        if len(value) > MAX_ITEMS:
            return None
        return [_read_item(v) if isinstance(v, str) else ("json", v) for v in value]
    bullets = _BULLETS.findall(part)
    marked = final_answer(text)
    if bullets and (marked is None or _BULLETS.match(part)):
        parts = bullets
    else:
        # A comma between digits that group ("1,234") does not separate.
        items_text = " ".join((marked or trimmed(text)).strip("{}[]()").split())
        parts = re.split(r"\s*;\s*|\s*,(?!\d{3}(?!\d))\s*(?:and\s+)?|\s+and\s+", items_text)
    items = [_read_item(p) for p in parts if p.strip()] if len(parts) <= MAX_ITEMS else []
    return [i for i in items if i is not None] or None


def _read_item(text: str) -> Any:
    """Its value; of an equation (``3 + 6 = 9``, ``3 + 6 equals 9``) the number it comes to."""
    *terms, result = _EQUALS.split(text)
    if terms and (number := quantity(trimmed(result))) is not None:
        return number
    return read_value(text)


def _same_list(a: list[Any], b: list[Any]) -> bool | None:
    if len(a) != len(b):
        return False
    verdicts = [_same_item(x, y) for x, y in zip(a, b, strict=True)]
    return _all(verdicts)


def _same_set(a: list[Any], b: list[Any]) -> bool | None:
    a, b = _distinct(a), _distinct(b)
    if len(a) != len(b):
        return False
    unmatched = list(b)
    for item in a:
        match = next((other for other in unmatched if _same_item(item, other)), None)
        if match is None:
            return (
                None if any(isinstance(i, Value) and i.kind == "text" for i in (item, *unmatched)) else False
            )
        unmatched.remove(match)
    return True


def _distinct(items: list[Any]) -> list[Any]:
    distinct: list[Any] = []
    for item in items:
        if not any(_same_item(item, k) for k in distinct):
            distinct.append(item)
    return distinct


def _same_item(a: Any, b: Any) -> bool | None:
    if isinstance(a, tuple) or isinstance(b, tuple):
        return same_json(_bare(a), _bare(b))
    return same_value(a, b)


def _bare(item: Any) -> Any:
    if is_tuple(item):
        return item[1]
    return float(item.value) if isinstance(item, Quantity) else item.value


def same_json(a: Json, b: Json, *, tolerance: float = 1e-9) -> bool:
    """Deep equality of JSON values; keys in any order, numbers within a relative ``tolerance``."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return bool(a == b or abs(a - b) <= tolerance * max(abs(a), abs(b)))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same_json(a[k], b[k], tolerance=tolerance) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(
            same_json(x, y, tolerance=tolerance) for x, y in zip(a, b, strict=True)
        )
    return bool(a == b)


def _all(verdicts: Sequence[bool | None]) -> bool | None:
    if any(v is False for v in verdicts):
        return False
    return None if any(v is None for v in verdicts) else True


def _read_json(text: str) -> Any:
    value = json_value(text)
    return None if value is NOTHING_FOUND else ("json", value)


KINDS: dict[str, Equivalence] = {
    "auto": AUTO,
    "exact": EXACT,
    "text": TEXT,
    "number": number(),
    "choice": Equivalence("choice", _read_choice, keys=plain_keys),
    "bool": Equivalence("bool", _read_bool, keys=plain_keys),
    "list": Equivalence("list", items_of, _same_list),
    "set": Equivalence("set", items_of, _same_set),
    "json": Equivalence("json", _read_json, lambda a, b: same_json(a[1], b[1]), keys=value_keys),
}


def equivalence(kind: str | Equivalence | Callable[[str], Any] | None = None) -> Equivalence:
    """The equivalence that ``kind`` names.

    Args:
        kind: None or ``auto`` (the marked answer as number with unit, date, JSON or words); ``exact`` (the
            marked answer, character for character); ``text``; ``number`` or ``number(0.01)`` with a relative
            tolerance; ``choice`` (a letter A to J); ``bool``; ``list``; ``set``; ``json``; ``math`` (needs
            the extra ``math``); a function that maps a text to a comparable value (None: no answer); or an
            `Equivalence`, given back as it is. For free text that a model is to compare, see
            `weaver._coordination.answers.judged.judged`.

    Raises:
        UnknownNameError: there is no such kind.
        ConfigurationError: the tolerance is not a number of at least 0; or the extra is missing.
    """
    if kind is None:
        return AUTO
    if isinstance(kind, Equivalence):
        return kind
    if not isinstance(kind, str):
        return Equivalence(getattr(kind, "__name__", "custom"), kind, keys=plain_keys)
    name = kind.strip()
    if name in KINDS:
        return KINDS[name]
    if name == "math":
        from weaver._coordination.answers.math import mathematics

        return mathematics()
    if match := re.fullmatch(r"number\((?P<tolerance>[^)]*)\)", name):
        try:
            tolerance = float(match["tolerance"])
        except ValueError:
            tolerance = -1.0
        if not 0 <= tolerance < 1:
            raise ConfigurationError(
                f"{match['tolerance']!r} is not a tolerance for number(...).",
                hint="Give a relative difference from 0 to 1, as in number(0.01).",
            )
        return number(tolerance)
    raise UnknownNameError("equivalence", name, (*KINDS, "math"))
