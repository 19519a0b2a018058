"""Pieces of an answer on their way to a client, which may read more slowly than they are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import anyio

from weaver.models.protocol import ToolCallPart

AGAIN = "\n\n[The answer begins again.]\n\n"
"""Stands between a text that was sent and the one that replaces it: what was sent cannot be taken back."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of the answer (``text``), of the progress or a model's reasoning, or of a refusal."""

    kind: Literal["text", "reasoning", "refusal"]
    text: str


class Outbox:
    """What is to be sent. Texts of one kind are put together, so it holds no more than the answer itself.

    Attributes:
        ended: no more will come.
    """

    def __init__(self) -> None:
        self.ended = False
        self._pieces: list[Piece | ToolCallPart] = []
        self._open: list[str] = []
        self._kind: Literal["text", "reasoning", "refusal"] = "text"
        self._news = anyio.Event()

    def put(self, kind: Literal["text", "reasoning", "refusal"], text: str) -> None:
        """Add a text."""
        if not text:
            return
        if kind != self._kind:
            self._close()
            self._kind = kind
        self._open.append(text)
        self._news.set()

    def put_tool_call(self, part: ToolCallPart) -> None:
        """Add a piece of a tool call."""
        self._close()
        self._pieces.append(part)
        self._news.set()

    def end(self) -> None:
        """Say that no more will come."""
        self.ended = True
        self._news.set()

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits to be sent."""
        return not (self._pieces or self._open)

    def take(self) -> list[Piece | ToolCallPart]:
        """Everything that waits to be sent."""
        self._close()
        pieces, self._pieces = self._pieces, []
        return pieces

    async def wait(self) -> None:
        """Wait until there is something to send, or until the end."""
        while self.is_empty and not self.ended:
            self._news = anyio.Event()
            await self._news.wait()

    def _close(self) -> None:
        if self._open:
            self._pieces.append(Piece(self._kind, "".join(self._open)))
            self._open = []


class AnswerText:
    """The answer's text as a client has it, which is only ever added to.

    A run may begin its answer again. What agrees with the text that was sent is not sent twice; where the new
    text differs, it follows after `AGAIN`.
    """

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._sent: list[str] = []  # of the text that is being written
        self._earlier = ""  # the text that it replaces, which the client has
        self._same = 0  # characters of it that the new text has repeated

    def begin(self) -> None:
        """What comes now replaces everything that came before."""
        if self._same == len(self._earlier):
            self._earlier = "".join(self._sent)
        self._sent, self._same = [], 0

    def add(self, text: str) -> None:
        """The next piece."""
        if self._same < len(self._earlier):
            expected = self._earlier[self._same : self._same + len(text)]
            if not text.startswith(expected):
                self._differs()
            else:
                self._same += len(expected)
                self._sent.append(expected)
                text = text[len(expected) :]
        if text:
            self._sent.append(text)
            self._outbox.put("text", text)

    def end(self) -> None:
        """The text is whole."""
        if self._sent and self._same < len(self._earlier):
            self._differs()

    def _differs(self) -> None:
        self._outbox.put("text", AGAIN + "".join(self._sent))
        self._earlier, self._same = "", 0
