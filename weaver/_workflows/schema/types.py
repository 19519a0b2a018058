"""What a value must look like: a small part of JSON Schema, for inputs and for the outputs of steps."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    PlainSerializer,
    TypeAdapter,
    ValidationError,
)
from pydantic.fields import FieldInfo

from weaver._json_reading.json_types import JsonLike, is_array, is_list_or_tuple, is_object

TypeName = Literal["string", "integer", "number", "boolean", "object", "array", "any"]
TYPE_NAMES: tuple[str, ...] = ("string", "integer", "number", "boolean", "object", "array", "any")
_OTHER_NAMES = {
    "str": "string", "text": "string", "int": "integer", "float": "number", "bool": "boolean",
    "list": "array", "dict": "object", "map": "object", "mapping": "object", "file": "string",
}  # fmt: skip


Number = Annotated[float, PlainSerializer(lambda value: int(value) if value == int(value) else value)]


def _plain(value: Any) -> Any:
    if not isinstance(value, (str, int, float)):
        raise ValueError("a text, a number, true or false is expected")
    return value


Plain = Annotated[Any, BeforeValidator(_plain, json_schema_input_type=str | int | float | bool)]


def _type_name(name: Any) -> Any:
    if isinstance(name, str) and name not in TYPE_NAMES:
        hint = (
            f"did you mean {_OTHER_NAMES[name]!r}?"
            if name in _OTHER_NAMES
            else f"known: {', '.join(TYPE_NAMES)}"
        )
        raise ValueError(f"there is no type {name!r}; {hint}")
    return name


def _type_may_be_implied(schema: dict[str, Any]) -> None:
    schema["required"] = [name for name in schema.get("required", ()) if name != "type"]
    if not schema["required"]:
        del schema["required"]


def key_of(name: str, field: FieldInfo) -> str:
    """Return how a field is called in a file."""
    alias = field.validation_alias
    return alias if isinstance(alias, str) else name


class ValueSpec(BaseModel):
    """What a value must look like. A type name stands for itself, ``[string]`` for a list of strings."""

    short_form: ClassVar[str] = "a type's name, a list of one"
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        serialize_by_alias=True,
        hide_input_in_errors=True,
        json_schema_extra=_type_may_be_implied,
    )

    type: Annotated[TypeName, BeforeValidator(_type_name)] = Field(
        description="string, integer, number, boolean, object, array or any. Implied by properties, items.",
        examples=["string"],
    )
    description: str = Field(
        default="", description="What it is, for people and models.", examples=["The question to answer."]
    )
    enum: tuple[Plain, ...] | None = Field(
        default=None, min_length=1, description="The only values allowed.", examples=[["low", "high"]]
    )
    nullable: bool = Field(
        default=False, strict=True, description="Whether null is allowed too.", examples=[True]
    )
    properties: dict[str, Value] | None = Field(
        default=None,
        description="The fields of an object, each with its type.",
        examples=[{"title": "string"}],
    )
    required: tuple[str, ...] | None = Field(
        default=None, description="Fields that must be there. Default: all of them.", examples=[["title"]]
    )
    items: Value | None = Field(
        default=None, description="What each item of an array looks like.", examples=["string"]
    )
    min_items: int | None = Field(
        default=None,
        validation_alias="minItems",
        serialization_alias="minItems",
        ge=0,
        description="Fewest items.",
        examples=[1],
    )
    max_items: int | None = Field(
        default=None,
        validation_alias="maxItems",
        serialization_alias="maxItems",
        ge=0,
        description="Most items.",
        examples=[8],
    )
    minimum: Number | None = Field(default=None, description="Smallest number allowed.", examples=[0])
    maximum: Number | None = Field(default=None, description="Largest number allowed.", examples=[10])
    min_length: int | None = Field(
        default=None,
        validation_alias="minLength",
        serialization_alias="minLength",
        ge=0,
        description="Fewest characters.",
        examples=[1],
    )
    max_length: int | None = Field(
        default=None,
        validation_alias="maxLength",
        serialization_alias="maxLength",
        ge=0,
        description="Most characters.",
        examples=[280],
    )

    def fits(self) -> str | None:
        """Return why the parts do not go together, or None."""
        for_type = {
            "properties": "object", "required": "object", "items": "array", "min_items": "array",
            "max_items": "array", "min_length": "string", "max_length": "string",
        }  # fmt: skip
        for name, type_ in for_type.items():
            if getattr(self, name) is not None and self.type != type_:
                label = key_of(name, type(self).model_fields[name])
                return f"{label} goes with type {type_}, not {self.type}"
        if (self.minimum is not None or self.maximum is not None) and self.type not in ("integer", "number"):
            return f"minimum and maximum go with numbers, not {self.type}"
        if missing := [n for n in self.required or () if n not in (self.properties or {})]:
            return f"required names {missing[0]!r}, which is not in properties"
        if self.enum is not None:
            plain = ValueSpec(type=self.type)
            if wrong := [e for e in self.enum if self.type in ("object", "array") or plain.problem_with(e)]:
                return f"the enum value {wrong[0]!r} is not of type {self.type}"
        return None

    @property
    def needs(self) -> tuple[str, ...]:
        """The fields that must be there."""
        return tuple(self.properties or ()) if self.required is None else self.required

    def json_schema(self) -> dict[str, Any]:
        """Standard JSON Schema, with everything spelled out."""
        schema: dict[str, Any] = {} if self.type == "any" else {"type": self.type}
        if self.nullable and self.type != "any":
            schema["type"] = [self.type, "null"]
        if self.description:
            schema["description"] = self.description
        if self.enum is not None:
            schema["enum"] = [*self.enum, *([None] if self.nullable else [])]
        for name in ("minimum", "maximum", "min_items", "max_items", "min_length", "max_length"):
            if (value := getattr(self, name)) is not None:
                schema[key_of(name, type(self).model_fields[name])] = value
        if self.items is not None:
            schema["items"] = self.items.json_schema()
        if self.properties is not None:
            schema["properties"] = {name: spec.json_schema() for name, spec in self.properties.items()}
            schema["required"] = list(self.needs)
            schema["additionalProperties"] = False
        return schema

    def python_type(self, name: str = "output") -> Any:
        """A type that pydantic checks such values with; objects become plain dicts."""
        base: Any = self._bare_type(name)
        if self.enum is not None:
            base = Literal[self.enum]
        limits: dict[str, Any] = {
            "ge": self.minimum, "le": self.maximum,
            "min_length": self.min_items if self.type == "array" else self.min_length,
            "max_length": self.max_items if self.type == "array" else self.max_length,
        }  # fmt: skip
        limits_set = {key: value for key, value in limits.items() if value is not None and self.enum is None}
        if limits_set or self.description:
            base = Annotated[base, Field(description=self.description or None, **limits_set)]
        return base | None if self.nullable else base

    def _bare_type(self, name: str) -> Any:
        from typing import NotRequired

        from typing_extensions import TypedDict

        match self.type:
            case "object" if self.properties is not None:
                fields = {
                    key: kind if key in self.needs else NotRequired[kind]
                    for key, kind in ((k, spec.python_type(k)) for k, spec in self.properties.items())
                }
                typed = TypedDict(name, fields)  # type: ignore[misc]
                config = ConfigDict(extra="ignore", json_schema_extra={"additionalProperties": False})
                setattr(typed, "__pydantic_config__", config)  # noqa: B010 - it has no such attribute to mypy
                return typed
            case "object":
                return dict[str, Any]
            case "array":
                return list[Any] if self.items is None else list[self.items.python_type(name)]  # type: ignore[misc]
            case "any":
                return Any
            case _:
                return {"string": str, "integer": int, "number": FiniteFloat, "boolean": bool}[self.type]

    def problem_with(self, value: Any) -> str | None:
        """Return the problem of a value in words, or None. Numbers are not text, and text is not a number."""
        if self.type == "boolean" and isinstance(value, str):
            return "true or false is expected; yes, no, on and off are texts in YAML 1.2"
        try:
            TypeAdapter(self.python_type()).validate_python(value, strict=True)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            at = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in first["loc"]).lstrip(".")
            message = in_words(first["msg"])
            return f"{at}: {message}" if at else message
        return None

    def read(self, text: str) -> Any:
        """The value that a person means with ``text`` on a command line.

        Raises:
            ValueError: it cannot be read as this type.
        """
        if self.type == "string":
            return text
        if self.type == "any":
            return _json_or(text, text)
        as_json = text.lstrip().startswith({"array": "[", "object": "{"}.get(self.type, "\0"))
        value = _json(text.strip()) if as_json else _json_or(text.strip(), None)
        if self.type == "array" and not is_array(value):
            value = [part.strip() for part in text.split(",") if part.strip()]
            if self.items is not None and self.items.type != "string":
                value = [_json_or(part, part) for part in value]
        if self.type == "number" and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if self.type == "boolean" and not isinstance(value, bool):
            raise ValueError("true or false is expected")
        if self.type == "object" and not is_object(value):
            raise ValueError('an object is expected, as JSON: {"name": "value"}')
        if (problem := self.problem_with(value)) is not None:
            raise ValueError(problem)
        return value


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        if error.pos >= len(text) or error.msg.startswith("Unterminated"):
            raise ValueError("the JSON is not closed: a bracket or a quote is missing at its end") from None
        problem = f"{error.msg[:1].lower()}{error.msg[1:]} before {text[error.pos : error.pos + 20]!r}"
        raise ValueError(f"this is no JSON: {problem}") from None
    except RecursionError:
        raise ValueError("the JSON is nested too deep") from None


_SUBJECT = re.compile(r"\b(Input|String|List|Tuple|Mapping|Dictionary) should")
_ASIDE = re.compile(r" after validation, not \d+|, unable to parse string as an? \w+")


def in_words(message: str) -> str:
    """Return what pydantic says of a value, for people who do not know pydantic."""
    message = _ASIDE.sub("", _SUBJECT.sub("it should", message)).replace("dictionary", "mapping")
    return message[:1].lower() + message[1:]


def _json_or(text: str, otherwise: Any) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return otherwise


def _from_short(value: JsonLike) -> Any:
    """``string`` and ``[string]``; the type where other keys imply it."""
    if isinstance(value, str):
        return {"type": value}
    if isinstance(value, (list, tuple)):
        if len(value) != 1:
            raise ValueError("a list type names one type, like [string]")
        return {"type": "array", "items": value[0]}
    if isinstance(value, Mapping) and "type" not in value:
        implied = {"properties": "object", "items": "array", "enum": _enum_type(value.get("enum"))}
        for key, type_ in implied.items():
            if key in value and type_:
                return {"type": type_, **value}
    return value


def _enum_type(enum: JsonLike) -> str:
    if not is_list_or_tuple(enum) or not enum:
        return "string"
    names: dict[type[Any], str] = {bool: "boolean", str: "string", int: "integer", float: "number"}
    return names.get(type(enum[0]), "string")


def _checked(spec: ValueSpec) -> ValueSpec:
    if (problem := spec.fits()) is not None:
        raise ValueError(problem)
    return spec


def _to_short(spec: Any, write: Any) -> Any:
    written = write(spec)
    if not is_object(written):
        return written
    if set(written) == {"type"}:
        return written["type"]
    if set(written) == {"type", "items"} and written["type"] == "array":
        return [written["items"]]
    if (written.get("type") == "object" and "properties" in written) or (
        written.get("type") == "array" and "items" in written
    ):
        written = {key: value for key, value in written.items() if key != "type"}
    return written


class _Written:
    """Metadata: both directions of the short forms, the check of the parts, and all of it as JSON Schema."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        inner = handler(source)
        return core_schema.no_info_after_validator_function(
            _checked,
            core_schema.no_info_before_validator_function(_from_short, inner),
            serialization=core_schema.wrap_serializer_function_ser_schema(_to_short, schema=inner),
        )

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> Any:
        long = handler(schema)
        type_schema = {"type": "string", "enum": list(TYPE_NAMES)}
        return {
            "anyOf": [
                type_schema,
                {"type": "array", "items": type_schema, "minItems": 1, "maxItems": 1},
                long,
            ]
        }


Value = Annotated[ValueSpec, _Written()]
"""A `ValueSpec`, written short where it can be."""

ValueSpec.model_rebuild()


def written_short(type_: Any) -> Any:
    """A subclass of `ValueSpec` with the same short forms."""
    return Annotated[type_, _Written()]


__all__ = ["TYPE_NAMES", "Value", "ValueSpec", "written_short"]
