"""Tool calls in the shapes in which servers stream them: which call a piece belongs to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json, to_json

from weaver._json_reading.json_types import Json, is_object
from weaver._models.protocol import ToolCallPart

_EMPTY = {"{}", "null", '""', '"{}"'}
_CARRIED = ("extra_content", "provider_specific_fields", "cache_control")
_RECENT = 64  # calls among which an id is looked for
_MAX_CHECKS = 8  # of one call's arguments for being whole JSON; each reads all of them


@dataclass(slots=True)
class _Open:
    """A call that is being streamed."""

    position: int
    index: Any
    id: str | None
    name: str
    pieces: list[str] = field(default_factory=list[str])
    length: int = 0
    held: str = ""  # empty arguments, which some servers send before the real ones
    checks: int = 0

    @property
    def text(self) -> str:
        """The arguments so far; later calls of this cost nothing until more is added."""
        if len(self.pieces) > 1:
            self.pieces = ["".join(self.pieces)]
        return self.pieces[0] if self.pieces else ""

    def is_whole(self) -> bool:
        """Return True if the arguments are JSON already, so that more of it would be another call's."""
        if self.held:
            return True
        if not self.pieces or not self.pieces[-1].rstrip().endswith("}") or self.checks >= _MAX_CHECKS:
            return False
        self.checks += 1
        try:
            from_json(self.text)
        except ValueError:
            return False
        return True

    def add(self, piece: str) -> str:
        """Return what ``piece`` adds to the arguments; servers also repeat all of them each time."""
        if not piece:
            return ""
        if not self.length:
            if piece.strip() in _EMPTY:
                self.held = piece
                return ""
            if self.held and not piece.lstrip().startswith(("{", '"')):
                piece = self.held + piece
            self.held = ""
        elif len(piece) >= self.length and piece.startswith("{") and piece.startswith(self.text):
            piece = piece[self.length :]
            if not piece:
                return ""
        elif piece.strip() == "{}" and self.is_whole():
            return ""
        self.pieces.append(piece)
        self.length += len(piece)
        return piece


@dataclass(frozen=True, slots=True)
class _Piece:
    """What one entry of a chunk says of one call."""

    index: Any
    id: str | None
    name: str
    arguments: str
    position: int
    provider_data: Mapping[str, Any] | None


class ToolCallReader:
    """Tells the calls of one answer apart, by index, id, name and order, whichever the server sends."""

    __slots__ = ("_calls", "_last")

    def __init__(self) -> None:
        self._calls: list[_Open] = []
        self._last: dict[Any, _Open] = {}  # by the server's index; the last call of that index

    def __bool__(self) -> bool:
        return bool(self._calls)

    def read(self, calls: Json) -> Iterator[ToolCallPart]:
        """The parts in ``delta.tool_calls`` (or what a server sends there)."""
        listed = calls if isinstance(calls, list) else [calls]
        entries = [entry for entry in listed if isinstance(entry, dict)]
        for position, entry in enumerate(entries):
            piece = _piece(entry, position)
            call, is_new = self._call(piece, len(entries))
            if piece.name and piece.name != call.name:
                # Names come whole, growing, or in pieces before any argument.
                grows = is_new or call.length or piece.name.startswith(call.name)
                call.name = piece.name if grows else call.name + piece.name
            added = call.add(piece.arguments)
            if is_new and call.held and not piece.provider_data:
                continue  # it comes with its arguments, by `close` at the latest
            id_ = piece.id or call.id
            yield ToolCallPart(call.position, id_, call.name or None, added, piece.provider_data)

    def close(self) -> Iterator[ToolCallPart]:
        """Arguments that were held back as empty and turned out to be so."""
        for call in self._calls:
            if call.held and not call.length:
                yield ToolCallPart(call.position, call.id, call.name or None, call.held)
                call.held = ""

    def _call(self, piece: _Piece, together: int) -> tuple[_Open, bool]:
        """The call that a piece belongs to, and whether it begins with it."""
        call = self._known(piece, together)
        if call is not None and not _begins_another(call, piece):
            call.id = call.id or piece.id
            return call, False
        call = _Open(len(self._calls), piece.index, piece.id, piece.name)
        self._calls.append(call)
        self._last[piece.index] = call
        return call, True

    def _known(self, piece: _Piece, together: int) -> _Open | None:
        index = piece.index
        if piece.id is not None:
            recent = reversed(self._calls[-_RECENT:])
            same = next((c for c in recent if c.id == piece.id and (index is None or c.index == index)), None)
            return same or self._last.get(index)
        if index is not None:
            return self._last.get(index)
        if together > 1:  # the pieces of several calls, in their order
            at = max(0, len(self._calls) - together) + piece.position
            return self._calls[at] if at < len(self._calls) else None
        return self._calls[-1] if self._calls else None


def _begins_another(call: _Open, piece: _Piece) -> bool:
    """Return True if a piece that seems to be ``call``'s is the first of another call."""
    name = piece.name
    if piece.id is not None and call.id is not None:
        if piece.id != call.id:
            return True
        # The same id twice: another call only if it has another name and comes after whole arguments.
        return piece.index is None and bool(name) and name != call.name and call.is_whole()
    if not name:
        return False
    if name != call.name and (call.length or call.held) and not name.startswith(call.name):
        return True
    if piece.index is None and piece.position > 0 and call.position != piece.position:
        return True
    starts_anew = bool(call.length) and piece.arguments.lstrip().startswith("{")
    return starts_anew and call.is_whole() and not piece.arguments.startswith(call.text)


def _piece(entry: Mapping[str, Any], position: int) -> _Piece:
    function = entry.get("function")
    function = function if is_object(function) else entry
    id_, index, name = entry.get("id"), entry.get("index"), function.get("name")
    return _Piece(
        index if isinstance(index, int | str) else None,
        None if id_ in (None, "") else str(id_),
        name if isinstance(name, str) else "",
        _arguments(function),
        position,
        _carried(entry, function),
    )


def _arguments(function: Mapping[str, Any]) -> str:
    arguments = function.get("arguments")
    if arguments is None:
        arguments = next(
            (function[n] for n in ("parameters", "input") if isinstance(function.get(n), dict)), ""
        )
    return arguments if isinstance(arguments, str) else to_json(arguments).decode()


def _carried(entry: Mapping[str, Any], function: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what has to go back with the call, as it came: signatures of thoughts and marks for caches."""
    if function is not entry and len(function) <= 2 and entry.keys() <= _PLAIN:
        return None
    carried = {k: v for k, v in entry.items() if v and (k in _CARRIED or "signature" in k.lower())}
    if function is not entry:
        inner = {k: v for k, v in function.items() if v and (k in _CARRIED or "signature" in k.lower())}
        if inner:
            carried["function"] = inner
    return carried or None


_PLAIN = {"index", "id", "type", "function"}
