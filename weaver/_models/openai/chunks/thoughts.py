"""Thinking that a server leaves in the content: ``<think>...</think>`` before the answer is reasoning."""

from __future__ import annotations

import re

from weaver._models.protocol import Delta, Reasoning, Text

_OPEN = re.compile(r"<(think|thinking|thought|reasoning|seed:think)>|◁(think)▷|\[(THINK)\]", re.IGNORECASE)
_MOST_BLANKS = 256
_LONGEST = len("</seed:think>")
_MAY_OPEN = tuple(
    tag.lower()
    for tag in ("<think>", "<thinking>", "<thought>", "<reasoning>", "<seed:think>", "◁think▷", "[think]")
)
_FIRST = frozenset(tag[0] for tag in _MAY_OPEN)


class ThoughtSplitter:
    """Takes a chat answer's content in pieces and tells thinking at its beginning from the answer.

    Tags that come after the first word of the answer are text. Thinking that is never closed stays thinking.

    Attributes:
        done: the answer has begun; what follows is text.
    """

    __slots__ = ("_close", "_held", "_thought", "done")

    def __init__(self) -> None:
        self.done = False
        self._held = ""
        self._thought = False  # blanks between thinking and answer belong to neither
        self._close: re.Pattern[str] | None = None  # what ends the thinking that is being read

    def split(self, piece: str) -> list[Delta]:
        """The deltas that ``piece`` completes."""
        if piece and not (self._held or self._thought or piece[0] in _FIRST or piece[0].isspace()):
            self.done = True  # as most answers begin
            return [Text(piece)]
        deltas: list[Delta] = []
        self._held += piece
        while not self.done and self._step(deltas):
            pass
        return deltas

    def end(self) -> list[Delta]:
        """Return what was held back, after the last piece."""
        held, self._held = self._held, ""
        if not held or (self._thought and not held.strip()):
            return []
        return [Reasoning(held) if self._close is not None else Text(held)]

    def _step(self, deltas: list[Delta]) -> bool:
        """Read one thing. False waits for more."""
        held = self._held
        if self._close is not None:
            end = self._close.search(held)
            cut = end.start() if end else max(0, len(held) - _LONGEST)
            if held[:cut].strip():
                deltas.append(Reasoning(held[:cut]))
            elif end is None:
                self._held = held[max(0, cut - _MOST_BLANKS) :]  # as below
                return False
            self._held = held[end.end() :] if end else held[cut:]
            if end is not None:
                self._close = None
            return end is not None
        start = held.lstrip()
        if self._thought:
            self._held = held = start
        if tag := _OPEN.match(start):
            name = next(group for group in tag.groups() if group)
            opening, right = tag.group()[0], tag.group()[-1]
            self._close = re.compile(re.escape(f"{opening}/{name}{right}"), re.IGNORECASE)
            self._held = start[tag.end() :]
            self._thought = True
            return True
        if not start:
            self._held = held[:_MOST_BLANKS]  # a flood of blanks is not looked through again and again
            return False
        if any(tag.startswith(start.lower()) for tag in _MAY_OPEN):
            return False
        self._held = ""
        self.done = True
        deltas.append(Text(held))
        return False
