"""Removing runs from the SQLite journal."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from weaver._environment.processes import may_work
from weaver._journal.content import collect
from weaver._journal.retention import DAY, MOST_AT_ONCE, RESUMABLE, Retention


def forget(db: sqlite3.Connection, run_ids: list[str]) -> None:
    """Remove runs from a SQLite journal, and content that no other run refers to."""
    for run_id in run_ids:
        for table in ("entries", "events", "runs"):
            db.execute(f"DELETE FROM {table} WHERE run_id = ?", (run_id,))
    if run_ids:
        collect(db)


def prune(db: sqlite3.Connection, keep: Retention, now: float) -> int:
    """Remove runs from a SQLite journal that ``keep`` does not keep; returns how many."""
    doomed = list(dict.fromkeys(_outdated(db, keep, now)))[:MOST_AT_ONCE]
    forget(db, doomed)
    count = len(doomed)
    while keep.megabytes is not None and count < MOST_AT_ONCE and _size(db) > keep.megabytes * 1e6:
        oldest = _ids(db, "status = 'complete' ORDER BY updated LIMIT 20", ())
        if not oldest:
            break
        forget(db, oldest)
        count += len(oldest)
    return count


def _outdated(db: sqlite3.Connection, keep: Retention, now: float) -> Iterator[str]:
    if keep.days is not None:
        before = now - keep.days * DAY
        yield from _ids(
            db, "status = 'complete' AND updated < ? ORDER BY updated LIMIT ?", (before, MOST_AT_ONCE)
        )
    if keep.runs is not None:
        yield from _ids(db, "status = 'complete' ORDER BY updated DESC LIMIT -1 OFFSET ?", (keep.runs,))
    if keep.unfinished_days is not None:
        marks = ", ".join("?" * len(RESUMABLE))
        rows = db.execute(
            "SELECT run_id, status, owner FROM runs "
            f"WHERE updated < ? AND status IN ({marks}) ORDER BY updated",
            (now - keep.unfinished_days * DAY, *RESUMABLE),
        )
        for run_id, status, owner in rows.fetchall():
            if status != "running" or not may_work(owner):
                yield run_id


def _ids(db: sqlite3.Connection, condition: str, values: tuple[float, ...]) -> list[str]:
    return [row[0] for row in db.execute(f"SELECT run_id FROM runs WHERE {condition}", values)]


def _size(db: sqlite3.Connection) -> int:
    """Bytes of the file that are in use."""
    (pages,), (free,), (size,) = (
        db.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)
