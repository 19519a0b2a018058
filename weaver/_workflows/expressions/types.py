"""What an expression's value can be, as far as it is known before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from weaver._json_reading.json_types import is_list_or_tuple, is_object
from weaver._workflows.schema.types import ValueSpec

_WORDS = {
    "any": "anything", "null": "null", "boolean": "true or false", "integer": "a whole number",
    "number": "a number", "string": "a text", "array": "a list", "object": "an object",
}  # fmt: skip
MOST_VALUES = 100
"""Values that a kind lists at most."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A set of possible values.

    Args:
        name: ``any`` or the name of a JSON type (``integer`` is a ``number`` too).
        item: kind of a list's items, None when unknown.
        fields: kinds of an object's fields, None when they are not known.
        nullable: whether null is possible as well.
        enum: the only values, where they are known.
        data: whether a model (or somebody else's text) made the value; it is fenced in prompts.
        most: most items of a list, where that is known.
        label: how messages call it (``the output of step 'search'``).
        noun: how messages call its fields (``step``).
    """

    name: str = "any"
    item: Kind | None = None
    fields: Mapping[str, Kind] | None = None
    nullable: bool = False
    enum: tuple[Any, ...] | None = None
    data: bool = False
    most: int | None = None
    label: str = ""
    noun: str = "field"

    @property
    def words(self) -> str:
        """The type in words, for messages: ``a list``."""
        return _WORDS[self.name]

    @property
    def numeric(self) -> bool:
        """A number of either kind."""
        return self.name in ("integer", "number")

    def one_of(self, *names: str) -> bool:
        """Return True if it may be one of these; what is not known may be anything."""
        return self.name == "any" or self.name in names or (self.name == "integer" and "number" in names)

    def tainted(self, data: bool) -> Kind:
        """The same kind, made by a model if ``data`` says so."""
        return replace(self, data=self.data or data)

    def or_null(self) -> Kind:
        """The same kind, or null."""
        return self if self.nullable else replace(self, nullable=True)

    def field(self, name: str) -> Kind | None:
        """The kind of a field; ANY when fields are not known; None when there is no such field."""
        if self.name == "any" or (self.name == "object" and self.fields is None):
            return Kind(data=self.data)
        field = (self.fields or {}).get(name) if self.name == "object" else None
        return field.tainted(self.data) if field is not None else None

    @property
    def each(self) -> Kind:
        """The kind of one item."""
        return (self.item or Kind()).tainted(self.data)


ANY = Kind()
NULL = Kind("null")
BOOLEAN = Kind("boolean")
INTEGER = Kind("integer")
NUMBER = Kind("number")
STRING = Kind("string")


def array(item: Kind | None = None, **more: Any) -> Kind:
    """A list of ``item``."""
    return Kind("array", item=item, **more)


def record(fields: Mapping[str, Kind], **more: Any) -> Kind:
    """An object with exactly these fields."""
    return Kind("object", fields=fields, **more)


def of_spec(spec: ValueSpec, *, data: bool = False, label: str = "") -> Kind:
    """The kind of the values that a `ValueSpec` allows."""
    fields = None
    if spec.properties is not None:
        fields = {
            name: (kind if name in spec.needs else kind.or_null())
            for name, kind in ((n, of_spec(s, data=data)) for n, s in spec.properties.items())
        }
    return Kind(
        spec.type,
        item=of_spec(spec.items, data=data) if spec.items is not None else None,
        fields=fields,
        nullable=spec.nullable,
        enum=spec.enum,
        data=data,
        most=spec.max_items,
        label=label,
    )


def of_value(value: object) -> Kind:
    """The kind of a value that stands in the file."""
    match value:
        case None:
            return NULL
        case bool():
            return BOOLEAN
        case int():
            return Kind("integer", enum=(value,))
        case float():
            return Kind("number", enum=(value,))
        case str():
            return Kind("string", enum=(value,))
        case _ if is_list_or_tuple(value):
            return array(either(of_value(item) for item in value))
        case _ if is_object(value):
            return record({str(key): of_value(item) for key, item in value.items()})
        case _:
            return ANY


_PLAIN: dict[type[Any], Kind] = {
    type(None): NULL, bool: BOOLEAN, int: INTEGER, float: NUMBER, str: STRING, list: array(), tuple: array(),
    dict: Kind("object"),
}  # fmt: skip


def plain_kind(value: object) -> Kind:
    """The kind of a value without looking inside: for values at run time, which may be large."""
    return _PLAIN.get(type(value), ANY)


def either(kinds: Iterable[Kind]) -> Kind:
    """A kind that covers all of ``kinds``."""
    result: Kind | None = None
    for kind in kinds:
        if result is None:
            result = kind
            continue
        data, nullable = result.data or kind.data, result.nullable or kind.nullable
        if "null" in (result.name, kind.name):
            result, nullable = (kind if result.name == "null" else result), True
        elif result.name == kind.name:
            enum = _together(result.enum, kind.enum)
            fields = result.fields if result.fields == kind.fields else None
            item = either([result.item, kind.item]) if result.item and kind.item else None
            result = Kind(result.name, item=item, fields=fields, enum=enum)
        else:
            result = NUMBER if result.numeric and kind.numeric else ANY
        result = replace(result, data=data, nullable=nullable, label="")
    return result or ANY


def _together(some: tuple[Any, ...] | None, more: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
    """All values of both; not known when there are too many to be worth listing."""
    if some is None or more is None or len(some) + len(more) > MOST_VALUES:
        return None
    return (*some, *more)


def _may_be(number: str, given: Kind) -> bool:
    """Return True if a number can be of the type ``number``; one that is not known may be whole."""
    return number == "number" or (number == "integer" and given.enum is None)


def accepts(wanted: ValueSpec, accepted: Kind, *, template: bool = False) -> str | None:
    """Return why values of kind ``given`` cannot be what ``wanted`` asks for, or None.

    Args:
        template: the value is a text with insertions, so it is a string whatever was inserted.
    """
    if template:
        accepted = STRING
    if wanted.type == "any" or accepted.name == "any":
        return None
    if accepted.name == "null":
        return None if wanted.nullable else f"{of_spec(wanted).words} is expected, null is given"
    if not accepted.one_of(wanted.type) and not (accepted.numeric and _may_be(wanted.type, accepted)):
        return f"{of_spec(wanted).words} is expected, {accepted.words} is given"
    wrong = [value for value in accepted.enum or () if wanted.enum is not None and value not in wanted.enum]
    if wrong:
        return f"{wrong[0]!r} is none of {', '.join(map(repr, wanted.enum or ()))}"
    if wanted.type == "array" and wanted.items is not None and accepted.item is not None:
        return accepts(wanted.items, accepted.item)
    if wanted.type == "object" and wanted.properties is not None and accepted.fields is not None:
        for name in wanted.needs:
            if name not in accepted.fields:
                return f"the field {name!r} is missing"
        for name, kind in accepted.fields.items():
            if name in wanted.properties and (why := accepts(wanted.properties[name], kind)) is not None:
                return f"{name}: {why}"
    return None
