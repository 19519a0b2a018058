"""The journal in PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import AsyncConnection

from weaver._journal.content import pack
from weaver._journal.event_batches import events_of
from weaver._journal.port import Entry, Opened, RunHead, Status
from weaver._journal.retention import MOST_AT_ONCE, RESUMABLE, Retention
from weaver.errors import RunTakenOverError
from weaver_postgres.database import PATIENCE_SECONDS, Database
from weaver_postgres.rows import ENTRIES, EVENTS, HEAD, PRUNE, entry_of, head_of
from weaver_postgres.text import plain
from weaver_postgres.writes import Writes

LOOK_SECONDS = 5.0
"""Between two looks of an owner at its run, of which nothing was announced."""
FOLLOW_SECONDS = 2.0
"""The same for who follows a run."""
_NEWEST = "ORDER BY updated DESC LIMIT %s"
_FOLLOW = (
    "UPDATE weaver.runs SET followed = greatest(followed, clock_timestamp() + interval '1 minute') "
    "WHERE run_id = %s RETURNING epoch, status, last_seq, last_event"
)


class PostgresJournal:
    """Runs in one database, shared by all machines that reach it.

    Args:
        url: ``postgresql://USER@HOST/DATABASE``; see `Database`.
        patience: seconds that a run waits for a database that is not there, before it ends with an error.

    Raises:
        ConfigurationError: the URL is not one.
    """

    def __init__(self, url: str, *, patience: float = PATIENCE_SECONDS) -> None:
        self.database = Database(url, patience=patience)
        self._writes = Writes(self.database)
        self._states: dict[str, Any] = {}

    async def open(self, run_id: str, *, owner: str = "", about: Mapping[str, Any] | None = None) -> Opened:
        values = [plain(run_id), plain(owner), json.dumps(dict(about or {}))]

        async def work(connection: AsyncConnection[Any]) -> tuple[int, Status | None, list[Any]]:
            cursor = await connection.execute("SELECT * FROM weaver.open(%s, %s, %s)", values)
            row = await cursor.fetchone()
            assert row is not None
            epoch, before = row
            rows: list[Any] = []
            if before is not None:
                rows = await (await connection.execute(ENTRIES, [values[0], 0])).fetchall()
            return epoch, before, rows

        self.database.notices().start()  # others see by it that this process lives
        epoch, before, rows = await self.database.do(work)
        return Opened(epoch, [entry_of(row) for row in rows], before)

    async def append(self, run_id: str, epoch: int, entries: Sequence[Entry]) -> None:
        await self._writes.write(run_id, epoch, entries=entries)

    async def finish(self, run_id: str, epoch: int, status: Status, result: Any = None) -> None:
        body = None if result is None else pack(json.dumps(result))
        rows = await self.database.rows(
            "SELECT weaver.finish(%s, %s, %s, %s)", [plain(run_id), epoch, status, body]
        )
        if not rows[0][0]:
            raise RunTakenOverError.of(run_id)

    async def entries(self, run_id: str, *, after: int = 0) -> Sequence[Entry]:
        return [entry_of(row) for row in await self.database.rows(ENTRIES, [plain(run_id), after])]

    async def publish(self, run_id: str, epoch: int, events: Sequence[Mapping[str, Any]]) -> None:
        if events:
            await self._writes.write(run_id, epoch, events=events)

    async def events(
        self, run_id: str, *, after: int = 0, limit: int | None = None
    ) -> Sequence[tuple[int, Mapping[str, Any]]]:
        values = [plain(run_id), after, limit]  # a row has one event at least
        return events_of(await self.database.rows(EVENTS, values), after, limit)

    async def head(self, run_id: str) -> RunHead | None:
        query = f"SELECT {HEAD} FROM weaver.runs WHERE run_id = %s"
        rows = await self.database.rows(query, [plain(run_id)])
        return head_of(rows[0]) if rows else None

    async def heads(self, *, status: Status | None = None, limit: int | None = None) -> Sequence[RunHead]:
        if status:
            query = f"SELECT {HEAD} FROM weaver.runs WHERE status = %s {_NEWEST}"
            rows = await self.database.rows(query, [status, limit])
        else:
            rows = await self.database.rows(f"SELECT {HEAD} FROM weaver.runs {_NEWEST}", [limit])
        return [head_of(row) for row in rows]

    async def changed(self, run_id: str, *, follow: bool = False) -> None:
        name = plain(run_id)
        with self.database.notices().waiting("weaver_run", name) as wait:
            if follow:
                # What came between the caller's last look and now was not announced to anybody.
                (state,) = await self.database.rows(_FOLLOW, [name]) or [None]
                if state != self._states.get(name, state):
                    self._states[name] = state
                    return
                self._states[name] = state
            await wait(FOLLOW_SECONDS if follow else LOOK_SECONDS)

    async def cancel(self, run_id: str) -> None:
        await self.database.rows("SELECT weaver.cancel(%s)", [plain(run_id)])

    async def remove(self, run_id: str) -> None:
        await self.database.rows("DELETE FROM weaver.runs WHERE run_id = %s", [plain(run_id)])

    async def prune(self, keep: Retention) -> int:
        rows = await self.database.rows(
            PRUNE,
            [keep.days, keep.runs, list(RESUMABLE), keep.unfinished_days, MOST_AT_ONCE],
        )
        return len(rows)

    async def aclose(self) -> None:
        await self._writes.aclose()
        await self.database.aclose()
