"""Responses that are being made in the background."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from weaver._serving.responses.answer import ResponseWriter
from weaver._serving.responses.event_log import EventLog
from weaver._serving.service import Opened


@dataclass(eq=False)
class LiveResponse:
    """A response in the background, from its request to its end.

    Args:
        client: the name of the key that asked.
        body: of the request.
        ended: called with the response, unless it ended well: then the run has done so.
        is_resumed: an earlier process began it, so its events are not all here.
    """

    client: str
    body: Any
    writer: ResponseWriter
    opened: Opened
    ended: Callable[[dict[str, Any]], Awaitable[object]]
    is_resumed: bool = False
    log: EventLog = field(default_factory=EventLog)
    is_cancelled: bool = False
    _task: asyncio.Task[None] | None = None

    def start(self, tasks: set[asyncio.Task[None]], over: Callable[[], None]) -> None:
        """Begin, as one of ``tasks``.

        Args:
            over: called at the end, before readers see it.
        """
        self._task = task = asyncio.get_running_loop().create_task(self._work(over))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    @property
    def current(self) -> dict[str, Any]:
        """The object ``response`` as it is now."""
        return self.writer.current("cancelled" if self.is_cancelled else "in_progress")

    async def cancel(self) -> None:
        """Stop it permanently, and wait until its connections are closed."""
        self.is_cancelled = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _work(self, over: Callable[[], None]) -> None:
        answering = self.opened.answering
        try:
            await answering.log_to(self.log)
            if answering.error is not None:
                await self.ended(self.writer.failure(answering.error))
        except asyncio.CancelledError:
            if self.is_cancelled:
                await self.ended(self.current)
                self.log.add(self.writer.cancelled())
        finally:
            over()
            self.log.end()
            self.opened.close(False, 200)
