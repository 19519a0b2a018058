"""Conversations in a SQLite file, for several processes at once."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread

from weaver._data.conversation.reading import message_from
from weaver._data.messages import Message
from weaver._environment.file_locks import lock
from weaver._environment.paths import home, make_private
from weaver.errors import InvalidTaskError, SessionError

FILE = "sessions.sqlite"
_POLL_SECONDS = (0.01, 0.25)
_BUSY_SECONDS = 10.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
    session TEXT NOT NULL, position INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (session, position)
) WITHOUT ROWID;
"""
T = TypeVar("T")


class SQLiteSession:
    """One conversation of a file. The file is made when it is first used, readable by its owner only.

    Runs on one conversation wait for each other, those of other processes too. The lock is a file beside the
    database; the system takes it back when a process dies.

    Args:
        id: tells it apart from the other conversations of the file.
        path: the file; ``WEAVER_HOME/sessions.sqlite`` by default.
    """

    def __init__(self, id: str, path: str | Path | None = None) -> None:  # noqa: A002 - what users call it
        self.id = id
        self.path = Path(path) if path is not None else home() / FILE

    def __repr__(self) -> str:
        return f"SQLiteSession({self.id!r}, {str(self.path)!r})"

    async def read(self) -> Sequence[Message]:
        """Every message so far.

        Raises:
            SessionError: the file cannot be read, or is not one of sessions.
        """
        return await self._in_thread(self._read)

    async def append(self, messages: Sequence[Message]) -> None:
        """Add the messages of one turn, all or none.

        Raises:
            SessionError: the file cannot be written.
        """
        await self._in_thread(partial(self._append, messages))

    async def clear(self) -> None:
        """Remove every message.

        Raises:
            SessionError: the file cannot be written.
        """
        await self._in_thread(self._clear)

    @asynccontextmanager
    async def exclusive(self) -> AsyncGenerator[None]:
        """Wait for other runs on this conversation, and keep others waiting.

        Raises:
            SessionError: the lock's file cannot be used.
        """
        name = hashlib.sha256(self.id.encode("utf-8", "replace")).hexdigest()[:32]
        folder = self.path.with_name(self.path.name + ".locks")
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            file = os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise self._failed(error) from None
        try:
            pause, longest = _POLL_SECONDS
            while not self._locked(file):
                await anyio.sleep(pause)
                pause = min(2 * pause, longest)
            yield
        finally:
            os.close(file)

    def _locked(self, file: int) -> bool:
        try:
            return lock(file)
        except OSError as error:
            raise self._failed(error) from None

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(work)

    def _read(self) -> tuple[Message, ...]:
        with self._opened() as db:
            rows = db.execute(
                "SELECT body FROM messages WHERE session = ? ORDER BY position", (self.id,)
            ).fetchall()
        try:
            return tuple(message_from(json.loads(body), f"message {i}") for i, (body,) in enumerate(rows))
        except (ValueError, InvalidTaskError) as error:
            raise SessionError(f"Session {self.id!r} in {self.path} cannot be read: {error}") from None

    def _append(self, messages: Sequence[Message]) -> None:
        bodies = [json.dumps(message.as_dict(), default=str) for message in messages]
        with self._opened() as db:
            db.execute("BEGIN IMMEDIATE")
            (last,) = db.execute(
                "SELECT coalesce(max(position), -1) FROM messages WHERE session = ?", (self.id,)
            ).fetchone()
            rows = [(self.id, last + i, body) for i, body in enumerate(bodies, 1)]
            db.executemany("INSERT INTO messages VALUES (?, ?, ?)", rows)
            db.execute("COMMIT")

    def _clear(self) -> None:
        with self._opened() as db:
            db.execute("DELETE FROM messages WHERE session = ?", (self.id,))

    @contextmanager
    def _opened(self) -> Generator[sqlite3.Connection]:
        try:
            make_private(self.path)
            db = sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None)
            try:
                db.execute("PRAGMA journal_mode = WAL")
                db.executescript(_SCHEMA)
                yield db
            finally:
                db.close()  # undoes a transaction that was not finished
        except (OSError, sqlite3.Error) as error:
            raise self._failed(error) from None

    def _failed(self, error: Exception) -> SessionError:
        why = error.strerror if isinstance(error, OSError) else str(error)
        return SessionError(
            f"The file of sessions {self.path} cannot be used: {why or error}.",
            hint="Check that it is a writable SQLite file on a local disk, or name another one.",
        )


def sessions_in(path: str | Path | None = None) -> Callable[[str], SQLiteSession]:
    """Sessions by id in one file, for ``Weaver(sessions=...)``."""
    return partial(SQLiteSession, path=path)
