"""Types of JSON, and tests that narrow to them, so that code which reads foreign data is checked too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

if TYPE_CHECKING:
    from typing_extensions import TypeIs

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
"""What a JSON text holds, as `json.loads` makes it. Narrowed by ``isinstance``, at no cost."""

JsonLike: TypeAlias = (
    "Mapping[str, JsonLike] | list[JsonLike] | tuple[JsonLike, ...] | str | int | float | bool | None"
)
"""What users give where JSON is meant: also other mappings, and tuples."""


def is_object(value: object) -> TypeIs[dict[str, Any]]:
    """Return True if a value of foreign data is a JSON object; nothing is known of its fields."""
    return isinstance(value, dict)


def is_mapping(value: object) -> TypeIs[Mapping[str, Any]]:
    """Return True if a value that a user gives stands for a JSON object."""
    return isinstance(value, Mapping)


def is_array(value: object) -> TypeIs[list[Any]]:
    """Return True if a value of foreign data is a JSON array; nothing is known of its items."""
    return isinstance(value, list)


def is_tuple(value: object) -> TypeIs[tuple[Any, ...]]:
    """Return True if a value is a tuple; nothing is known of its items."""
    return isinstance(value, tuple)


def is_iterable(value: object) -> TypeGuard[Iterable[Any]]:
    """Return True if a value that a user gives can be gone through; nothing is known of its items."""
    return isinstance(value, Iterable)


def is_list_or_tuple(value: object) -> TypeIs[list[Any] | tuple[Any, ...]]:
    """Return True if a value that a user gives stands for a JSON array."""
    return isinstance(value, list | tuple)
