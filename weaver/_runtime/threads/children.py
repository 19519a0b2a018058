"""The tasks of a fork: none outlives its block."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any

import anyio


class Children:
    """Tasks that a block starts and waits for.

    Lighter than a task group of anyio, which makes a handle, an event and a cancel scope for each task. A
    thread has its own scope already.

    Args:
        on_failure: called when a task raises anything but a cancellation.

    Attributes:
        failure: the first such error.
    """

    def __init__(self, on_failure: Callable[[], None]) -> None:
        self.failure: BaseException | None = None
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._emptied: asyncio.Future[None] | None = None
        self._context = Context()  # shared by all callbacks: asyncio would copy the present one for each

    def start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Start a task."""
        task = self._loop.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended, context=self._context)
        return task

    async def all_ended(self) -> None:
        """Wait until all tasks have ended, also where the waiting task is cancelled meanwhile.

        Raises:
            CancelledError: it was cancelled; by then all tasks have ended.
        """
        cancelled: asyncio.CancelledError | None = None
        with anyio.CancelScope() as waiting:
            while self._tasks:
                self._emptied = self._loop.create_future()
                try:
                    await self._emptied
                except asyncio.CancelledError as error:
                    waiting.shield = True
                    cancelled = error
        self._emptied = None
        if cancelled is not None:
            try:
                raise cancelled
            finally:
                del cancelled  # its traceback leads back here

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not self._tasks and self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if self.failure is None:
            self.failure = error
        self._on_failure()
