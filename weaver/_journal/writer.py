"""The thread that works on a SQLite file: one connection, one commit for everything that waits."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from weaver._environment.paths import identity
from weaver._journal.schema import connect
from weaver.errors import JournalError

T = TypeVar("T")
IDLE_SECONDS = 5.0
"""After so long without work the file is closed and the thread ends; new work starts another one."""
MOST_AT_ONCE = 512
"""Pieces of work in one commit."""


@dataclass(slots=True, eq=False)
class _Job:
    work: Callable[[sqlite3.Connection], Any]
    writes: bool
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    value: Any = None
    error: BaseException | None = None


class Writer:
    """Runs functions on the file's connection, in the order they come, in its own thread.

    Args:
        path: the file; opened when first used.
        busy_seconds: how long to wait for another process that is writing.
    """

    def __init__(self, path: Path, busy_seconds: float) -> None:
        self._path = path
        self._busy_seconds = busy_seconds
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    async def do(self, work: Callable[[sqlite3.Connection], T], *, writes: bool = True) -> T:
        """Run ``work`` in a transaction; what it wrote is durable on return. Once begun it is not cancelled.

        Args:
            work: may run again, in a new transaction, so it has no effect but on the database.
            writes: False for what only reads.

        Raises:
            JournalError: the file cannot be used; nothing was written.
        """
        loop = asyncio.get_running_loop()
        job = _Job(work, writes, loop, loop.create_future())
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="weaver-journal", daemon=True)
                self._thread.start()
            self._jobs.put(job)
        value: T = await job.future
        return value

    async def close(self) -> None:
        """Finish what waits, and close the file."""
        with self._lock:
            thread, self._thread = self._thread, None
            if thread is None:
                return
            self._jobs.put(None)
        await asyncio.get_running_loop().run_in_executor(None, thread.join)

    def _run(self) -> None:
        db: sqlite3.Connection | None = None
        opened: tuple[int, int] | None = None
        try:
            while True:
                jobs, closing = self._waiting()
                if jobs:
                    try:
                        if db is not None and identity(self._path) != opened:
                            db.close()  # the file was deleted or moved: what is written to it would be lost
                            db = None
                        if db is None:
                            db = connect(self._path, self._busy_seconds)
                            opened = identity(self._path)
                        _commit(db, jobs)
                    except Exception as error:  # noqa: BLE001 - told to everyone who waits
                        for job in jobs:
                            job.error = self._named(error)
                    _deliver(jobs)
                if closing:
                    return
        finally:
            if db is not None:
                db.close()

    def _waiting(self) -> tuple[list[_Job], bool]:
        """Wait for jobs; return all that have come in, and whether the writer is to end."""
        jobs: list[_Job] = []
        try:
            job = self._jobs.get(timeout=IDLE_SECONDS)
        except queue.Empty:
            with self._lock:
                if not self._jobs.empty():
                    return jobs, False
                self._thread = None
            return jobs, True
        while job is not None:
            jobs.append(job)
            if len(jobs) == MOST_AT_ONCE:
                return jobs, False
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return jobs, False
        return jobs, True

    def _named(self, error: Exception) -> BaseException:
        """The error for people: what is wrong with the file and what to do."""
        if isinstance(error, JournalError):
            return error
        text = str(error).lower()
        unknown = ("", f"cannot be used ({error})", "Check the file and its folder.")
        _, meaning, hint = next((m for m in _MEANINGS if m[0] in text), unknown)
        named = JournalError(
            f"The journal {self._path} {meaning}. Everything recorded before is kept.", hint=hint
        )
        named.__cause__ = error
        return named


_RESTORE = "Move the file away and start again; a backup, if there is one, can be put in its place."
_MEANINGS = (
    ("locked", "is locked by another process", "Wait for that process or end it, then try again."),
    ("disk is full", "has no room: the disk is full", "Free some space, then: weaver resume RUN."),
    ("no space left", "has no room: the disk is full", "Free some space, then: weaver resume RUN."),
    ("readonly", "cannot be written: the file or its folder is read-only", "Make it writable."),
    ("read-only", "cannot be written: the file or its folder is read-only", "Make it writable."),
    ("permission denied", "may not be read or written by this user", "Change its permissions."),
    ("unable to open", "cannot be opened", "Check that the folder exists and may be written to."),
    ("malformed", "is damaged", _RESTORE),
    ("not a database", "is damaged, or is no journal", _RESTORE),
    ("no such table", "is damaged: a table is missing", _RESTORE),
    ("disk i/o error", "cannot be read or written: the disk reports an error", "Check the disk."),
)


def _commit(db: sqlite3.Connection, jobs: list[_Job]) -> None:
    """Run all jobs in one transaction. A job that refuses (`JournalError`) has written nothing."""
    db.execute("BEGIN IMMEDIATE" if any(job.writes for job in jobs) else "BEGIN")
    try:
        for job in jobs:
            try:
                job.value = job.work(db)
            except JournalError as error:
                job.error = error
        db.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            db.execute("ROLLBACK")
        raise


def _deliver(jobs: list[_Job]) -> None:
    """Wake those who wait, each loop once, in the order of their jobs."""
    loops: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
    for job in jobs:
        loops.setdefault(job.loop, []).append(job)
    for loop, mine in loops.items():
        with suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(_wake, mine)


def _wake(jobs: list[_Job]) -> None:
    for job in jobs:
        if job.future.done():
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.value)
