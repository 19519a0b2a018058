"""The tables of the SQLite journal, and their version."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from weaver._environment.paths import make_private
from weaver.errors import JournalError

VERSION = 2
APPLICATION_ID = 0x57654A6E
"""Says that a SQLite file is a journal of weaver."""
_MIGRATIONS = (
    """
    CREATE TABLE runs (
        run_id TEXT PRIMARY KEY, status TEXT NOT NULL, epoch INTEGER NOT NULL, owner TEXT NOT NULL,
        created REAL NOT NULL, updated REAL NOT NULL, about TEXT NOT NULL, result BLOB,
        last_seq INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX runs_by_update ON runs (updated);
    CREATE TABLE entries (
        run_id TEXT NOT NULL, seq INTEGER NOT NULL, key TEXT NOT NULL, kind TEXT NOT NULL,
        epoch INTEGER NOT NULL, fingerprint TEXT NOT NULL, value TEXT, ref TEXT, usage TEXT,
        at REAL NOT NULL, PRIMARY KEY (run_id, seq)
    ) WITHOUT ROWID;
    CREATE UNIQUE INDEX first_writer_wins ON entries (run_id, key, kind, fingerprint)
        WHERE kind IN ('ok', 'verdict');
    CREATE INDEX entries_by_content ON entries (ref) WHERE ref IS NOT NULL;
    CREATE TABLE contents (hash TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
    """,
    """
    ALTER TABLE runs ADD COLUMN last_event INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE events (
        run_id TEXT NOT NULL, last INTEGER NOT NULL, size INTEGER NOT NULL, body BLOB NOT NULL,
        PRIMARY KEY (run_id, last)
    ) WITHOUT ROWID;
    """,
)
"""Statement lists; number i brings version i to i + 1."""


def connect(path: Path, busy_seconds: float) -> sqlite3.Connection:
    """Open the file, make it where it is missing, and bring it to this version.

    Raises:
        sqlite3.Error, OSError: it cannot be used.
        JournalError: it is another program's file, or a newer weaver's.
    """
    make_private(path)
    db = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
    try:
        _prepare(db, path)
    except BaseException:
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    owner = db.execute("PRAGMA application_id").fetchone()[0]
    tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables and owner != APPLICATION_ID:
        raise JournalError(
            f"{path} is a SQLite file of another program.", hint="Name another file, or move it away."
        )
    if version > VERSION:
        raise JournalError(
            f"The journal {path} was written by a newer weaver (format {version}).",
            hint="Update weaver, or set WEAVER_HOME to another folder.",
        )
    if version < VERSION:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("BEGIN IMMEDIATE")
        version = db.execute("PRAGMA user_version").fetchone()[0]  # another process may have been faster
        for statements in _MIGRATIONS[version:]:
            for statement in filter(str.strip, statements.split(";")):
                db.execute(statement)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {VERSION}")
        db.execute("COMMIT")
    db.execute("PRAGMA synchronous = FULL")
