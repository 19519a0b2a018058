"""Entries of all runs of a process, written together: one commit for everything that waits."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from psycopg import AsyncConnection

from weaver._journal.port import Entry
from weaver.errors import JournalError, RunTakenOverError
from weaver_postgres.database import Database
from weaver_postgres.rows import columns
from weaver_postgres.text import plain

MOST_AT_ONCE = 512
"""Entries in one commit."""
_APPEND = "SELECT weaver.append(%s, %s, %s, %s, %s, %s, %s::text[], %s::bytea[], %s::text[])"


@dataclass(slots=True, eq=False)
class _Waiting:
    run_id: str
    epoch: int
    entries: Sequence[Entry]
    done: asyncio.Future[None]


@dataclass(slots=True)
class _Line:
    """What waits to be written in one event loop, and who writes it."""

    waiting: list[_Waiting] = field(default_factory=list)
    writer: asyncio.Task[None] | None = None


class Appends:
    """Writes entries: whatever comes in while a commit is under way goes into the next one."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lines: WeakKeyDictionary[asyncio.AbstractEventLoop, _Line] = WeakKeyDictionary()

    async def append(self, run_id: str, epoch: int, entries: Sequence[Entry]) -> None:
        """See `weaver._journal.port.Journal`. Once begun it is not cancelled."""
        loop = asyncio.get_running_loop()
        line = self._lines.setdefault(loop, _Line())
        waiting = _Waiting(run_id, epoch, entries, loop.create_future())
        line.waiting.append(waiting)
        if line.writer is None or line.writer.done():
            line.writer = asyncio.ensure_future(self._write(line))
        await asyncio.shield(waiting.done)

    async def aclose(self) -> None:
        """Write what waits in the running event loop."""
        line = self._lines.pop(asyncio.get_running_loop(), None)
        if line is not None and line.writer is not None:
            await asyncio.wait({line.writer})

    @staticmethod
    def check(run_id: str, *, recorded: bool) -> None:
        """Say that the run has another owner.

        Raises:
            RunTakenOverError: nothing was recorded.
        """
        if not recorded:
            raise RunTakenOverError.of(run_id)

    async def _write(self, line: _Line) -> None:
        while line.waiting:
            group, line.waiting = line.waiting[:MOST_AT_ONCE], line.waiting[MOST_AT_ONCE:]
            try:
                recorded = await self._commit(group)
            except BaseException as error:
                failure = error if isinstance(error, JournalError) else _interrupted(error)
                for waiting in group:
                    _fail(waiting.done, failure)
                if not isinstance(error, Exception):
                    raise
                continue
            for waiting in group:
                if recorded[waiting.run_id, waiting.epoch]:
                    if not waiting.done.done():
                        waiting.done.set_result(None)
                else:
                    _fail(waiting.done, RunTakenOverError.of(waiting.run_id))

    async def _commit(self, group: list[_Waiting]) -> dict[tuple[str, int], bool]:
        """Write a group in one transaction; returns whose entries were recorded."""
        runs: dict[tuple[str, int], list[Entry]] = {}
        for waiting in group:
            runs.setdefault((waiting.run_id, waiting.epoch), []).extend(waiting.entries)
        # In one order everywhere: two processes that write to the same runs then cannot wait for each other.
        order = sorted(runs)
        batch = secrets.token_hex(8)
        values = [[plain(run), epoch, batch, *columns(runs[run, epoch])] for run, epoch in order]

        async def work(connection: AsyncConnection[Any]) -> list[bool]:
            async with connection.cursor() as cursor:
                if len(values) == 1:
                    await cursor.execute(_APPEND, values[0])
                    return [(await cursor.fetchall())[0][0]]
                await cursor.executemany(_APPEND, values, returning=True)
                answers: list[bool] = []
                more: bool | None = True
                while more:
                    answers += [row[0] for row in await cursor.fetchall()]
                    more = cursor.nextset()
                return answers

        return dict(zip(order, await self._database.do(work), strict=True))


def _fail(done: asyncio.Future[None], error: BaseException) -> None:
    if not done.done():
        done.set_exception(error)
        done.exception()  # whoever was cancelled meanwhile does not read it


def _interrupted(error: BaseException) -> JournalError:
    failure = JournalError(f"Entries could not be recorded: {type(error).__name__}: {error}.")
    failure.__cause__ = error
    return failure
