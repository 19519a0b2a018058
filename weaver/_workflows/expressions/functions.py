"""The functions of the expression language: what they take, what they give, what they do.

All are pure, total in time linear in their arguments, and know nothing but JSON values.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from weaver._json_reading.json_types import is_array
from weaver._text.shortening import shorten
from weaver._workflows.expressions.types import ANY, BOOLEAN, INTEGER, NUMBER, STRING, Kind, array, either

MAX_RANGE = 10_000


class UnfitError(ValueError):
    """A function was given something it cannot work with."""


@dataclass(frozen=True, slots=True)
class Function:
    """One function.

    Args:
        signature: for people.
        takes: for each argument, the names of the kinds allowed; () allows any.
        gives: the kind of the result, from the kinds of the arguments.
        required: how many of the arguments must be given.
        doc: one line.
    """

    signature: str
    takes: tuple[tuple[str, ...], ...]
    gives: Callable[[list[Kind]], Kind]
    does: Callable[..., Any]
    doc: str
    required: int = 1


def _fixed(kind: Kind) -> Callable[[list[Kind]], Kind]:
    return lambda _: kind


def _same(given: list[Kind]) -> Kind:
    return given[0]


def _item(given: list[Kind]) -> Kind:
    return given[0].each.or_null()


def _flat(given: list[Kind]) -> Kind:
    return given[0].each if given[0].each.name == "array" else array()


def _total(given: list[Kind]) -> Kind:
    return INTEGER if given[0].each.name == "integer" else NUMBER


def _size(given: list[Kind]) -> Kind:
    return INTEGER if given[0].name == "integer" else NUMBER


def _rounded(given: list[Kind]) -> Kind:
    return INTEGER if len(given) == 1 else NUMBER


def _default(given: list[Kind]) -> Kind:
    kind = Kind(given[0].name, given[0].item, given[0].fields, enum=None, data=given[0].data)
    return either([kind, given[1]]) if kind.name != "null" else given[1]


def _number(value: Any) -> Any:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and len(value) <= 100:
        for read in (int, float):
            try:
                return read(value.strip().replace(",", ""))
            except ValueError:
                continue
    raise UnfitError(f"number() cannot read {_short(value)}")


def _comparable(values: list[Any]) -> list[Any]:
    kinds = {
        "number" if isinstance(v, (int, float)) and not isinstance(v, bool) else type(v).__name__
        for v in values
    }
    if len(kinds) > 1 or kinds - {"number", "str"}:
        raise UnfitError("only numbers, or only texts, can be put in order")
    return values


def _best(which: Callable[..., Any]) -> Callable[[list[Any]], Any]:
    return lambda values: which(_comparable(values)) if values else None


def _sorted(values: list[Any]) -> list[Any]:
    return sorted(_comparable(values))


def _first(values: list[Any]) -> Any:
    return values[0] if values else None


def _last(values: list[Any]) -> Any:
    return values[-1] if values else None


def _values(fields: dict[str, Any]) -> list[Any]:
    return list(fields.values())


def _or_default(value: Any, default: Any) -> Any:
    return default if value is None else value


def _sum(values: list[Any]) -> Any:
    if any(isinstance(v, bool) or not isinstance(v, (int, float)) for v in values):
        raise UnfitError("sum() adds numbers only")
    return sum(values)


def _unique(values: list[Any]) -> list[Any]:
    distinct: dict[str, Any] = {}
    for value in values:
        distinct.setdefault(json.dumps(value, sort_keys=True), value)
    return list(distinct.values())


def _flatten(values: list[Any]) -> list[Any]:
    return [item for value in values for item in (value if is_array(value) else [value])]


def _join(values: list[Any], separator: str = ", ") -> str:
    return separator.join(text_of(value) for value in values)


def _split(text: str, separator: str = "\n") -> list[str]:
    if not separator:
        raise UnfitError("split() needs a separator that is not empty")
    return [part.strip() for part in text.split(separator) if part.strip()]


def _range(count: Any) -> list[int]:
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MAX_RANGE:
        raise UnfitError(f"range() takes a whole number from 0 to {MAX_RANGE:,}")
    return list(range(count))


def text_of(value: Any) -> str:
    """A value as people write it: texts as they are, null as nothing, lists and objects as JSON."""
    if isinstance(value, str):
        return value
    if type(value) is int:
        return str(value)
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def _short(value: Any) -> str:
    return repr(shorten(text_of(value), 40))


def _listed(*functions: Function) -> dict[str, Function]:
    return {function.signature.partition("(")[0]: function for function in functions}


def _function(
    signature: str, takes: str, gives: Kind | Callable[[list[Kind]], Kind], does: Callable[..., Any], doc: str
) -> Function:
    """``takes`` names the kinds of each argument: ``"string|number, integer?"``; ``any`` allows all."""
    parameters = [part.strip() for part in takes.split(",")]
    kinds = tuple(() if part == "any" else tuple(part.rstrip("?").split("|")) for part in parameters)
    required = sum(not part.endswith("?") for part in parameters)
    result = gives if callable(gives) else _fixed(gives)
    return Function(signature, kinds, result, does, doc, required)


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _round(number: Any, digits: int = 0) -> Any:
    return round(number, digits) if digits else round(number)


FUNCTIONS: dict[str, Function] = _listed(
    _function("len(x)", "string|array|object", INTEGER, len, "How many characters, items or fields."),
    _function("lower(text)", "string", STRING, str.lower, "In lower case."),
    _function("upper(text)", "string", STRING, str.upper, "In upper case."),
    _function("strip(text)", "string", STRING, str.strip, "Without blanks at both ends."),
    _function("startswith(text, start)", "string, string", BOOLEAN, str.startswith, "Whether it begins so."),
    _function("endswith(text, end)", "string, string", BOOLEAN, str.endswith, "Whether it ends so."),
    _function(
        "split(text, by='\\n')", "string, string?", array(STRING), _split, "Its parts, without empty ones."
    ),
    _function("join(list, by=', ')", "array, string?", STRING, _join, "The items as one text."),
    _function("text(x)", "any", STRING, text_of, "Anything as a text."),
    _function("number(text)", "string|number", NUMBER, _number, "The number that a text spells."),
    _function("json(x)", "any", STRING, _as_json, "Anything written as JSON; it reads none."),
    _function("abs(n)", "number", _size, abs, "Without its sign."),
    _function("round(n, digits=0)", "number, integer?", _rounded, _round, "Rounded."),
    _function("sum(list)", "array", _total, _sum, "All numbers added."),
    _function("min(list)", "array", _item, _best(min), "The smallest; null for none."),
    _function("max(list)", "array", _item, _best(max), "The largest; null for none."),
    _function("sorted(list)", "array", _same, _sorted, "In rising order."),
    _function("unique(list)", "array", _same, _unique, "Each value once, in order."),
    _function("flatten(list)", "array", _flat, _flatten, "Lists inside the list taken apart."),
    _function("first(list)", "array", _item, _first, "The first item, or null."),
    _function("last(list)", "array", _item, _last, "The last item, or null."),
    _function("any(list)", "array", BOOLEAN, any, "Whether one of them is true."),
    _function("all(list)", "array", BOOLEAN, all, "Whether all are true."),
    _function("keys(object)", "object", array(STRING), list, "The names of the fields."),
    _function("values(object)", "object", array(ANY), _values, "The fields' values."),
    _function("default(x, y)", "any, any", _default, _or_default, "x, or y if x is null."),
    _function("range(n)", "integer", array(INTEGER), _range, "0, 1, ... n-1."),
)
