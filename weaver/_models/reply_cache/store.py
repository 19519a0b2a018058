"""Replies of models by the exact request, in one SQLite file under ``WEAVER_HOME``."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
import weakref
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

from weaver._data.messages import ToolCall
from weaver._environment.paths import home, make_private
from weaver._models.protocol import TokenLogprob
from weaver._models.reply import Reply

FILE = "replies.sqlite"
MEGABYTES = 256
"""Size of what is kept; what was used longest ago goes first."""
DAYS = 30
"""Age of what is kept."""
SWEEP_EVERY = 100
"""Replies that are written between two looks at size and age."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS replies (
    key BLOB PRIMARY KEY, written REAL NOT NULL, used REAL NOT NULL, size INTEGER NOT NULL, body BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS replies_by_use ON replies (used);
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
"""
_FIELDS = ("text", "reasoning", "refusal", "finish", "finish_word", "stop", "provider_data")
logger = logging.getLogger("weaver")


class ReplyStore:
    """Keeps replies. Usable from any thread. A file that cannot be used costs calls, never a run.

    Args:
        path: the file; ``WEAVER_HOME/replies.sqlite`` by default. Only its owner may read it.
        megabytes: size of what is kept.
        days: age of what is kept.
    """

    def __init__(self, path: Path | None = None, *, megabytes: float = MEGABYTES, days: float = DAYS) -> None:
        self.path = path or home() / FILE
        self._megabytes = megabytes
        self._days = days
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None
        self._writes = 0
        self._is_broken = False

    def get(self, key: bytes, reply: Reply) -> bool:
        """Fill ``reply`` with what is kept under ``key``. False if there is nothing."""
        try:
            with self._lock:
                db = self._open()
                row = db.execute(
                    "SELECT body FROM replies WHERE key = ? AND written > ?", (key, self._oldest())
                ).fetchone()
                if row is None:
                    return False
                db.execute("UPDATE replies SET used = ? WHERE key = ?", (time.time(), key))
            _fill(reply, json.loads(zlib.decompress(row[0])))
        except (sqlite3.Error, OSError, ValueError, zlib.error, KeyError, TypeError) as error:
            self._complain(error)
            return False
        return True

    def put(self, key: bytes, reply: Reply) -> None:
        """Keep a reply under ``key``."""
        body = zlib.compress(json.dumps(_dump(reply), ensure_ascii=False).encode("utf-8", "replace"), 3)
        now = time.time()
        try:
            with self._lock:
                db = self._open()
                db.execute(
                    "INSERT OR REPLACE INTO replies VALUES (?,?,?,?,?)", (key, now, now, len(body), body)
                )
                self._writes += 1
                if self._writes % SWEEP_EVERY == 1:
                    self._sweep(db)
        except (sqlite3.Error, OSError) as error:
            self._complain(error)

    def close(self) -> None:
        """Close the file; it is opened again when needed."""
        with self._lock:
            if self._db is not None:
                self._close_db()
                self._db = None

    def _sweep(self, db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM replies WHERE written <= ?", (self._oldest(),))
        size = db.execute("SELECT coalesce(sum(size), 0) FROM replies").fetchone()[0]
        while size > self._megabytes * 1e6:
            rows = db.execute("SELECT key, size FROM replies ORDER BY used LIMIT 64").fetchall()
            db.executemany("DELETE FROM replies WHERE key = ?", [(key,) for key, _ in rows])
            size -= sum(length for _, length in rows)

    def _oldest(self) -> float:
        return time.time() - self._days * 86400

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            make_private(self.path)
            db = sqlite3.connect(self.path, timeout=2, isolation_level=None, check_same_thread=False)
            try:
                db.executescript(_SCHEMA)
            except BaseException:
                db.close()
                raise
            self._db = db
            self._close_db = weakref.finalize(self, db.close)  # of a store that nobody closes
        return self._db

    def _complain(self, error: Exception) -> None:
        if not self._is_broken:
            self._is_broken = True
            logger.warning("the cache of replies %s cannot be used: %s", self.path, error)


def _dump(reply: Reply) -> dict[str, Any]:
    return {
        **{name: getattr(reply, name) for name in _FIELDS},
        "tool_calls": [asdict(call) for call in reply.tool_calls],
        "logprobs": [[p.token, p.logprob, p.top] for p in reply.logprobs],
    }


def _fill(reply: Reply, values: dict[str, Any]) -> None:
    for name in _FIELDS:
        setattr(reply, name, values[name])
    reply.tool_calls = tuple(ToolCall(**call) for call in values["tool_calls"])
    reply.logprobs = [
        TokenLogprob(token, logprob, tuple((t, p) for t, p in top))
        for token, logprob, top in values["logprobs"]
    ]
