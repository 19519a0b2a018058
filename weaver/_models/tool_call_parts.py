"""From the pieces of tool calls to whole calls."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic_core import from_json

from weaver._data.messages import ToolCall
from weaver._json_reading.json_types import Json
from weaver._models.protocol import ToolCallPart

_MOST_VALUES = 64
_MOST_WRAPPINGS = 3


class ToolCallParts:
    """Collects the pieces of one reply's tool calls; joining them takes time linear in their length."""

    __slots__ = ("_arguments", "_data", "_ids", "_names")

    def __init__(self) -> None:
        self._arguments: dict[int, list[str]] = {}
        self._ids: dict[int, str] = {}
        self._names: dict[int, str] = {}
        self._data: dict[int, dict[str, Any]] = {}

    def __bool__(self) -> bool:
        return bool(self._arguments)

    def add(self, part: ToolCallPart) -> None:
        """Take a piece."""
        pieces = self._arguments.setdefault(part.index, [])
        if part.arguments:
            pieces.append(part.arguments)
        if part.id:
            self._ids[part.index] = part.id
        if part.name:
            self._names[part.index] = part.name
        if part.provider_data:
            self._data.setdefault(part.index, {}).update(part.provider_data)

    def calls(self) -> tuple[ToolCall, ...]:
        """The calls so far, each with an id that no other has."""
        calls: list[ToolCall] = []
        ids: set[str] = set()
        for index, pieces in sorted(self._arguments.items()):
            id_ = self._ids.get(index) or f"call_{index}"
            data = self._data.get(index, {})
            name = self._names.get(index, "")
            calls += [ToolCall(_unique(id_, ids), name, text, data) for text in _arguments("".join(pieces))]
        return tuple(calls)


def _unique(id_: str, ids: set[str]) -> str:
    own, number = id_, 1
    while own in ids:
        number += 1
        own = f"{id_}_{number}"
    ids.add(own)
    return own


def _arguments(text: str) -> list[str]:
    """The arguments in ``text``: one JSON object, perhaps wrapped in strings, or several in a row."""
    try:
        value: Json = from_json(text) if text.strip() else {}
    except ValueError:
        return _in_a_row(text)
    wrapped = False
    for _ in range(_MOST_WRAPPINGS):
        if not isinstance(value, str):
            break
        try:
            value = from_json(value) if value.strip() else {}
            wrapped = True
        except ValueError:
            break
    return [json.dumps(value, ensure_ascii=False)] if wrapped and isinstance(value, dict) else [text]


def _in_a_row(text: str) -> list[str]:
    """Several whole objects, one after the other; repeats, and empty ones beside others, do not count."""
    values = list(_objects(text))
    if len(values) < 2:
        return [text]
    in_order: list[Any] = []
    for value in values:
        if value and value not in in_order:
            in_order.append(value)
    return [json.dumps(value, ensure_ascii=False) for value in in_order] or ["{}"]


def _objects(text: str) -> Iterator[Any]:
    """The JSON objects that ``text`` consists of; none when there is anything else in it."""
    decoder, at = json.JSONDecoder(), 0
    values: list[Any] = []
    text = text.strip()
    while at < len(text) and len(values) < _MOST_VALUES:
        if text[at].isspace():
            at += 1
            continue
        if text[at] != "{":
            return
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return
        values.append(value)
    if at >= len(text):
        yield from values
