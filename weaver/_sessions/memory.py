"""Conversations that last as long as the process."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import anyio

from weaver._data.conversation.reading import messages_from
from weaver._data.messages import Message


class MemorySession:
    """A conversation in memory, for one event loop at a time.

    Args:
        messages: what it begins with.
    """

    def __init__(self, messages: Sequence[Message] = ()) -> None:
        self._messages = list(messages_from(messages))
        self._lock = anyio.Lock()

    async def read(self) -> Sequence[Message]:
        """Every message so far."""
        return tuple(self._messages)

    async def append(self, messages: Sequence[Message]) -> None:
        """Add the messages of one turn."""
        self._messages += messages

    async def clear(self) -> None:
        """Forget every message."""
        self._messages.clear()

    @asynccontextmanager
    async def exclusive(self) -> AsyncGenerator[None]:
        """Wait for other runs on this conversation, and keep others waiting."""
        async with self._lock:
            yield


class MemorySessions:
    """Sessions by id, as long as this object lasts."""

    def __init__(self) -> None:
        self._sessions: dict[str, MemorySession] = {}

    def __call__(self, id: str) -> MemorySession:  # noqa: A002 - what users call it
        """The session of an id."""
        return self._sessions.setdefault(id, MemorySession())
