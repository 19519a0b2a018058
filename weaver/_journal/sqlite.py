"""The journal in one SQLite file under ``WEAVER_HOME``: survives a killed process and a power failure.

One thread writes: whatever has come in while a commit was under way goes into the next one. Several processes
may use the file at the same time.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio

from weaver._journal.content import MAX_INLINE, pack, packed_hash, unpack
from weaver._journal.event_batches import events_of, packed_events, read_events, write_events
from weaver._journal.port import POLL_SECONDS, Entry, Opened, RunHead, Status
from weaver._journal.pruning import forget, prune
from weaver._journal.retention import Retention
from weaver._journal.writer import Writer
from weaver.errors import JournalError, RunTakenOverError

FOLLOW_SECONDS = 0.1
"""Between two looks of who watches a run while another process works on it."""
_HEAD = "run_id, status, epoch, owner, created, updated, about, result"


class SQLiteJournal:
    """Runs in one file, for their owner only (mode 0600).

    Args:
        path: the file; made when first used. That of this machine: `weaver._journal.local_journal`.
        busy_seconds: how long to wait for another process that is writing.
        keep: whenever a run ends, runs that are not to be kept are forgotten. By default all are kept.
    """

    def __init__(
        self, path: Path | str, *, busy_seconds: float = 30.0, keep: Retention | None = None
    ) -> None:
        self.path = Path(path)
        self._keep = keep
        self._writer = Writer(self.path, busy_seconds)

    async def open(self, run_id: str, *, owner: str = "", about: Mapping[str, Any] | None = None) -> Opened:
        text = json.dumps(dict(about or {}))

        def work(db: sqlite3.Connection) -> tuple[int, list[Any], Status | None]:
            now = time.time()
            row = db.execute("SELECT status, epoch FROM runs WHERE run_id = ?", (run_id,)).fetchone()
            if row is None:
                db.execute(
                    "INSERT INTO runs (run_id, status, epoch, owner, created, updated, about, last_seq) "
                    "VALUES (?, 'running', 1, ?, ?, ?, ?, 0)",
                    (run_id, owner, now, now, text),
                )
                return 1, [], None
            db.execute(
                "UPDATE runs SET status = 'running', epoch = epoch + 1, owner = ?, updated = ? "
                "WHERE run_id = ?",
                (owner, now, run_id),
            )
            return row[1] + 1, _rows(db, run_id, 0), row[0]

        epoch, rows, before = await self._writer.do(work)
        return Opened(epoch, [_entry(row) for row in rows], before)

    async def append(self, run_id: str, epoch: int, entries: Sequence[Entry]) -> None:
        texts = [
            (
                entry,
                json.dumps(entry.value, separators=(",", ":"), ensure_ascii=False),
                None if entry.usage is None else json.dumps(dict(entry.usage), separators=(",", ":")),
            )
            for entry in entries
        ]

        def work(db: sqlite3.Connection) -> None:
            seq, now = _owned(db, run_id, epoch), time.time()
            for entry, text, usage in texts:
                body: str | None = text
                ref = None
                if len(text) > MAX_INLINE:
                    packed = pack(text)
                    ref, body = packed_hash(text), None
                    db.execute("INSERT OR IGNORE INTO contents VALUES (?, ?)", (ref, packed))
                done = db.execute(
                    "INSERT OR IGNORE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        run_id, seq + 1, entry.key, entry.kind, epoch, entry.fingerprint, body, ref, usage,
                        now,
                    ),
                )  # fmt: skip
                seq += done.rowcount
            db.execute("UPDATE runs SET last_seq = ?, updated = ? WHERE run_id = ?", (seq, now, run_id))

        await self._writer.do(work)

    async def finish(self, run_id: str, epoch: int, status: Status, result: Any = None) -> None:
        text = None if result is None else pack(json.dumps(result))

        def work(db: sqlite3.Connection) -> None:
            _owned(db, run_id, epoch)
            db.execute(
                "UPDATE runs SET status = ?, result = ?, updated = ? WHERE run_id = ?",
                (status, text, time.time(), run_id),
            )
            if self._keep is not None:
                prune(db, self._keep, time.time())

        await self._writer.do(work)

    async def entries(self, run_id: str, *, after: int = 0) -> Sequence[Entry]:
        rows = await self._writer.do(lambda db: _rows(db, run_id, after), writes=False)
        return [_entry(row) for row in rows]

    async def publish(self, run_id: str, epoch: int, events: Sequence[Mapping[str, Any]]) -> None:
        if not events:
            return
        body, size = packed_events(events), len(events)

        def work(db: sqlite3.Connection) -> None:
            _owned(db, run_id, epoch)
            write_events(db, run_id, body, size)

        await self._writer.do(work)

    async def events(
        self, run_id: str, *, after: int = 0, limit: int | None = None
    ) -> Sequence[tuple[int, Mapping[str, Any]]]:
        rows = await self._writer.do(lambda db: read_events(db, run_id, after, limit), writes=False)
        return events_of(rows, after, limit)

    async def head(self, run_id: str) -> RunHead | None:
        def work(db: sqlite3.Connection) -> Any:
            return db.execute(f"SELECT {_HEAD} FROM runs WHERE run_id = ?", (run_id,)).fetchone()

        row = await self._writer.do(work, writes=False)
        return None if row is None else _head(row)

    async def heads(self, *, status: Status | None = None, limit: int | None = None) -> Sequence[RunHead]:
        def work(db: sqlite3.Connection) -> list[Any]:
            where, values = ("WHERE status = ? ", [status]) if status else ("", [])
            return db.execute(
                f"SELECT {_HEAD} FROM runs {where}ORDER BY updated DESC LIMIT ?",
                [*values, -1 if limit is None else limit],
            ).fetchall()

        return [_head(row) for row in await self._writer.do(work, writes=False)]

    async def changed(self, run_id: str, *, follow: bool = False) -> None:  # noqa: ARG002 - polled
        await anyio.sleep(FOLLOW_SECONDS if follow else POLL_SECONDS)

    async def cancel(self, run_id: str) -> None:
        def work(db: sqlite3.Connection) -> None:
            db.execute(
                "UPDATE runs SET status = 'cancelled', epoch = epoch + 1, updated = ? WHERE run_id = ?",
                (time.time(), run_id),
            )

        await self._writer.do(work)

    async def remove(self, run_id: str) -> None:
        await self._writer.do(lambda db: forget(db, [run_id]))

    async def prune(self, keep: Retention) -> int:
        return await self._writer.do(lambda db: prune(db, keep, time.time()))

    async def aclose(self) -> None:
        await self._writer.close()


def _owned(db: sqlite3.Connection, run_id: str, epoch: int) -> int:
    """The run's last sequence number, if ``epoch`` is its owner's.

    Raises:
        RunTakenOverError: it is not, or the run is gone.
    """
    row = db.execute("SELECT epoch, last_seq FROM runs WHERE run_id = ?", (run_id,)).fetchone()
    if row is None or epoch not in (0, row[0]):
        raise RunTakenOverError.of(run_id)
    last: int = row[1]
    return last


def _rows(db: sqlite3.Connection, run_id: str, after: int) -> list[Any]:
    return db.execute(
        "SELECT e.key, e.kind, e.epoch, e.fingerprint, e.value, e.usage, e.at, e.seq, e.ref, c.body "
        "FROM entries e LEFT JOIN contents c ON c.hash = e.ref WHERE e.run_id = ? AND e.seq > ? "
        "ORDER BY e.seq",
        (run_id, after),
    ).fetchall()


def _entry(row: Any) -> Entry:
    key, kind, epoch, fingerprint, text, usage, at, seq, ref, body = row
    try:
        if ref is not None:
            text = unpack(body, ref)
        return Entry(
            key, kind, json.loads(text), fingerprint, json.loads(usage) if usage else None, seq, epoch, at
        )
    except ValueError as error:
        raise JournalError(
            f"The journal's entry {seq} ({key}) is damaged: {error}.",
            hint="Remove the run (weaver runs rm) and start it again.",
        ) from error


def _head(row: Any) -> RunHead:
    run_id, status, epoch, owner, created, updated, about, result = row
    return RunHead(
        run_id, status, epoch, owner, created, updated, json.loads(about),
        None if result is None else json.loads(unpack(result)),
    )  # fmt: skip
