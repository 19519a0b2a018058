"""The activity that works on a run: weaver's own run, with a heartbeat beside it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from weaver._environment.processes import owner
from weaver._workers.running import Runs, error_of, record_failure
from weaver.errors import JournalError, RunTakenOverError
from weaver_temporal.workflow import WORK

if TYPE_CHECKING:
    from weaver._journal.port import Journal
    from weaver._streaming.run_stream import RunStream

BEATS = 5
"""Heartbeats within a lease."""
_ENDED = ("complete", "partial", "failed", "cancelled")


class Activities:
    """The activity of one worker process.

    Args:
        lease_seconds: heartbeats come several times within it.
    """

    def __init__(self, journal: Journal, runs: Runs, lease_seconds: float) -> None:
        self._journal, self._runs = journal, runs
        self._seconds = lease_seconds / BEATS

    @activity.defn(name=WORK)
    async def work(self, run_id: str) -> str:
        """Work on the run until it ends; returns its status.

        Raises:
            ApplicationError: another worker must go on: this one shuts down, or cannot write to the journal.
        """
        beating = asyncio.ensure_future(self._beat())
        try:
            head = await self._journal.head(run_id)
            if head is None or head.status in _ENDED:  # a worker died between the run's end and its report
                return "removed" if head is None else head.status
            return await self._run(run_id, head.about)
        except JournalError as error:
            raise ApplicationError(str(error), type=type(error).__name__) from error
        finally:
            beating.cancel()

    async def _run(self, run_id: str, about: Any) -> str:
        stream: RunStream[Any] | None = None
        try:
            stream = await self._runs.stream(run_id, about)
            error: Exception | None = await error_of(stream)
        except asyncio.CancelledError:
            if stream is not None:
                await asyncio.shield(stream.aclose())
            if activity.is_worker_shutdown():
                raise ApplicationError(
                    "The worker shuts down; another one goes on.", type="Drained"
                ) from None
            raise
        except JournalError:
            raise
        except Exception as failure:  # noqa: BLE001 - of a plugin, a setting, a function of a user
            error = failure
            await record_failure(self._journal, run_id, failure, owner())
        if isinstance(error, JournalError) and not isinstance(error, RunTakenOverError):
            raise error
        head = await self._journal.head(run_id)
        return "removed" if head is None else head.status

    async def _beat(self) -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(self._seconds)
