"""The port to a conversation that goes on over several runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, runtime_checkable

from weaver._data.messages import Message


@runtime_checkable
class Session(Protocol):
    """One conversation. A run reads it when it begins, and adds its turn when it has answered."""

    async def read(self) -> Sequence[Message]:
        """Every message so far, the oldest first.

        Raises:
            SessionError: the record cannot be read.
        """
        ...

    async def append(self, messages: Sequence[Message]) -> None:
        """Add the messages of one turn, all of them or none; durable on return.

        Raises:
            SessionError: the record cannot be written.
        """
        ...

    def exclusive(self) -> AbstractAsyncContextManager[None]:
        """Wait until no other run uses the conversation, and keep others waiting until the block is left.

        Raises:
            SessionError: that cannot be arranged.
        """
        ...


Sessions = Callable[[str], Session]
"""Finds the session of an id, a new one where there is none of it."""
