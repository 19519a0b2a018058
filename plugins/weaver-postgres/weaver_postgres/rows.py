"""Entries and runs as rows, and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from weaver._journal.content import MAX_INLINE, pack, unpack
from weaver._journal.port import Entry, RunHead
from weaver.errors import JournalError
from weaver_postgres.notices import OWNERS
from weaver_postgres.text import plain, text_of

_ALIVE = (
    "SELECT objid::bigint FROM pg_locks WHERE locktype = 'advisory' "
    f"AND classid = {OWNERS} AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
_IS_ALIVE = f"(hashtext(owner)::bigint & 4294967295) IN ({_ALIVE})"
HEAD = (
    "run_id, status, epoch, owner, extract(epoch FROM created), extract(epoch FROM updated), about, result, "
    f"{_IS_ALIVE}"
)
"""Columns of `head_of`."""
PRUNE = f"""
DELETE FROM weaver.runs WHERE run_id IN (
    SELECT r.run_id FROM (
        SELECT *, row_number() OVER (PARTITION BY status = 'complete' ORDER BY updated DESC) AS place
        FROM weaver.runs
    ) r
    CROSS JOIN (
        SELECT %s::float8 AS days, %s::bigint AS runs, %s::text[] AS resumable, %s::float8 AS unfinished_days
    ) keep
    WHERE (
        status = 'complete'
        AND (updated < clock_timestamp() - make_interval(secs => 86400 * days) OR place > runs)
        OR status = ANY (resumable)
        AND updated < clock_timestamp() - make_interval(secs => 86400 * unfinished_days)
        AND NOT (status = 'running' AND {_IS_ALIVE})
    ) AND NOT EXISTS (  -- it waits for a worker, or a run that has not ended may wait for it
        SELECT FROM weaver.jobs j LEFT JOIN weaver.runs parent ON parent.run_id = j.parent
        WHERE j.run_id = r.run_id AND (j.state <> 'done' OR parent.status <> 'complete')
    ) ORDER BY updated LIMIT %s
) RETURNING run_id
"""
"""Deletes runs that are not kept: days, number, statuses that can be resumed, their days, most at once."""
ENTRIES = (
    "SELECT key, kind, epoch, fingerprint, value, packed, usage, extract(epoch FROM at), seq "
    "FROM weaver.entries WHERE run_id = %s AND seq > %s ORDER BY seq"
)
"""Query for rows of `entry_of`: the run, and the number after which."""
EVENTS = "SELECT last, size, body FROM weaver.events WHERE run_id = %s AND last > %s ORDER BY last LIMIT %s"
"""Query for rows of events: the run, the number after which, and the most rows."""


def columns(entries: Sequence[Entry]) -> list[list[Any]]:
    """The arguments of ``weaver.append`` after the batch: one array for each column."""
    values: list[str | None] = []
    packed: list[bytes | None] = []
    for entry in entries:
        text = json.dumps(entry.value, separators=(",", ":"))
        values.append(text if len(text) <= MAX_INLINE else None)
        packed.append(pack(text) if len(text) > MAX_INLINE else None)
    usages = [None if e.usage is None else json.dumps(dict(e.usage), separators=(",", ":")) for e in entries]
    texts = [[plain(getattr(entry, name)) for entry in entries] for name in ("key", "kind", "fingerprint")]
    return [*texts, values, packed, usages]


def entry_of(row: Any) -> Entry:
    """An entry.

    Raises:
        JournalError: it is damaged.
    """
    key, kind, epoch, fingerprint, text, packed, usage, at, seq = row
    try:
        value = json.loads(text if packed is None else unpack(packed))
        cost = json.loads(usage) if usage else None
    except ValueError as error:
        raise JournalError(
            f"The journal's entry {seq} ({text_of(key)}) is damaged: {error}.",
            hint="Remove the run (weaver runs rm) and start it again.",
        ) from error
    return Entry(text_of(key), kind, value, text_of(fingerprint), cost, seq, epoch, float(at))


def head_of(row: Any) -> RunHead:
    """A run."""
    run_id, status, epoch, owner, created, updated, about, result, alive = row
    return RunHead(
        text_of(run_id), status, epoch, text_of(owner), float(created), float(updated), json.loads(about),
        None if result is None else json.loads(unpack(result)), alive,
    )  # fmt: skip
