"""Fields of an assistant's message that its provider wants back beside tool calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weaver._data.conversation.reading import RETURNED
from weaver._json_reading.json_types import is_array, is_object
from weaver._models.protocol import MessageData

_TEXTS = ("reasoning_content", "reasoning")
_LISTS = ("reasoning_details", "thinking_blocks")
_OBJECTS = tuple(name for name in RETURNED if name not in (*_TEXTS, *_LISTS))
_JOINED = ("text", "thinking", "summary")  # texts of a block that come in pieces


class MessageDataReader:
    """Collects these fields from the pieces of one message, in time linear in their length."""

    __slots__ = ("_blocks", "_objects", "_texts")

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}
        self._blocks: dict[str, list[dict[str, Any]]] = {}
        self._objects: dict[str, Any] = {}

    def read(self, message: Mapping[str, Any]) -> None:
        """Take what a piece of the message has of them."""
        for name in _TEXTS:
            if (text := message.get(name)) and isinstance(text, str):
                self._texts.setdefault(name, []).append(text)
        for name in _LISTS:
            if is_array(blocks := message.get(name)):
                self._blocks.setdefault(name, []).extend(block for block in blocks if is_object(block))
        for name, value in message.items():
            if value and (name in _OBJECTS or "signature" in name):
                self._objects[name] = value

    def message_data(self) -> MessageData | None:
        """All of them, as they have to go back; None when there are none."""
        fields: dict[str, Any] = {name: "".join(pieces) for name, pieces in self._texts.items()}
        fields |= {name: _whole(blocks) for name, blocks in self._blocks.items() if blocks}
        fields |= self._objects
        return MessageData(fields) if fields else None


def _whole(pieces: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Blocks whose pieces are put together: neighbours of one type, up to the signature that closes one."""
    blocks: list[dict[str, Any]] = []
    texts: dict[str, list[str]] = {}

    def close() -> None:
        if blocks:
            blocks[-1].update({name: "".join(parts) for name, parts in texts.items()})
        texts.clear()

    for piece in pieces:
        last = blocks[-1] if blocks else None
        same = (
            last is not None
            and not last.get("signature")
            and all(last.get(name) == piece.get(name, last.get(name)) for name in ("type", "index", "id"))
            and not piece.get("data")
            and not last.get("data")
        )
        if not same:
            close()
            blocks.append({})
        block = blocks[-1]
        for name, value in piece.items():
            if name in _JOINED and isinstance(value, str):
                texts.setdefault(name, []).append(value)
            elif value is not None or name not in block:
                block[name] = value
    close()
    return blocks
