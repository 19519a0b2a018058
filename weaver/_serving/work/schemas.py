"""JSON Schemas from clients, made harmless: a check of them must neither fetch anything nor take long."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weaver._json_reading.json_types import JsonLike, is_array, is_mapping
from weaver._serving.http.errors import ApiError, invalid

MOST_PARTS = 5000
"""Objects, lists and values of one schema."""
MOST_DEPTH = 64
_BY_NAME = frozenset({"properties", "$defs", "definitions", "dependentSchemas"})
_VALUES = frozenset({"enum", "const", "default", "examples", "required", "type", "description", "title"})
_LEFT_OUT = frozenset({"$id", "id", "$schema", "$anchor", "default", "examples"})
"""What says nothing about an answer; ids change what references mean."""


def safe_schema(schema: Mapping[str, Any], param: str) -> dict[str, Any]:
    """The schema without ids and patterns.

    A regular expression may take for ever, so patterns are not checked. Descriptions tell them to the model.

    Args:
        param: the field of the request that holds it.

    Raises:
        ApiError: it is too large or too deep, or refers to something outside.
    """
    return _Cleaner(param).part(schema, 0)


class _Cleaner:
    def __init__(self, param: str) -> None:
        self._param = param
        self._left = MOST_PARTS

    def part(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        self._count(depth)
        cleaned: dict[str, Any] = {}
        for key, value in schema.items():
            if key in _LEFT_OUT:
                continue
            if key == "patternProperties" or (key in ("$ref", "$dynamicRef") and not _is_inner(value)):
                raise self._error(f"may not have {key} {str(value)[:60]!r}")
            if key == "pattern":
                about = schema.get("description")
                before = f"{about} " if isinstance(about, str) and about else ""
                cleaned["description"] = f"{before}Matches the regular expression {value}"
            elif key == "description" and "pattern" in schema:
                continue
            elif key in _VALUES:
                self._count(depth, len(value) if is_array(value) else 1)
                cleaned[key] = value
            elif key in _BY_NAME and is_mapping(value):
                cleaned[key] = {name: self._any(item, depth + 1) for name, item in value.items()}
            else:
                cleaned[key] = self._any(value, depth + 1)
        return cleaned

    def _any(self, value: JsonLike, depth: int) -> Any:
        if isinstance(value, Mapping):
            return self.part(value, depth)
        if isinstance(value, list):
            return [self._any(item, depth + 1) for item in value]
        self._count(depth)
        return value

    def _count(self, depth: int, parts: int = 1) -> None:
        self._left -= parts
        if self._left < 0 or depth > MOST_DEPTH:
            raise self._error(f"may have at most {MOST_PARTS} parts, {MOST_DEPTH} deep")

    def _error(self, problem: str) -> ApiError:
        return invalid(f"{self._param} {problem}.", self._param)


def _is_inner(reference: Any) -> bool:
    return isinstance(reference, str) and reference.startswith("#")
