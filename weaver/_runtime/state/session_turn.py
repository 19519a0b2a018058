"""A run's turn in a session: what it reads at its beginning, and adds at its end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import anyio

from weaver._data.conversation.reading import messages_from
from weaver._data.messages import Message
from weaver._sessions.protocol import Session
from weaver.errors import SessionError, WeaverError

LEAST_SECONDS = 0.1
"""What adding a turn may take after the deadline."""


class SessionTurn:
    """Holds the session for one run. All of the session's code runs in one task of its own.

    Args:
        session: see `weaver.Session`.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._history: asyncio.Future[tuple[Message, ...]] | None = None
        self._ending: asyncio.Future[Sequence[Message]] | None = None
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> tuple[Message, ...]:
        """Wait until the session is free, and read it.

        Raises:
            SessionError: it cannot be read.
        """
        loop = asyncio.get_running_loop()
        self._history, self._ending = loop.create_future(), loop.create_future()
        self._task = asyncio.ensure_future(self._hold(self._history, self._ending))
        return await asyncio.shield(self._history)

    async def end(self, messages: Sequence[Message], deadline_at: float = float("inf")) -> None:
        """Add ``messages``, none to leave the session as it was, and let others have it.

        Args:
            deadline_at: event-loop time by which it must be done; `LEAST_SECONDS` remain in any case.

        Raises:
            SessionError: they could not be added.
        """
        task, ending, history = self._task, self._ending, self._history
        if task is None or ending is None or history is None:
            return
        self._task = None
        if not messages or not history.done() or history.exception() is not None:
            task.cancel()
            await asyncio.wait({task}, timeout=1.0)
            if history.done() and not history.cancelled():
                history.exception()
            return
        ending.set_result(messages)
        seconds = max(LEAST_SECONDS, deadline_at - anyio.current_time())
        await asyncio.wait({task}, timeout=None if seconds == float("inf") else seconds)
        if not task.done():
            task.cancel()
            raise SessionError("Adding the turn took longer than the deadline allows.")
        await task

    async def _hold(
        self, history: asyncio.Future[tuple[Message, ...]], ending: asyncio.Future[Sequence[Message]]
    ) -> None:
        try:
            async with self._session.exclusive():
                history.set_result(messages_from(await self._session.read(), "The session's messages"))
                await self._session.append(await ending)
        except Exception as error:
            failure = (
                error
                if isinstance(error, WeaverError)
                else SessionError(f"The session raised {type(error).__name__}: {error}.")
            )
            if history.done():
                raise failure from error
            history.set_exception(failure)
        finally:
            if not history.done():
                history.cancel()
