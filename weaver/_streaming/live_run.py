"""A run in its own task, and its events until somebody reads them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio

from weaver._data.result import CancelReason, ErrorReport, Result
from weaver._runtime.execution import Execution
from weaver._runtime.limits.budget_ledger import Ledger
from weaver.errors import ConfigurationError, RunCancelled, RunUnfinishedError, WeaverError
from weaver.events import Event, RunFinished

Prepare = Callable[[Callable[[Event], None]], Awaitable[Execution]]

_tasks: set[asyncio.Task[None]] = set()
"""Tasks of runs that have not ended; the event loop itself refers to its tasks weakly only."""


class LiveRun:
    """One run, from its preparation to its result.

    It refers to none of its readers, so that a reader that nobody refers to can stop it (`leave`).

    Args:
        connections: held open while it runs.
        prepare: looks up what the run needs; called with the listener for its events.

    Attributes:
        ledger: counts what the run uses, besides the run's own.
    """

    def __init__(self, connections: AbstractAsyncContextManager[Any], prepare: Prepare) -> None:
        self.error: WeaverError | None = None
        self.execution: Execution | None = None
        self.ledger: Ledger | None = None
        self._connections = connections
        self._prepare = prepare
        self._events: deque[Event] = deque()
        self._news = asyncio.Event()
        self._ready = asyncio.Event()
        self._reading = False
        self._ended = False
        self._result: Result[Any] | None = None
        self._crash: BaseException | None = None
        self._crash_is_raised = False
        self._stop_reason: CancelReason | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def ended(self) -> bool:
        """True once it is over, or can never begin."""
        return self._ended

    @property
    def has_result(self) -> bool:
        """True once `result` is there."""
        return self._result is not None

    @property
    def state(self) -> str:
        """A line for people: how far it is."""
        if self._result is not None:
            return f"finished: {self._result!r}"
        if self._crash is not None:
            return f"never began: {self._crash}"
        return "not begun" if self._task is None else "running" if self.execution else "being prepared"

    @property
    def was_stopped(self) -> bool:
        """True once its user has stopped it."""
        return self._stop_reason is not None

    @property
    def result(self) -> Result[Any]:
        """Its result.

        Raises:
            RunUnfinishedError: it has not ended.
            WeaverError: it could not begin.
        """
        if self._result is not None:
            return self._result
        if self._crash is not None:
            raise self._crash
        raise RunUnfinishedError(
            "The run has not ended, so there is no result yet.",
            hint="Read its events to the end, or `await run.wait()`.",
        )

    def start(self) -> None:
        """Begin, in the running event loop; nothing if it has begun."""
        if self._task is None and not self._ended:
            self._loop = asyncio.get_running_loop()
            self._task = self._loop.create_task(self._work(), name="weaver-run")
            _tasks.add(self._task)
            self._task.add_done_callback(_tasks.discard)

    async def begun(self) -> None:
        """Begin, and wait until everything that the run needs has been looked up.

        Raises:
            WeaverError: it cannot begin.
        """
        self.start()
        try:
            await self._ready.wait()
        except BaseException:
            await self.end()
            raise
        if self.execution is None:
            self.raise_crash()

    async def next_event(self) -> Event:
        """The next event; waits for it.

        Raises:
            StopAsyncIteration: there are no more.
            ConfigurationError: another task reads the events.
        """
        self.start()
        if self._reading:
            raise ConfigurationError(
                "Two tasks read the events of one run at the same time.",
                hint="Read them in one place, and pass them on from there.",
            )
        self._reading = True
        try:
            while not self._events:
                if self._ended:
                    self.raise_crash()
                    raise StopAsyncIteration
                self._news.clear()
                await self._news.wait()
        finally:
            self._reading = False
        return self._events.popleft()

    def cancel(self, reason: CancelReason) -> None:
        """Stop the run: connections close, and its last events and its result still come."""
        self._stop_reason = self._stop_reason or reason
        if self.execution is not None:
            self.execution.cancel(reason)
        elif self._task is not None:
            self._task.cancel()

    def leave(self) -> None:
        """Stop the run, from any thread, also where its event loop has been closed."""
        if self._ended or self._loop is None or self._loop.is_closed():
            return
        try:
            self._loop.call_soon_threadsafe(self.cancel, "user")
        except RuntimeError:  # closed in this very moment
            return

    async def end(self) -> None:
        """Stop the run, and wait until it has ended and its connections are closed."""
        if self._task is None:
            self._ended = True
            return
        if not self._task.done():
            self.cancel("user")
            with anyio.CancelScope(shield=True):
                await asyncio.wait({self._task})

    def raise_crash(self) -> None:
        """Raise what kept the run from its result, once."""
        if self._crash is not None and not self._crash_is_raised:
            self._crash_is_raised = True
            raise self._crash

    def _take(self, event: Event) -> None:
        self._events.append(event)
        self._news.set()

    async def _work(self) -> None:
        try:
            try:
                self.execution = await self._prepare(self._take)
            except asyncio.CancelledError:
                if self._stop_reason is None:
                    raise
                self._never_began()
                return
            finally:
                self._ready.set()
            self.execution.state.ledger.outer = self.ledger
            if self._stop_reason is not None:
                self.execution.cancel(self._stop_reason)
            async with self._connections:
                self._result = await self.execution.run()
        except asyncio.CancelledError:  # the event loop ends
            error = self.execution.error if self.execution is not None else None
            self._result = error.result if error is not None else None
            raise
        except Exception as crash:  # noqa: BLE001 - raised to whoever reads the events
            self._crash = crash
        finally:
            if self.execution is not None:
                self.error = self.execution.error
            self._ended = True
            self._news.set()

    def _never_began(self) -> None:
        """Give a run that was stopped while it was prepared the result that says so."""
        self.error = RunCancelled("The run was cancelled before it began.")
        report = ErrorReport("RunCancelled", str(self.error))
        self._result = self.error.result = Result("", "failed", "", "", "", error=report)
        self._take(RunFinished(self._result))
