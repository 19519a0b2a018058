"""What pydantic found wrong with a file's data, in words and at the place where it is written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Set
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from weaver._json_reading.json_types import Json, is_array, is_object
from weaver._text.names import closest
from weaver._text.shortening import shorten
from weaver._workflows.format.extension import installed_keys
from weaver._workflows.format.step import Step
from weaver._workflows.schema.types import in_words, key_of
from weaver._workflows.source.diagnostics import Problem, did_you_mean, listed, shortened
from weaver._workflows.source.tree import Keys, Source, written

MOST = 500
"""Problems explained of one file."""
_YAML_1_1 = {"yes", "no", "on", "off", "y", "n"}
_FIRST = (*("version", "name", "steps"), *("task", "agent", "uses", "function", "approve", "with", "output"))
"""What people look for most among the keys that are known."""
_SECRET = re.compile(r"key|token\b|secret|password|credential", re.IGNORECASE)
_EXPECTED = {
    "string_type": "a text is expected",
    "bool_type": "true or false is expected",
    "int_type": "a whole number is expected",
    "int_parsing": "a whole number is expected",
    "int_from_float": "a whole number is expected",
    "float_type": "a number is expected",
    "float_parsing": "a number is expected",
    "list_type": "a list is expected",
    "tuple_type": "a list is expected",
    "dict_type": "a mapping is expected",
    "mapping_type": "a mapping is expected",
    "model_type": "a mapping is expected",
    "model_attributes_type": "a mapping is expected",
}


_OF_AGENT = "it belongs to an agent: `agents: {critic: {%s: ...}}`, and `agent: critic` in the step"
_ELSEWHERE = {
    ("Step", "model"): _OF_AGENT % "model",
    ("Step", "instructions"): _OF_AGENT % "instructions",
    ("Step", "system"): _OF_AGENT % "instructions",
    ("Step", "hooks"): _OF_AGENT % "hooks",
    ("Defaults", "model"): "write `models: {default: ...}` at the top of the file",
    ("Definition", "model"): "write `models: {default: ...}`",
}
"""Where keys belong that people look for elsewhere: (model of the mapping, key) -> hint."""


def explained(
    error: ValidationError, source: Source, root: type[BaseModel], left_out: Set[Keys] = frozenset()
) -> Iterator[tuple[Keys, Problem]]:
    """Each problem with the path of keys that it is about.

    Args:
        left_out: what the validated data lacked of the source's.
    """
    odd = [e["loc"] for e in error.errors(include_url=False) if e["type"] == "extra_forbidden"]
    for entry in error.errors(include_url=False)[:MOST]:
        loc = written(entry["loc"], left_out)
        if entry["type"] == "missing" and (loc in left_out or _said_already(entry["loc"], odd)):
            continue
        keys = _existing(loc, source.data, keep_last=entry["type"] in ("missing", "extra_forbidden"))
        value = _at(source.data, keys)
        kind, context = entry["type"], entry.get("ctx", {})
        if kind == "extra_forbidden":
            problem, hint = _unknown_key(keys, root)
            yield keys, source.problem(source.key_place(keys), keys, problem, hint)
            continue
        if kind == "missing":
            where = keys[:-1]
            place = source.key_place(where) if where else source.value_place(())
            hint = _example(keys, root)
            if where[-1:] == ("strategy",) and "matrix" in (_at(source.data, where) or ()):
                hint = "a strategy has a name; a step runs once per item with `for_each`"
            yield keys, source.problem(place, where, f"the key {keys[-1]!r} is missing", hint)
            continue
        hint = ""
        if kind in _EXPECTED:
            model = model_at(root, keys) if kind.startswith("model") else None
            short = getattr(model, "short_form", "")
            expected = f"{short} or a mapping is expected" if short else _EXPECTED[kind]
            problem = f"{expected}, not {_shown(value)}"
            hint = _for_type(kind, value) or (
                _named(keys, root) if kind.startswith(("dict", "mapping")) else ""
            )
        elif kind == "literal_error":
            allowed = [str(a) for a in _literals(context.get("expected", ""))]
            problem = f"{_shown(value)} is none of {', '.join(allowed)}"
            hint = did_you_mean(str(value), allowed, most=0)
        elif kind in ("value_error", "assertion_error"):
            problem, _, hint = str(context.get("error", entry["msg"])).partition("; ")
            if _worth_showing(value, problem) and not _SECRET.search(str(keys[-1:])):
                problem += f" (given: {_shown(value)})"
        elif kind == "secret":
            problem, _, hint = entry["msg"].partition("; ")
        else:
            problem = in_words(entry["msg"])
            if value is not None and not isinstance(value, (dict, list)):
                problem += f", not {_shown(value)}"
        yield keys, source.problem(source.value_place(keys), keys, problem, hint)


def _said_already(loc: tuple[Any, ...], odd: list[tuple[Any, ...]]) -> bool:
    """Return True if a missing key is there under a wrong name, or goes without saying."""
    beside = [str(other[-1]) for other in odd if other[:-1] == loc[:-1]]
    misspelt = closest(str(loc[-1]), beside) is not None
    return loc == ("version",) or misspelt or (bool(beside) and loc[-1] == "type")


def _holds(at: Any, part: Any) -> bool:
    return (is_object(at) and part in at) or (is_array(at) and isinstance(part, int) and part < len(at))


def _existing(loc: tuple[Any, ...], data: Any, *, keep_last: bool) -> Keys:
    """The part of a location that the file has; pydantic adds names of union members."""
    keys: list[str | int] = []
    at: Any = data
    for number, part in enumerate(loc):
        if _holds(at, part):
            at = at[part]
        elif not (keep_last and number == len(loc) - 1):
            continue
        keys.append(part)
    return tuple(keys)


def _at(data: Any, keys: Keys) -> Any:
    for key in keys:
        try:
            data = data[key]
        except (KeyError, IndexError, TypeError):
            return None
    return data


def _shown(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case _:
            text = repr(value) if isinstance(value, str) else str(value)
            return shorten(text, 60)


def _worth_showing(given: Any, what: str) -> bool:
    return isinstance(given, (str, int, float)) and str(given) not in what and len(str(given)) <= 60


def _for_type(kind: str, given: Json) -> str:
    if kind == "bool_type" and isinstance(given, str) and given.lower() in _YAML_1_1:
        meant = "true" if given.lower() in ("yes", "on", "y") else "false"
        return f"write {meant}: in YAML 1.2 {given} is a text"
    if kind == "string_type" and isinstance(given, (int, float, bool)):
        return f'put it in quotes: "{_shown(given)}"'
    if kind == "string_type" and isinstance(given, dict) and len(given) == 1:
        return "put a text that has ': ' or begins with { in quotes"
    if kind.startswith("int") and isinstance(given, str):
        return "write it without quotes"
    return ""


def _unknown_key(keys: Keys, root: type[BaseModel]) -> tuple[str, str]:
    key = str(keys[-1])
    key_shown = shortened(key)
    model = model_at(root, keys[:-1])
    known_keys = keys_of(model) if model is not None else []
    if model is Step:
        known_keys += [key for key in installed_keys() if key not in known_keys]
    if model is not None and (hint := _ELSEWHERE.get((model.__name__, key))) is not None:
        return f"there is no key {key_shown!r} here", hint
    if " " in key and not set(key) & {":"}:
        return f"there is no key {key_shown!r} here", "a text with a comma inside { } or [ ] needs quotes"
    if "properties" in known_keys:
        close = did_you_mean(key, known_keys, cutoff=0.75)
        hint = close if close.startswith("did") else "name the fields of an object under `properties`"
    else:
        meant = closest(key, known_keys)
        first = sorted(known_keys, key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST))
        hint = f"did you mean {meant!r}?" if meant is not None else listed(first)
    return f"there is no key {key_shown!r} here", hint


def _example(keys: Keys, root: type[BaseModel]) -> str:
    model = model_at(root, keys[:-1])
    if model is None:
        return ""
    for name, field in model.model_fields.items():
        if (key_of(name, field)) == keys[-1] and field.examples:
            return f"for example {keys[-1]}: {_flow(field.examples[0])}"
    return ""


def _named(keys: Keys, root: type[BaseModel]) -> str:
    """Return how a collection is written whose parts have names; people who know other tools give a list."""
    example = _example(keys, root) if len(keys) == 1 else ""
    return f"{keys[-1]} are keyed by name, {example}" if example else ""


def _flow(value: Json) -> str:
    """A value as YAML on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    return f"[{', '.join(map(_flow, value))}]" if isinstance(value, list) else str(value)


def keys_of(model: type[BaseModel]) -> list[str]:
    """The keys that a mapping of this model may have in a file."""
    return [key_of(name, field) for name, field in model.model_fields.items() if not field.exclude]


def model_at(root: type[BaseModel], keys: Keys) -> type[BaseModel] | None:
    """The model that describes the mapping at a path of keys."""
    at: Any = root
    for key in keys:
        model = _model_in(at)
        if model is not None and not isinstance(key, int):
            field = next((f for n, f in model.model_fields.items() if key_of(n, f) == key), None)
            if field is None:
                return None
            at = field.annotation
        else:
            at = next((a for a in reversed(get_args(_bare(at))) if a is not Ellipsis), None)
    return _model_in(at)


def _bare(type_: Any) -> Any:
    """Strip ``Annotated`` and ``| None``."""
    while True:
        origin = get_origin(type_)
        if origin is Annotated:
            type_ = get_args(type_)[0]
        elif origin in (Union, UnionType):
            type_ = next(a for a in get_args(type_) if a is not type(None))
        else:
            return type_


def _model_in(type_: Any) -> type[BaseModel] | None:
    bare = _bare(type_) if type_ is not None else None
    return bare if isinstance(bare, type) and issubclass(bare, BaseModel) else None


def _literals(expected: str) -> list[str]:
    """Pydantic's ``'a', 'b' or 'c'`` as a list."""
    return [part.strip().strip("'") for part in expected.replace(" or ", ", ").split(",")]
