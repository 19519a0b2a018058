"""A run that is watched while it happens."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Self

import anyio

from weaver.errors import WeaverError
from weaver.events import Event
from weaver.result import CancelReason, Result
from weaver.runtime.execution import Execution
from weaver.tools.approvals import Approval


class RunStream:
    """A run that is watched. Made by `Weaver.stream`; iterate it for `weaver.events`, in order.

    Attributes:
        result: the result, once `RunFinished` has come.
    """

    def __init__(
        self,
        connections: AbstractAsyncContextManager[Any],
        prepare: Callable[[Callable[[Event], None]], Awaitable[Execution]],
    ) -> None:
        self.result: Result[Any] | None = None
        self._connections = connections
        self._prepare = prepare
        self._events: deque[Event] = deque()
        self._news = anyio.Event()
        self._ended = False
        self._crash: BaseException | None = None

    async def __aenter__(self) -> Self:
        self._execution: Execution = await self._prepare(self._heard)
        await self._connections.__aenter__()
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        self._group.start_soon(self._work)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._group.cancel_scope.cancel()
            await self._group.__aexit__(None, None, None)
        finally:
            await self._connections.__aexit__(kind, error, trace)
        if self._crash is not None and error is None:
            raise self._crash

    def cancel(self, reason: CancelReason = "user") -> None:
        """Stop the run; the remaining events, `RunFinished` among them, still come."""
        self._execution.cancel(reason)

    def approve(self, id: str, *, always: bool = False) -> None:  # noqa: A002 - the word of `ApprovalAsked`
        """Agree to the tool call of an `ApprovalAsked` event.

        Args:
            always: also to every later call of this tool in this run.

        Raises:
            UnknownName: no such request waits (any more).
        """
        self._execution.state.tools.approvals.answer(id, Approval(True, always=always))

    def deny(self, id: str, reason: str = "", *, always: bool = False) -> None:  # noqa: A002 - as above
        """Refuse the tool call of an `ApprovalAsked` event; the model reads ``reason``.

        Raises:
            UnknownName: no such request waits (any more).
        """
        self._execution.state.tools.approvals.answer(id, Approval(False, reason, always))

    @property
    def error(self) -> WeaverError | None:
        """The error of a failed run, once it has ended."""
        return self._execution.error

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        while not self._events:
            if self._ended:
                raise StopAsyncIteration
            self._news = anyio.Event()
            await self._news.wait()
        return self._events.popleft()

    def _heard(self, event: Event) -> None:
        self._events.append(event)
        self._news.set()

    async def _work(self) -> None:
        try:
            self.result = await self._execution.run()
        except Exception as crash:  # noqa: BLE001 - raised on leaving the block, outside the task group
            self._crash = crash
        finally:
            self._ended = True
            self._news.set()
