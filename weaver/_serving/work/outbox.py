"""Pieces of an answer on their way to a client, which may read more slowly than they are made."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Literal

from weaver._models.protocol import ToolCallPart


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
        self._news = asyncio.Event()

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
        """True if nothing waits to be sent."""
        return not (self._pieces or self._open)

    def take(self) -> list[Piece | ToolCallPart]:
        """Everything that waits to be sent."""
        self._close()
        pieces, self._pieces = self._pieces, []
        return pieces

    async def wait(self) -> None:
        """Wait until there is something to send, until the end, or until `wake` is called."""
        if self.is_empty and not self.ended:
            self._news = asyncio.Event()
            await self._news.wait()

    def wake(self) -> None:
        """Let `wait` return though there is nothing to send."""
        self._news.set()

    def _close(self) -> None:
        if self._open:
            self._pieces.append(Piece(self._kind, "".join(self._open)))
            self._open = []
