"""Tool calls in the shapes in which servers stream them: which call a piece belongs to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json, to_json

from weaver.models.protocol import ToolCallPart

_EMPTY = {"{}", "null", '""', '"{}"'}
_CARRIED = ("extra_content", "provider_specific_fields", "cache_control")
_MAX_CHECKS = 8  # of one call's arguments for being whole JSON; each reads all of them


@dataclass(slots=True)
class _Open:
    """A call that is being streamed."""

    position: int
    index: Any
    id: str | None
    name: str
    pieces: list[str] = field(default_factory=list)
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
        """Whether the arguments are JSON already, so that more of it would be another call's."""
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
        """What ``piece`` adds to the arguments; servers also repeat all of them each time."""
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


class ToolCallReader:
    """Tells the calls of one answer apart, by index, id, name and order, whichever the server sends."""

    __slots__ = ("_calls", "_last")

    def __init__(self) -> None:
        self._calls: list[_Open] = []
        self._last: dict[Any, _Open] = {}  # by the server's index; the last call of that index

    def __bool__(self) -> bool:
        return bool(self._calls)

    def read(self, calls: Any) -> Iterator[ToolCallPart]:
        """The parts in ``delta.tool_calls`` (or what a server sends there)."""
        entries = [entry for entry in (calls if isinstance(calls, list) else [calls]) if isinstance(entry, dict)]
        for position, entry in enumerate(entries):
            function = entry.get("function")
            function = function if isinstance(function, dict) else entry
            id_ = entry.get("id")
            id_ = str(id_) if id_ not in (None, "") else None
            name = function.get("name")
            name = name if isinstance(name, str) else ""
            piece = _arguments(function)
            index = entry.get("index")
            index = index if isinstance(index, int | str) else None
            call, is_new = self._call(index, id_, name, piece, position, len(entries))
            if name and name != call.name:
                # Names come whole, growing, or in pieces before any argument.
                call.name = name if is_new or call.length or name.startswith(call.name) else call.name + name
            yield ToolCallPart(
                call.position, id_ or call.id, call.name or None, call.add(piece), _carried(entry, function)
            )

    def close(self) -> Iterator[ToolCallPart]:
        """Arguments that were held back as empty and turned out to be so."""
        for call in self._calls:
            if call.held and not call.length:
                yield ToolCallPart(call.position, call.id, call.name or None, call.held)
                call.held = ""

    def _call(
        self, index: Any, id_: str | None, name: str, piece: str, position: int, together: int
    ) -> tuple[_Open, bool]:
        """The call that a piece belongs to, and whether it begins with it."""
        call = self._known(index, id_, position, together)
        if call is not None and self._begins_another(call, index, id_, name, piece, position):
            call = None
        if call is not None:
            call.id = call.id or id_
            return call, False
        call = _Open(len(self._calls), index, id_, name)
        self._calls.append(call)
        self._last[index] = call
        return call, True

    def _known(self, index: Any, id_: str | None, position: int, together: int) -> _Open | None:
        if id_ is not None:
            recent = reversed(self._calls[-64:])
            same = next((c for c in recent if c.id == id_ and (index is None or c.index == index)), None)
            return same or self._last.get(index)
        if index is not None:
            return self._last.get(index)
        if together > 1:  # the pieces of several calls, in their order
            first = max(0, len(self._calls) - together)
            return self._calls[first + position] if first + position < len(self._calls) else None
        return self._calls[-1] if self._calls else None

    @staticmethod
    def _begins_another(
        call: _Open, index: Any, id_: str | None, name: str, piece: str, position: int
    ) -> bool:
        if id_ is not None and call.id is not None:
            if id_ != call.id:
                return True
            # The same id twice: another call only if it is another one's name and whole arguments.
            return bool(index is None and name and name != call.name and call.is_whole())
        if not name:
            return False
        if name != call.name and (call.length or call.held) and not name.startswith(call.name):
            return True
        if index is None and id_ is None and position > 0 and call.position != position:
            return True
        starts_anew = bool(call.length) and piece.lstrip().startswith("{")
        return starts_anew and call.is_whole() and not piece.startswith(call.text)


def _arguments(function: Mapping[str, Any]) -> str:
    arguments = function.get("arguments")
    if arguments is None:
        arguments = next((function[n] for n in ("parameters", "input") if isinstance(function.get(n), dict)), "")
    return arguments if isinstance(arguments, str) else to_json(arguments).decode()


def _carried(entry: Mapping[str, Any], function: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What has to go back with the call, as it came: signatures of thoughts and marks for caches."""
    if len(entry) <= 4 and len(function) <= 2 and function is not entry and not (entry.keys() - _PLAIN):
        return None
    carried = {k: v for k, v in entry.items() if v and (k in _CARRIED or "signature" in k.lower())}
    if function is not entry:
        inner = {k: v for k, v in function.items() if v and (k in _CARRIED or "signature" in k.lower())}
        if inner:
            carried["function"] = inner
    return carried or None


_PLAIN = {"index", "id", "type", "function"}
