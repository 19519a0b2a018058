"""Output types: whatever pydantic knows, also where it needs help, and JSON Schemas."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from functools import lru_cache
from typing import Annotated, Any, Literal, NotRequired, Required, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError
from typing_extensions import TypedDict

from weaver._json_reading.json_types import JsonLike
from weaver.errors import ConfigurationError

_MOST_PROBLEMS = 8


class MisfitError(ValueError):
    """A value that does not fit an output type; the text says what is wrong where."""


class OutputType:
    """A type that a value must fit: see `output_type`.

    Attributes:
        source: the type, or the JSON Schema.
        json_schema: its JSON Schema.
        choices: texts that name one of its values, in lower case, and those values.
    """

    def __init__(self, source: Any) -> None:
        self.source = source
        self.json_schema: dict[str, Any]
        self.choices: dict[str, Any] = {}
        self._validator: Callable[[Any], Any] | None = None
        if isinstance(source, Mapping):
            self.json_schema = json.loads(json.dumps(source))
            self._validator = _validator(self.json_schema)
            return
        try:
            self.adapter: TypeAdapter[Any] = TypeAdapter(for_pydantic(source))
            self.json_schema = self.adapter.json_schema()
        except (PydanticUserError, PydanticUndefinedAnnotation, ValueError, TypeError) as error:
            raise ConfigurationError(
                f"{source!r} cannot be an output type: {error}.",
                hint="Use a pydantic model, a dataclass, a TypedDict, a scalar, or a JSON Schema.",
            ) from error
        self.choices = {str(name).lower(): value for name, value in _choices(source)}

    @property
    def name(self) -> str:
        """A short name."""
        if self._validator is not None:
            return str(self.json_schema.get("title") or "output")
        return getattr(self.source, "__name__", "") or "output"

    def validated(self, value: Any) -> Any:
        """``value``, read from JSON, as a value of the type.

        Raises:
            MisfitError: it does not fit.
        """
        if self._validator is not None:
            try:
                self._validator(value)
            except (ValueError, RecursionError) as error:
                raise MisfitError(
                    str(error).removeprefix("data.").replace("data ", "output ")[:400]
                ) from error
            return value
        try:
            return self.adapter.validate_python(value)
        except ValidationError as error:
            try:  # strict models take dates, enums and tuples from JSON only
                return self.adapter.validate_json(json.dumps(value))
            except (ValidationError, ValueError):
                raise MisfitError(_problems(error)) from error

    def dumped(self, value: Any) -> Any:
        """``value`` as JSON values."""
        return value if self._validator is not None else self.adapter.dump_python(value, mode="json")


def output_type(source: Any) -> OutputType:
    """The output type of a Python type or of a JSON Schema (a dictionary).

    Raises:
        ConfigurationError: it cannot be one.
    """
    try:
        return _remembered(source)
    except TypeError:  # not hashable
        return OutputType(source)


@lru_cache(maxsize=256)
def _remembered(source: Any) -> OutputType:
    return OutputType(source)


def for_pydantic(type_: Any) -> Any:
    """``type_`` with each ``typing.TypedDict`` made anew, since pydantic takes them from Python 3.12 only."""
    if sys.version_info >= (3, 12):
        return type_
    if type(type_).__name__ == "_TypedDictMeta" and type(type_).__module__ == "typing":
        hints = get_type_hints(type_, include_extras=True)
        fields = {name: _field(hint, name in type_.__required_keys__) for name, hint in hints.items()}
        made = TypedDict(type_.__name__, fields)  # type: ignore[misc]
        for attribute in ("__doc__", "__module__", "__pydantic_config__"):
            if (value := getattr(type_, attribute, None)) is not None:
                setattr(made, attribute, value)
        return made
    origin, arguments = get_origin(type_), get_args(type_)
    if not arguments or origin is Literal:
        return type_
    if origin is Annotated:
        return Annotated[(for_pydantic(arguments[0]), *arguments[1:])]
    made_anew = tuple(map(for_pydantic, arguments))
    if made_anew == arguments:
        return type_
    if origin in (Union, types.UnionType):
        return Union[made_anew]  # noqa: UP007 - of a tuple
    return origin[made_anew]


def _field(hint: Any, required: bool) -> Any:
    while (wrapper := get_origin(hint)) in (Required, NotRequired):
        required = wrapper is Required
        (hint,) = get_args(hint)
    hint = for_pydantic(hint)
    return Required[hint] if required else NotRequired[hint]


def _choices(type_: Any) -> Iterator[tuple[Any, Any]]:
    """Texts that name a value of ``type_``, and that value: of literals and enums."""
    if isinstance(type_, type) and issubclass(type_, Enum):
        for member in type_:
            yield member.name, member.value
        for member in type_:
            yield member.value, member.value
        return
    origin = get_origin(type_)
    if origin is Literal:
        yield from ((value, value) for value in get_args(type_) if value is not None)
    elif origin in (Union, types.UnionType):
        for argument in get_args(type_):
            yield from _choices(argument)
    elif origin is Annotated:
        yield from _choices(get_args(type_)[0])


def _validator(schema: dict[str, Any]) -> Callable[[Any], Any]:
    """A function that raises a `ValueError` for a value that does not fit."""
    import fastjsonschema

    where = 'A schema looks like {"type": "object", "properties": {"name": {"type": "string"}}}.'
    for reference in _references(schema):
        if not reference.startswith("#"):
            raise ConfigurationError(
                f"The output's JSON Schema refers to {reference!r}, and nothing is fetched.",
                hint="Put what it refers to under $defs.",
            )
    try:
        # A format is a remark, as JSON Schema 2020-12 has it: many writers use names of their own.
        validate: Callable[[Any], Any] = fastjsonschema.compile(schema, use_default=False, use_formats=False)
    except Exception as error:
        raise ConfigurationError(f"The output's JSON Schema is wrong: {error}.", hint=where) from error
    return validate


def _references(schema: JsonLike) -> Iterator[str]:
    if isinstance(schema, Mapping):
        for key, value in schema.items():
            if key == "$ref" and isinstance(value, str):
                yield value
            yield from _references(value)
    elif isinstance(schema, list):
        for item in schema:
            yield from _references(item)


def _problems(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, e['loc'])) or 'output'}: {e['msg']}" for e in error.errors()[:_MOST_PROBLEMS]
    )
