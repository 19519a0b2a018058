"""The runs of this server: each in its own task, followed by any number of browser tabs."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import anyio

from weaver._serving.ui.picture import Change, Picture
from weaver._streaming.run_stream import RunStream
from weaver.errors import ConfigurationError, UnknownNameError, WeaverError

MOST_OPEN = 50
"""Runs that may go on at the same time."""
MOST_ENDED = 100
"""Ended runs whose pictures stay in memory; the others are read from the local store."""
MOST_PENDING = 2_000
"""Changes that may wait for a tab that reads slowly; then it gets the whole picture again."""

Open = Callable[["OpenRun"], Awaitable[RunStream[Any]]]


class Follower:
    """One tab that follows a run: the changes that it has not got yet.

    Attributes:
        is_behind: it must get the whole picture before any change.
    """

    def __init__(self) -> None:
        self.is_behind = True
        self._pending: list[Change] = []
        self._news = asyncio.Event()

    def put(self, changes: list[Change]) -> None:
        """Add changes; pieces of the same text are put together."""
        if not changes:
            return
        for change in [] if self.is_behind else changes:
            path, value, appends = change
            if appends and self._pending and self._pending[-1][0] == path and self._pending[-1][2]:
                self._pending[-1] = (path, self._pending[-1][1] + value, True)
            else:
                self._pending.append(change)
        if len(self._pending) > MOST_PENDING:
            self.is_behind = True
            self._pending.clear()
        self._news.set()

    def take(self) -> list[Change]:
        """Return everything that waits."""
        pending, self._pending = self._pending, []
        return pending

    def wake(self) -> None:
        """Let `wait` return though there is nothing new."""
        self._news.set()

    async def wait(self) -> None:
        """Wait until there is something new."""
        await self._news.wait()
        self._news.clear()


class OpenRun:
    """One run of this server, going on or ended."""

    def __init__(self, picture: Picture, on_change: Callable[[], None]) -> None:
        self.picture = picture
        self.followers: set[Follower] = set()
        self.stream: RunStream[Any] | None = None
        self.begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ended = False
        self._on_change = on_change
        self._answers: dict[str, asyncio.Future[tuple[bool, str]]] = {}

    @property
    def id(self) -> str:
        """The run's id."""
        return str(self.picture.state["id"])

    def publish(self, changes: list[Change]) -> None:
        """Send changes to all who follow."""
        for follower in self.followers:
            follower.put(changes)
        if any(path[0] in ("status", "approvals", "traced") for path, _, _ in changes):
            self._on_change()

    async def ask(self, about: dict[str, Any]) -> tuple[bool, str]:
        """Ask the person in front of the page; returns whether they agree, and their comment."""
        request = f"ask-{secrets.token_hex(4)}"
        answer: asyncio.Future[tuple[bool, str]] = asyncio.get_running_loop().create_future()
        self._answers[request] = answer
        self.publish(self.picture.change(("approvals", request), about))
        try:
            return await answer
        finally:
            del self._answers[request]
            self.publish(self.picture.change(("approvals", request), None))

    def answer(self, request: str, *, approved: bool, reason: str, always: bool) -> None:
        """Pass a person's answer on.

        Raises:
            UnknownNameError: no such request waits (any more).
        """
        if (waiting := self._answers.get(request)) is not None and not waiting.done():
            waiting.set_result((approved, reason))
        elif self.stream is None:
            raise UnknownNameError("pending approval", request, self._answers)
        elif approved:
            self.stream.approve(request, always=always)
        else:
            self.stream.deny(request, reason, always=always)

    def stop(self, thread: str | None = None) -> None:
        """Stop one thread, or everything.

        Raises:
            UnknownNameError: there is no such thread.
        """
        if self.stream is None or self.ended:
            return
        if thread is None:
            self.stream.cancel("user")
        else:
            self.stream.cancel_thread(thread)

    async def follow(self, open_stream: Open) -> None:
        """Run to the end."""
        try:
            self.stream = stream = await open_stream(self)
            async with stream:
                self.begun.set_result(None)
                async for event in stream:
                    self.publish(self.picture.take(event))
        except asyncio.CancelledError:
            self._fail("RunCancelled", "The server was stopped.")
            raise
        except Exception as error:  # noqa: BLE001 - whoever asked reads it
            if not self.begun.done():
                self.begun.set_exception(error)
            self._fail(type(error).__name__, str(error))
        finally:
            self.begun.cancel()

    def _fail(self, kind: str, message: str) -> None:
        if self.picture.state["result"] is None:
            self.publish(self.picture.change(("error",), {"type": kind, "message": message}))
            self.publish(self.picture.change(("status",), "failed"))


class OpenRuns:
    """All runs of this server.

    Args:
        flush: writes what the local store has not got yet; called in a worker thread.

    Attributes:
        revision: grows with every change of the list of runs.
        is_draining: the server is about to end.
        watchers: called at every such change.
    """

    def __init__(self, flush: Callable[[], object]) -> None:
        self.revision = 0
        self.watchers: set[Callable[[], None]] = set()
        self._flush = flush
        self._runs: dict[str, OpenRun] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.is_draining = False

    def find(self, run_id: str) -> OpenRun | None:
        """Return the run of that id, if this server has it."""
        return self._runs.get(run_id)

    def all(self) -> list[OpenRun]:
        """Return all runs, the newest first."""
        return list(reversed(self._runs.values()))

    async def start(self, run_id: str, question: str, open_stream: Open, *, workflow: str = "") -> OpenRun:
        """Start a run; returns when everything that it needs has been looked up.

        Raises:
            ConfigurationError: too many runs go on, or the server is about to end.
            WeaverError: it cannot begin.
        """
        if self.is_draining:
            raise ConfigurationError("The server is about to end.")
        if sum(not run.ended for run in self._runs.values()) >= MOST_OPEN:
            raise ConfigurationError(f"{MOST_OPEN} runs go on at the same time.", hint="Wait, or stop one.")
        run = OpenRun(Picture(run_id, question, workflow=workflow), self._changed)
        self._runs[run_id] = run
        task = asyncio.create_task(self._work(run, open_stream), name=f"weaver-ui-{run_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            await asyncio.shield(run.begun)
        except (WeaverError, asyncio.CancelledError):
            if run.begun.done() and run.stream is None:
                self.forget(run)
            raise
        self._changed()
        return run

    def drain(self) -> None:
        """Take no new runs, and stop those that go on: the server ends."""
        self.is_draining = True
        for run in self._runs.values():
            run.stop()
            for follower in run.followers:
                follower.wake()

    async def end(self) -> None:
        """Cancel what still runs, and wait for it."""
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=2.0)

    async def _work(self, run: OpenRun, open_stream: Open) -> None:
        try:
            await run.follow(open_stream)
        finally:
            run.ended = True
            with anyio.CancelScope(shield=True), suppress(Exception):
                await anyio.to_thread.run_sync(self._flush)
            run.publish(run.picture.change(("traced",), True))
            self._sweep()

    def _sweep(self) -> None:
        ended = [run for run in self._runs.values() if run.ended and not run.followers]
        for run in ended[: max(0, len(ended) - MOST_ENDED)]:
            self.forget(run)

    def forget(self, run: OpenRun) -> None:
        """Drop an ended run from memory."""
        self._runs.pop(run.id, None)
        self._changed()

    def _changed(self) -> None:
        self.revision += 1
        for tell in tuple(self.watchers):
            tell()
