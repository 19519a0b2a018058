"""Entries and events of all runs of a process, written together: one commit for everything that waits."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, LiteralString
from weakref import WeakKeyDictionary

from psycopg import AsyncConnection

from weaver._journal.event_batches import packed_events
from weaver._journal.port import Entry
from weaver.errors import JournalError, RunTakenOverError
from weaver_postgres.database import Database
from weaver_postgres.rows import columns
from weaver_postgres.text import plain

MAX_WRITES = 512
"""Pieces of work in one commit."""
_APPEND = "SELECT weaver.append(%s, %s, %s, %s, %s, %s, %s::text[], %s::bytea[], %s::text[])"
_PUBLISH = "SELECT weaver.publish(%s, %s, %s, %s, %s)"
_Owner = tuple[str, int]
"""A run and its epoch."""


@dataclass(slots=True, eq=False)
class _Waiting:
    owner: _Owner
    entries: Sequence[Entry]
    events: Sequence[Mapping[str, Any]]
    done: asyncio.Future[None]


@dataclass(slots=True)
class _Line:
    """What waits to be written in one event loop, and who writes it."""

    waiting: list[_Waiting] = field(default_factory=list[_Waiting])
    writer: asyncio.Task[None] | None = None


class Writes:
    """Writes to runs: whatever comes in while a commit is under way goes into the next one."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lines: WeakKeyDictionary[asyncio.AbstractEventLoop, _Line] = WeakKeyDictionary()

    async def write(
        self,
        run_id: str,
        epoch: int,
        *,
        entries: Sequence[Entry] = (),
        events: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Record entries and events, all or none; durable on return. Once begun it is not cancelled.

        Raises:
            RunTakenOverError: the run has another owner.
            JournalError: the database cannot be used.
        """
        loop = asyncio.get_running_loop()
        line = self._lines.setdefault(loop, _Line())
        waiting = _Waiting((run_id, epoch), entries, events, loop.create_future())
        line.waiting.append(waiting)
        if line.writer is None or line.writer.done():
            line.writer = asyncio.ensure_future(self._write(line))
        await asyncio.shield(waiting.done)

    async def aclose(self) -> None:
        """Write what waits in the running event loop."""
        line = self._lines.pop(asyncio.get_running_loop(), None)
        if line is not None and line.writer is not None:
            await asyncio.wait({line.writer})

    async def _write(self, line: _Line) -> None:
        while line.waiting:
            group, line.waiting = line.waiting[:MAX_WRITES], line.waiting[MAX_WRITES:]
            try:
                fenced = await self._commit(group)
            except BaseException as error:
                failure = error if isinstance(error, JournalError) else _interrupted(error)
                for waiting in group:
                    _end(waiting.done, failure)
                if not isinstance(error, Exception):
                    raise
                continue
            for waiting in group:
                run_id = waiting.owner[0]
                _end(waiting.done, RunTakenOverError.of(run_id) if waiting.owner in fenced else None)

    async def _commit(self, group: list[_Waiting]) -> set[_Owner]:
        """Write a group in one transaction; returns who does not own the run (any more)."""
        entries: dict[_Owner, list[Entry]] = {}
        events: dict[_Owner, list[Mapping[str, Any]]] = {}
        for waiting in group:
            entries.setdefault(waiting.owner, []).extend(waiting.entries)
            events.setdefault(waiting.owner, []).extend(waiting.events)
        batch = secrets.token_hex(8)
        calls: list[tuple[_Owner, LiteralString, list[Any]]] = []
        # In one order everywhere: two processes that write to the same runs then cannot wait for each other.
        for owner in sorted(entries):
            first = [plain(owner[0]), owner[1], batch]
            if entries[owner]:
                calls.append((owner, _APPEND, [*first, *columns(entries[owner])]))
            if events[owner]:
                body = packed_events(events[owner])
                calls.append((owner, _PUBLISH, [*first, len(events[owner]), body]))

        async def work(connection: AsyncConnection[Any]) -> set[_Owner]:
            if len(calls) == 1:
                cursors = [await connection.execute(calls[0][1], calls[0][2])]
            else:
                async with connection.pipeline():
                    cursors = [await connection.execute(query, values) for _, query, values in calls]
            rows = [await cursor.fetchone() for cursor in cursors]
            return {call[0] for call, row in zip(calls, rows, strict=True) if row is None or not row[0]}

        return await self._database.do(work)


def _end(done: asyncio.Future[None], error: BaseException | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)
        done.exception()  # whoever was cancelled meanwhile does not read it


def _interrupted(error: BaseException) -> JournalError:
    failure = JournalError(f"Entries could not be recorded: {type(error).__name__}: {error}.")
    failure.__cause__ = error
    return failure
