"""Objects of an output type while a model still writes them."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    NotRequired,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import BaseModel, RootModel
from pydantic.fields import FieldInfo
from typing_extensions import TypeIs, is_typeddict

from weaver._json_reading.json_types import Json, is_object
from weaver._json_reading.streaming import JsonReader
from weaver._runtime.output.output_types import MisfitError, output_type
from weaver._runtime.output.structured_output import Shape
from weaver.errors import ConfigurationError

LEAST_GROWTH = 64
"""A new object is made when the text has grown by one such part of itself: making all takes n log n time."""


class _Nothing:
    pass


NOTHING: Final = _Nothing()
_COLLECTIONS: dict[Any, Callable[[list[Any]], Any]] = {tuple: tuple, set: set, frozenset: frozenset}
"""There is no value yet."""


class PartialOutput:
    """Reads an output piece by piece and makes objects of what there is.

    A text that is being written counts as far as it goes; of other scalars only whole ones count. Fields that
    are not there yet have their default, or None: such an object is made without validation. Of a union there
    is nothing until only one member fits.

    Args:
        type_: the output type: see `weaver._runtime.output.output_types`.
    """

    def __init__(self, type_: Any) -> None:
        self._shape = Shape[Any](type_)
        self._source = Any if isinstance(type_, Mapping) else type_
        self._last: Any = NOTHING
        self.restart()

    def restart(self) -> None:
        """Begin anew: the text so far is void."""
        self._reader = JsonReader(chars_per_step=1)
        self._chars = 0
        self._next = 0

    def feed(self, piece: str) -> None:
        """Read on."""
        self._chars += len(piece)
        self._reader.feed(piece)

    def changed(self) -> Iterator[Any]:
        """The object so far, if it is another one than the last."""
        if self._chars < self._next:
            return
        self._next = self._chars + max(1, self._chars // LEAST_GROWTH)
        reader = self._reader
        root = reader.root if reader.root is not None else reader.values[-1].value if reader.values else None
        if root is None or not (root or reader.open_text):
            return
        value = _Maker(reader).whole(self._source, root, self._shape.is_wrapped)
        if value is not NOTHING and value != self._last:
            self._last = value
            yield value


class _Maker:
    """Makes values of types from what a reader has read."""

    def __init__(self, reader: JsonReader) -> None:
        self._reader = reader
        self._open = set(map(id, reader.open_values))
        self._innermost = id(reader.open_values[-1]) if reader.open_values else 0

    def whole(self, type_: Any, root: Any, is_wrapped: bool) -> Any:
        if is_wrapped and is_object(root):
            if "value" in root:
                return self._make(type_, root["value"])
            if (text := self._text_of(root)) is not None and text[0] == "value":
                return self._text(type_, text[1])
        return self._make(type_, root)

    def _text_of(self, value: Any) -> tuple[str | None, str] | None:
        return self._reader.open_text if id(value) == self._innermost else None

    def _make(self, type_: Any, value: Json) -> Any:
        """``value`` as a ``type_``, or `NOTHING`."""
        if id(value) not in self._open:
            try:
                return output_type(type_).validated(value)
            except (MisfitError, ConfigurationError):
                pass  # perhaps a field is missing
        if isinstance(value, dict):
            return self._object(type_, value)
        if isinstance(value, list):
            return self._list(type_, value)
        return NOTHING

    def _text(self, type_: Any, text: str) -> Any:
        """A text that is still being written."""
        kinds = [_bare(kind) for kind in _members(type_)]
        if any(get_origin(kind) is Literal for kind in kinds):
            return NOTHING
        return text if any(kind in (str, Any, object) for kind in kinds) else NOTHING

    def _object(self, type_: Any, value: dict[str, Any]) -> Any:
        kinds = [kind for kind in map(_bare, _members(type_)) if _has_keys(kind)]
        if len(kinds) > 1:
            kinds = [kind for kind in kinds if self._may_be(kind, value)]
        if len(kinds) != 1:
            return NOTHING
        (kind,) = kinds
        if kind in (Any, object):
            return dict(self._items(value, lambda _: Any))
        if get_origin(kind) is dict or kind is dict:
            _, inner = get_args(kind) or (Any, Any)
            return dict(self._items(value, lambda _: inner))
        if is_root_model(kind):
            inner = self._make(kind.model_fields["root"].annotation, value)
            return inner if inner is NOTHING else kind.model_construct(root=inner)
        fields = _fields_of(kind)
        values = {
            fields[name].name: made
            for name, made in self._items(value, lambda name: fields[name].type if name in fields else None)
        }
        return _construct(kind, values)

    def _items(self, value: dict[str, Any], type_of: Callable[[str], Any]) -> Iterator[tuple[str, Any]]:
        for name, inner in value.items():
            if (kind := type_of(name)) is not None and (made := self._make(kind, inner)) is not NOTHING:
                yield name, made
        if (text := self._text_of(value)) is not None and text[0] is not None:
            kind = type_of(text[0])
            if kind is not None and (made := self._text(kind, text[1])) is not NOTHING:
                yield text[0], made

    def _list(self, type_: Any, value: list[Any]) -> Any:
        for kind in map(_bare, _members(type_)):
            if is_root_model(kind):
                inner = self._list(kind.model_fields["root"].annotation, value)
                return inner if inner is NOTHING else kind.model_construct(root=inner)
            origin: Any = get_origin(kind) or kind
            arguments: tuple[Any, ...] = get_args(kind) or (Any,)
            if kind in (Any, object):
                origin = list
            elif (
                isinstance(origin, type) and issubclass(origin, Sequence | Set) and origin not in (str, bytes)
            ):
                pass
            else:
                continue
            fixed = origin is tuple and arguments[-1] is not ...
            made = [
                self._make(arguments[min(i, len(arguments) - 1)] if fixed else arguments[0], inner)
                for i, inner in enumerate(value)
            ]
            if (text := self._text_of(value)) is not None:
                at = min(len(value), len(arguments) - 1) if fixed else 0
                made.append(self._text(arguments[at], text[1]))
            items = [item for item in made if item is not NOTHING]
            try:
                return _COLLECTIONS[origin](items) if origin in _COLLECTIONS else items
            except TypeError:  # an object that is not whole may not be hashable
                return NOTHING
        return NOTHING

    def _may_be(self, kind: Any, value: dict[str, Any]) -> bool:
        """True where an object with these keys may become a ``kind``."""
        fields = _fields_of(kind)
        for name, inner in value.items() if fields else ():
            if name not in fields:
                return False
            type_ = fields[name].type
            if get_origin(_bare(type_)) is Literal and self._make(type_, inner) is NOTHING:
                return False
        return True


def _has_keys(kind: Any) -> bool:
    """True for types whose values are objects in JSON."""
    if kind in (Any, object, dict) or get_origin(kind) is dict or is_root_model(kind):
        return True
    return bool(_fields_of(kind))


@dataclasses.dataclass(frozen=True, slots=True)
class _Field:
    name: str
    type: Any


def is_root_model(kind: Any) -> bool:
    """True for a model that stands for one value."""
    return isinstance(kind, type) and issubclass(kind, RootModel)


def _members(type_: Any) -> tuple[Any, ...]:
    """The members of a union; of another type itself."""
    bare = _bare(type_)
    if get_origin(bare) in (Union, types.UnionType):
        return tuple(member for argument in get_args(bare) for member in _members(argument))
    return () if bare is type(None) else (bare,)


def _bare(type_: Any) -> Any:
    """``type_`` without annotations, aliases and new names."""
    while True:
        origin = get_origin(type_)
        if origin in (Annotated, Required, NotRequired):
            type_ = get_args(type_)[0]
        elif (
            inner := getattr(type_, "__value__", None) or getattr(type_, "__supertype__", None)
        ) is not None:
            type_ = inner
        else:
            return type_


def _is_class(value: object) -> TypeIs[type[Any]]:
    return isinstance(value, type)


def _fields_of(kind: Any) -> dict[str, _Field]:
    """The fields of a class by the names that they have in JSON; none for a type without fields."""
    if not _is_class(kind):
        return {}
    if issubclass(kind, BaseModel):
        return {
            alias: _Field(name, _annotation(info))
            for name, info in kind.model_fields.items()
            for alias in _aliases(name, info)
        }
    if dataclasses.is_dataclass(kind) or is_typeddict(kind):
        names = [f.name for f in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else None
        hints = get_type_hints(kind, include_extras=True)
        return {name: _Field(name, hints[name]) for name in names or hints}
    return {}


def _annotation(info: FieldInfo) -> Any:
    return Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation


def _aliases(name: str, info: FieldInfo) -> Iterator[str]:
    yield name
    for alias in (info.alias, info.validation_alias):
        if isinstance(alias, str):
            yield alias


def _construct(kind: Any, values: dict[str, Any]) -> Any:
    """An object with these fields; the others have their default, or None."""
    if is_typeddict(kind):
        return values
    if issubclass(kind, BaseModel):
        required = [name for name, info in kind.model_fields.items() if info.is_required()]
        absent: dict[str, Any] = dict.fromkeys(required)
        return kind.model_construct(_fields_set=set(values), **absent | values)
    made = object.__new__(kind)
    for item in dataclasses.fields(kind):
        if item.name in values:
            value = values[item.name]
        elif item.default_factory is not dataclasses.MISSING:
            value = item.default_factory()
        else:
            value = None if item.default is dataclasses.MISSING else item.default
        object.__setattr__(made, item.name, value)
    return made
