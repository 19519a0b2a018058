"""A worker: takes submitted runs, works on several at once, and gives back what it cannot end."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio

from weaver._dispatch.placing import current_placer
from weaver._dispatch.port import QUEUE, Claim, Dispatcher, Watch
from weaver._workers.placing import Placing
from weaver._workers.running import Runs, error_of, record_failure
from weaver.errors import JournalError, RunTakenOverError

if TYPE_CHECKING:
    from weaver._journal.port import Journal
    from weaver._streaming.run_stream import RunStream

LOOK_SECONDS = 1.0
"""Between two looks for jobs of which nothing was announced."""
BEATS = 5
"""Heartbeats within a lease."""
DRAIN_SECONDS = 30.0
"""Time that runs get to end when a worker is asked to stop."""
_log = logging.getLogger("weaver.worker")


@dataclass(slots=True, eq=False)
class _Work:
    """A run at work.

    Attributes:
        is_lost: somebody else has it, or it was cancelled: it is neither finished nor given back.
        is_returned: it is stopped to be given back.
        parts: parts of it that it waits for; while it waits, another run has its place.
    """

    claim: Claim
    stream: RunStream[Any] | None = None
    is_lost: bool = False
    is_returned: bool = False
    parts: int = 0

    def stop(self) -> None:
        """Stop the run at its next step; its connections close at once."""
        if self.stream is not None:
            self.stream.cancel("parent")


class Worker:
    """Works on submitted runs until it is drained.

    Args:
        runs: makes the runs.
        concurrency: runs at the same time.
        name: unique; by default made of host, process and chance.
        beside: called as often as heartbeats, for what else is shared by workers; its errors are logged.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        journal: Journal,
        runs: Runs,
        *,
        concurrency: int = 8,
        queues: Sequence[str] = (QUEUE,),
        name: str | None = None,
        beside: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        self.name = name or f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
        self._dispatcher, self._journal, self._runs = dispatcher, journal, runs
        self._concurrency, self._queues = concurrency, tuple(queues)
        self._beside = beside
        self._works: set[_Work] = set()
        self._wake = asyncio.Event()
        self._draining = False
        self._stopping = False

    @property
    def running(self) -> int:
        """Runs at work now."""
        return len(self._works)

    def drain(self) -> None:
        """Take no more jobs; `serve` returns when the present ones have ended or were given back."""
        self._draining = True
        self._wake.set()

    def stop(self) -> None:
        """Drain, and give the present runs back now."""
        self._stopping = True
        self.drain()

    async def serve(self, *, drain_seconds: float = DRAIN_SECONDS) -> None:
        """Work until `drain`; what has not ended ``drain_seconds`` later goes to other workers.

        Cancelling it gives everything back.

        Raises:
            JournalError: the dispatcher cannot be reached at the start.
        """
        await self._dispatcher.heartbeat(self.name, ())
        unwatch = self._dispatcher.watch(Watch(self._wake.set, self._lose))
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._beat)
                if self._beside is not None:
                    group.start_soon(self._do_beside, self._beside)
                try:
                    await self._take_jobs(group)
                    await self._until_idle(drain_seconds)
                finally:
                    with anyio.CancelScope(shield=True):
                        await self._give_back()
                    group.cancel_scope.cancel()
        finally:
            unwatch()
            with anyio.move_on_after(self._dispatcher.lease_seconds, shield=True):
                await self._safely(self._dispatcher.leave(self.name))

    async def _take_jobs(self, group: anyio.abc.TaskGroup) -> None:
        while not self._draining:
            self._wake.clear()
            room = self._concurrency - sum(not work.parts for work in self._works)
            claims: Sequence[Claim] = ()
            if room > 0:
                claims = (
                    await self._safely(self._dispatcher.claim(self.name, room, queues=self._queues)) or ()
                )
            for claim in claims:
                work = _Work(claim)
                self._works.add(work)
                group.start_soon(self._work, work)
            if len(claims) < room or room <= 0:
                with anyio.move_on_after(LOOK_SECONDS):
                    await self._wake.wait()

    async def _beat(self) -> None:
        seconds = self._dispatcher.lease_seconds / BEATS
        while True:
            next_beat = anyio.current_time() + seconds
            claims = [work.claim for work in self._works]
            with anyio.move_on_after(self._dispatcher.lease_seconds):
                lost_claims = await self._safely(self._dispatcher.heartbeat(self.name, claims))
                for claim in lost_claims or ():
                    self._lose(claim.job.run_id, claim.number)
            await anyio.sleep_until(next_beat)

    async def _do_beside(self, beside: Callable[[str], Awaitable[None]]) -> None:
        while True:
            await self._safely(beside(self.name))
            await anyio.sleep(self._dispatcher.lease_seconds / BEATS)

    async def _work(self, work: _Work) -> None:
        job = work.claim.job
        try:
            error = await self._run(work)
            if work.is_lost or isinstance(error, RunTakenOverError):
                _log.info("Run %s is no longer ours.", job.run_id)
            elif work.is_returned or isinstance(error, JournalError):
                broken = not work.is_returned
                await self._safely(self._dispatcher.release(self.name, work.claim, broken=broken))
            else:
                await self._safely(self._dispatcher.finish(self.name, work.claim))
        finally:
            self._works.discard(work)
            self._wake.set()

    async def _run(self, work: _Work) -> Exception | None:
        """Run to the end; returns the error of a run that failed."""
        job = work.claim.job
        try:
            self._let_place(work)
            work.stream = stream = await self._runs.stream(job.run_id, job.about, max_cost=job.max_cost)
            if work.is_lost or work.is_returned:
                return None
            return await error_of(stream)
        except JournalError as error:
            return error
        except Exception as error:  # noqa: BLE001 - of a plugin, a setting, a function of a user
            _log.error("Run %s cannot be run: %s", job.run_id, error)
            try:
                await record_failure(self._journal, job.run_id, error, self.name)
            except JournalError as failure:
                return failure
            return error

    def _let_place(self, work: _Work) -> None:
        """Let the run, which has its own task, place parts of itself on workers."""

        def waiting(change: int) -> None:
            work.parts += change
            self._wake.set()

        job = work.claim.job
        current_placer.set(
            Placing(
                self._dispatcher, self._journal, job,
                goes_on=lambda: work.is_lost or work.is_returned, waiting=waiting,
            )
        )  # fmt: skip

    async def _until_idle(self, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            while self._works and not self._stopping:
                self._wake.clear()
                await self._wake.wait()

    async def _give_back(self) -> None:
        self._draining = True
        for work in tuple(self._works):
            work.is_returned = True
            work.stop()
        with anyio.move_on_after(self._dispatcher.lease_seconds):
            while self._works:
                self._wake.clear()
                await self._wake.wait()

    def _lose(self, run_id: str, number: int | None = None) -> None:
        """Stop a run that is no longer ours: with one claim, or with any."""
        for work in tuple(self._works):
            if work.claim.job.run_id == run_id and number in (None, work.claim.number):
                work.is_lost = True
                work.stop()

    async def _safely(self, action: Awaitable[Any]) -> Any:
        """Do something that is tried again later; an error is logged."""
        try:
            return await action
        except JournalError as error:
            _log.warning("%s", error)
            return None
