"""The local trace store: one SQLite file under ``WEAVER_HOME``.

Spans come in batches and are read run by run, so each batch of a trace is one compressed row: a list of spans
as OTLP in JSON. Several processes may write at the same time.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
import weakref
import zlib
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weaver._environment.paths import home, identity, make_private
from weaver._tracing.record import semconv as sc
from weaver._tracing.store.format_2 import span_from_format_2
from weaver._tracing.store.otlp_json import span_from_otlp, span_to_otlp
from weaver._tracing.store.retention import STORE_ENV, Retention
from weaver._tracing.store.span_record import SpanRecord
from weaver.errors import ConfigurationError, TraceStoreError, UnknownNameError

FILE = "traces.sqlite"

_VERSION = 3
_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    run_id TEXT NOT NULL, trace_id TEXT NOT NULL, span_id TEXT PRIMARY KEY, started_ns INTEGER NOT NULL,
    ended_ns INTEGER, strategy TEXT NOT NULL, model TEXT NOT NULL, status TEXT NOT NULL,
    question TEXT NOT NULL, threads INTEGER NOT NULL, input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL, cost_usd REAL
);
CREATE INDEX IF NOT EXISTS runs_by_start ON runs (started_ns);
CREATE INDEX IF NOT EXISTS runs_by_trace ON runs (trace_id);
CREATE TABLE IF NOT EXISTS spans (trace_id TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS spans_by_trace ON spans (trace_id);
CREATE TABLE IF NOT EXISTS texts (trace_id TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS texts_by_trace ON texts (trace_id);
"""


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run in the store. ``status`` is ``running`` until its root span has ended."""

    run_id: str
    trace_id: str
    span_id: str
    started_ns: int
    ended_ns: int | None
    strategy: str
    model: str
    status: str
    question: str
    threads: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None


@dataclass(frozen=True, slots=True)
class Swept:
    """What `Store.gc` removed, and the size of the file before and after, in bytes."""

    runs: int
    before: int
    after: int


class Store:
    """Runs and their spans in one file. Usable from any thread; one connection, opened when needed.

    Args:
        path: the file; ``WEAVER_HOME/traces.sqlite`` by default.

    Raises:
        TraceStoreError: from every method, when the file cannot be used.
    """

    def __init__(self, path: Path | None = None, *, environ: Mapping[str, str] | None = None) -> None:
        self.path = path or home(environ) / FILE
        self._lock = threading.RLock()
        self._open: sqlite3.Connection | None = None
        self._opened: tuple[int, int] | None = None

    def add(
        self,
        spans: Sequence[SpanRecord],
        texts: Sequence[tuple[str, str, str, str]] = (),
        *,
        started: Sequence[SpanRecord] = (),
    ) -> None:
        """Keep spans and texts.

        Args:
            spans: ended ones.
            texts: (trace id, span id, attribute, text).
            started: roots of runs that have just begun.
        """
        traces: dict[str, list[SpanRecord]] = {}
        for span in spans:
            traces.setdefault(span.trace_id, []).append(span)
        with self._writing() as db:
            for span in started:
                _begin_run(db, span)
            for trace_id, group in traces.items():
                body = f"[{','.join(map(span_to_otlp, group))}]"
                packed = zlib.compress(body.encode("utf-8", "replace"), 3)
                db.execute("INSERT INTO spans VALUES (?,?)", (trace_id, packed))
                for span in group:
                    if sc.RUN_ID in span.attributes:
                        _begin_run(db, span)
                        _end_run(db, span)
            full: dict[str, list[tuple[str, str, str]]] = {}
            for trace_id, span_id, name, text in texts:
                if name == sc.RUN_LABEL:
                    db.execute("UPDATE runs SET question = ? WHERE span_id = ?", (text, span_id))
                elif text:
                    full.setdefault(trace_id, []).append((span_id, name, text))
            for trace_id, items in full.items():
                body = json.dumps(items, ensure_ascii=False, separators=(",", ":"))
                packed = zlib.compress(body.encode("utf-8", "replace"), 1)
                db.execute("INSERT INTO texts VALUES (?,?)", (trace_id, packed))

    def runs(self, *, limit: int | None = 20, status: str | None = None) -> list[RunRow]:
        """The latest runs, newest first."""
        where = " WHERE status = ?" if status else ""
        values: list[Any] = [status] if status else []
        with self._reading() as db:
            rows = db.execute(
                f"SELECT * FROM runs{where} ORDER BY started_ns DESC LIMIT ?",
                [*values, -1 if limit is None else limit],
            ).fetchall()
        return [RunRow(*row) for row in rows]

    def find(self, name: str = "last") -> RunRow:
        """A run by its id, the unique beginning of it, its trace id, or ``last``.

        Raises:
            UnknownNameError: there is no such run.
            ConfigurationError: the beginning fits several runs.
        """
        with self._reading() as db:
            if name == "last":
                rows = db.execute("SELECT * FROM runs ORDER BY started_ns DESC LIMIT 1").fetchall()
            else:
                rows = db.execute(
                    "SELECT * FROM runs WHERE run_id = :name OR trace_id = :name OR span_id = :name "
                    "ORDER BY started_ns DESC LIMIT 1",
                    {"name": name},
                ).fetchall()
            if not rows and name:
                like = name.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
                rows = db.execute(
                    "SELECT * FROM runs WHERE run_id LIKE :name ESCAPE '\\' "
                    "OR trace_id LIKE :name ESCAPE '\\' LIMIT 5",
                    {"name": like},
                ).fetchall()
        if not rows:
            run_ids = [row.run_id for row in self.runs(limit=200)]
            if not run_ids:
                raise ConfigurationError(
                    f"No run has been kept in {self.path}.",
                    hint=f"`weaver run` keeps its runs there, unless {STORE_ENV}=off.",
                )
            raise UnknownNameError("run", name, run_ids, hint="`weaver trace list` shows what is there.")
        if len(rows) > 1:
            ids = ", ".join(sorted(row[0] for row in rows))
            raise ConfigurationError(f"Several runs begin with {name!r}: {ids}.", hint="Give more of the id.")
        return RunRow(*rows[0])

    def spans(self, row: RunRow) -> list[SpanRecord]:
        """The spans of one run, in the order they were written: its root and everything below it."""
        records: list[SpanRecord] = []
        with self._reading() as db:
            for (body,) in db.execute(
                "SELECT body FROM spans WHERE trace_id = ? ORDER BY rowid", (row.trace_id,)
            ):
                records += [_span_from(value) for value in json.loads(zlib.decompress(body))]
        return _below(records, row, alone=self._alone(row))

    def texts(self, row: RunRow) -> dict[tuple[str, str], str]:
        """Full texts by (span id, attribute)."""
        with self._reading() as db:
            rows = db.execute("SELECT body FROM texts WHERE trace_id = ? ORDER BY rowid", (row.trace_id,))
            bodies = [json.loads(zlib.decompress(body)) for (body,) in rows]
        return {(span, name): text for items in bodies for span, name, text in items}

    def remove(self, rows: Iterable[RunRow]) -> int:
        """Forget runs. Returns how many there were."""
        count = 0
        with self._writing() as db:
            for row in rows:
                count += db.execute("DELETE FROM runs WHERE span_id = ?", (row.span_id,)).rowcount
                self._sweep(db)
        return count

    def gc(self, keep: Retention, *, now: float | None = None) -> Swept:
        """Remove what is older or more than ``keep`` allows, and give the space back."""
        before = self.size
        removed = 0
        now = time.time() if now is None else now
        with self._writing() as db:
            if keep.days is not None:
                oldest = int((now - keep.days * 86400) * 1e9)
                removed += db.execute("DELETE FROM runs WHERE started_ns < ?", (oldest,)).rowcount
            if keep.runs is not None:
                removed += db.execute(
                    "DELETE FROM runs WHERE span_id NOT IN "
                    "(SELECT span_id FROM runs ORDER BY started_ns DESC LIMIT ?)",
                    (keep.runs,),
                ).rowcount
            self._sweep(db)
            if keep.megabytes is not None:
                removed += self._shrink(db, int(keep.megabytes * 1e6))
        with self._lock, self._guard():
            # As a script: `execute` would free one page only, as this statement has no rows to fetch.
            self._db().executescript("PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE);")
        return Swept(removed, before, self.size)

    def gc_if_due(self, keep: Retention) -> Swept | None:
        """`gc`, if there is something to remove; a look that costs next to nothing."""
        with self._reading() as db:
            count, oldest = db.execute("SELECT count(*), min(started_ns) FROM runs").fetchone()
            old = keep.days is not None and count and oldest < (time.time() - keep.days * 86400) * 1e9
            big = keep.megabytes is not None and self._used(db) > keep.megabytes * 1e6
        return self.gc(keep) if old or big or (keep.runs is not None and count > keep.runs) else None

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(p.stat().st_size for p in (self.path, Path(f"{self.path}-wal")) if p.exists())

    def close(self) -> None:
        """Close the connection; it is opened again when needed."""
        with self._lock:
            if self._open is not None:
                self._close_db()
                self._open = None

    # Inside -----------------------------------------------------------------------------------------

    def _alone(self, row: RunRow) -> bool:
        with self._reading() as db:
            count = db.execute("SELECT count(*) FROM runs WHERE trace_id = ?", (row.trace_id,)).fetchone()
        return bool(count[0] == 1)

    def _sweep(self, db: sqlite3.Connection) -> None:
        """Remove spans and texts that belong to no run any more."""
        for table in ("spans", "texts"):
            db.execute(f"DELETE FROM {table} WHERE trace_id NOT IN (SELECT trace_id FROM runs)")

    def _shrink(self, db: sqlite3.Connection, limit: int) -> int:
        removed = 0
        while self._used(db) > limit:
            oldest = db.execute("SELECT span_id FROM runs ORDER BY started_ns LIMIT 10").fetchall()
            if not oldest:
                break
            db.executemany("DELETE FROM runs WHERE span_id = ?", oldest)
            self._sweep(db)
            removed += len(oldest)
        return removed

    @staticmethod
    def _used(db: sqlite3.Connection) -> int:
        pages, free, size = (
            db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    @contextmanager
    def _writing(self) -> Generator[sqlite3.Connection]:
        with self._lock, self._guard():
            db = self._db()
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.rollback()
                raise
            db.commit()

    @contextmanager
    def _reading(self) -> Generator[sqlite3.Connection]:
        with self._lock, self._guard():
            yield self._db()

    @contextmanager
    def _guard(self) -> Generator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, zlib.error) as error:
            raise TraceStoreError(
                f"The local trace store {self.path} cannot be used: {error}.",
                hint=f"Move the file away to start anew, or switch the store off with {STORE_ENV}=off.",
            ) from error

    def _db(self) -> sqlite3.Connection:
        if self._open is not None and identity(self.path) != self._opened:
            self.close()  # the file was deleted or moved: what is written to it would be lost
        if self._open is None:
            make_private(self.path)
            db = sqlite3.connect(self.path, timeout=5, isolation_level=None, check_same_thread=False)
            try:
                self._prepare(db)
            except BaseException:
                db.close()
                raise
            self._open = db
            self._opened = identity(self.path)
            self._close_db = weakref.finalize(self, db.close)  # of a store that nobody closes
            self._close_db.atexit = False  # finalizers run before the writer's last spans are written
        return self._open

    def _prepare(self, db: sqlite3.Connection) -> None:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > _VERSION:
            raise TraceStoreError(
                f"The local trace store {self.path} was written by a newer weaver (format {version}).",
                hint=f"Update weaver, or set {STORE_ENV}=off.",
            )
        if version < _VERSION:
            if version == 1:  # one row for each text
                db.execute("DROP TABLE texts")
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
            db.executescript(_SCHEMA)
            db.execute(f"PRAGMA user_version = {_VERSION}")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")


def _span_from(value: Mapping[str, Any]) -> SpanRecord:
    return span_from_otlp(value) if "traceId" in value else span_from_format_2(value)


def _begin_run(db: sqlite3.Connection, span: SpanRecord) -> None:
    about = span.attributes
    db.execute(
        "INSERT OR IGNORE INTO runs VALUES (?,?,?,?,NULL,?,?,'running','',0,0,0,NULL)",
        (
            about[sc.RUN_ID], span.trace_id, span.span_id, span.start_ns,
            about.get(sc.WORKFLOW_NAME, ""), about.get(sc.RUN_MODEL, ""),
        ),
    )  # fmt: skip


def _end_run(db: sqlite3.Connection, span: SpanRecord) -> None:
    about = span.attributes
    status = about.get(sc.RUN_STATUS) or ("failed" if span.status == "error" else "ended")
    if about.get(sc.TASK_STATE) == "cancelled":
        status = "cancelled"
    db.execute(
        "UPDATE runs SET ended_ns = ?, status = ?, threads = ?, input_tokens = ?, output_tokens = ?, "
        "cost_usd = ? WHERE span_id = ?",
        (
            span.end_ns, status, about.get(sc.THREADS, 0), about.get(sc.SUM_INPUT, 0),
            about.get(sc.SUM_OUTPUT, 0), about.get(sc.SUM_COST), span.span_id,
        ),
    )  # fmt: skip


def _below(spans: Sequence[SpanRecord], row: RunRow, *, alone: bool) -> list[SpanRecord]:
    """The run's own spans of a trace that may hold several runs and, after a crash, no root."""
    if alone:
        return list(spans)
    parents = {s.span_id: s.parent_id for s in spans}

    def mine(span_id: str | None) -> bool:
        position = 0
        while span_id is not None and position <= len(parents):
            if span_id == row.span_id:
                return True
            span_id = parents.get(span_id)
            position += 1
        return False

    return [s for s in spans if mine(s.span_id)]
