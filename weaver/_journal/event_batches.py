"""Events of a run as rows of the SQLite journal: those that came together stand together, compressed."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from weaver._journal.content import pack, unpack
from weaver.errors import JournalError


def packed_events(events: Sequence[Mapping[str, Any]]) -> bytes:
    """Return the body of a row."""
    return pack("\n".join(json.dumps(event, separators=(",", ":")) for event in events))


def write_events(db: sqlite3.Connection, run_id: str, body: bytes, size: int) -> None:
    """Add a row of ``size`` events, with the run's next numbers."""
    db.execute("UPDATE runs SET last_event = last_event + ? WHERE run_id = ?", (size, run_id))
    db.execute(
        "INSERT INTO events SELECT run_id, last_event, ?, ? FROM runs WHERE run_id = ?", (size, body, run_id)
    )


def read_events(db: sqlite3.Connection, run_id: str, after: int, limit: int | None) -> list[Any]:
    """Return the rows that hold the first events after a number."""
    rows: list[Any] = []
    query = "SELECT last, size, body FROM events WHERE run_id = ? AND last > ? ORDER BY last"
    for row in db.execute(query, (run_id, after)):
        rows.append(row)
        if limit is not None and row[0] - after >= limit:
            break
    return rows


def events_of(rows: list[Any], after: int, limit: int | None) -> list[tuple[int, Mapping[str, Any]]]:
    """Return the events of rows, each with its number.

    Raises:
        JournalError: a row is damaged.
    """
    numbered: list[tuple[int, Mapping[str, Any]]] = []
    for last, size, body in rows:
        try:
            events = [json.loads(line) for line in unpack(body).split("\n")]
        except ValueError as error:
            raise JournalError(
                f"The journal's events {last - size + 1} to {last} are damaged: {error}.",
                hint="The run itself is not: weaver runs show, weaver resume.",
            ) from error
        numbered += enumerate(events, last - size + 1)
    numbered = [(number, event) for number, event in numbered if number > after]
    return numbered if limit is None else numbered[:limit]
