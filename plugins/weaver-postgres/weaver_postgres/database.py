"""Connections to one PostgreSQL database: a pool for each event loop, and patience when it goes away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any, LiteralString, TypeVar
from urllib.parse import urlsplit, urlunsplit
from weakref import WeakKeyDictionary

import anyio
import psycopg
from psycopg import AsyncConnection, errors
from psycopg.conninfo import conninfo_to_dict

from weaver.errors import ConfigurationError, JournalError, WeaverError
from weaver_postgres.notices import Notices
from weaver_postgres.pool import CONNECT_SECONDS, Pool
from weaver_postgres.schema import migrate

T = TypeVar("T")
Work = Callable[[AsyncConnection[Any]], Awaitable[T]]
PATIENCE_SECONDS = 30.0
"""How long work waits for a database that is not there."""
_RETRY_SECONDS = 0.2
_PASSING = (psycopg.OperationalError, psycopg.InterfaceError)
"""Errors that may pass: the connection is lost, the server restarts, a deadlock was broken."""
_LASTING = ("does not exist", "authentication failed", "no password", "pg_hba.conf", "permission denied")
"""Words of errors at connecting that do not pass. They have no code."""


class Database:
    """One database. Its tables are made when it is first used.

    Args:
        url: as libpq reads it: ``postgresql://USER@HOST/DATABASE``. A password is better kept in
            ``PGPASSWORD`` or ``~/.pgpass``.
        patience: seconds that work waits for a database that is not there.
        connections: most connections of one event loop, besides one for what is urgent and one that
            listens for changes.

    Raises:
        ConfigurationError: the URL is not one.
    """

    def __init__(self, url: str, *, patience: float = PATIENCE_SECONDS, connections: int = 4) -> None:
        try:
            conninfo_to_dict(url)
        except psycopg.ProgrammingError as error:
            raise ConfigurationError(
                f"The journal's URL cannot be read: {_one_line(error).replace(url, '...')}.",
                hint="Write it as postgresql://USER@HOST:PORT/DATABASE.",
            ) from None
        self.name = printable_url(url)
        self._url, self._patience, self._connections = url, patience, connections
        self._pools: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[Pool, Pool]] = WeakKeyDictionary()
        self._notices: WeakKeyDictionary[asyncio.AbstractEventLoop, Notices] = WeakKeyDictionary()
        self._is_ready = False

    async def do(self, work: Work[T], *, is_urgent: bool = False) -> T:
        """Run ``work`` in a transaction; what it wrote is durable on return.

        Args:
            work: may run again, in a new transaction, when the connection is lost. What it does must then
                have the same effect as once.
            is_urgent: it does not wait for other work of this process.

        Raises:
            JournalError: the database cannot be used, or was away for longer than the patience.
        """
        deadline_at = monotonic() + self._patience
        while True:
            try:
                usual, urgent = await self._both_pools()
                async with (urgent if is_urgent else usual).connection() as connection:
                    return await work(connection)
            except (*_PASSING, OSError) as error:
                if _lasts(error) or monotonic() >= deadline_at:
                    raise self._explained(error) from error
            except psycopg.Error as error:
                raise self._explained(error) from error
            await anyio.sleep(_RETRY_SECONDS)

    async def rows(
        self, query: LiteralString, values: Sequence[Any] = (), *, is_urgent: bool = False
    ) -> list[Any]:
        """Run one statement and return its rows. As `do`, it may run again."""

        async def work(connection: AsyncConnection[Any]) -> list[Any]:
            cursor = await connection.execute(query, values)
            return await cursor.fetchall() if cursor.description else []

        return await self.do(work, is_urgent=is_urgent)

    def notices(self) -> Notices:
        """The notifications of the database, for the running event loop."""
        loop = asyncio.get_running_loop()
        if loop not in self._notices:
            self._notices[loop] = Notices(self._url)
        return self._notices[loop]

    async def aclose(self) -> None:
        """Close the connections of the running event loop. The object may be used again afterwards."""
        loop = asyncio.get_running_loop()
        if (notices := self._notices.pop(loop, None)) is not None:
            await notices.aclose()
        for pool in self._pools.pop(loop, ()):
            await pool.aclose()

    async def _both_pools(self) -> tuple[Pool, Pool]:
        """Return the connections of the running event loop: for usual and for urgent work."""
        loop = asyncio.get_running_loop()
        if (pools := self._pools.get(loop)) is None:
            if not self._is_ready:
                async with await AsyncConnection.connect(
                    self._url, autocommit=True, connect_timeout=CONNECT_SECONDS
                ) as connection:
                    await migrate(connection)
                self._is_ready = True
            if (pools := self._pools.get(loop)) is None:  # another task may have been faster
                pools = self._pools[loop] = (Pool(self._url, self._connections), Pool(self._url, 1))
        return pools

    def _explained(self, error: Exception) -> WeaverError:
        hint = "Everything recorded before is kept. Check that the server runs and can be reached."
        if _lasts(error) or isinstance(error, errors.InsufficientPrivilege):
            hint = "Check user, password, database and their rights."
        elif isinstance(error, errors.ReadOnlySqlTransaction):
            hint = "The URL must name the primary server, not a standby."
        elif isinstance(error, errors.DiskFull):
            hint = "Its disk is full: free some space, then resume the run."
        elif isinstance(error, (errors.UndefinedTable, errors.UndefinedFunction, errors.UndefinedColumn)):
            hint = "Its schema weaver is damaged; restore it from a backup."
        return JournalError(f"The journal in {self.name} cannot be used: {_one_line(error)}.", hint=hint)


def _lasts(error: Exception) -> bool:
    return any(words in str(error) for words in _LASTING)


def printable_url(url: str) -> str:
    """The URL without user, password and options, for messages."""
    with suppress(ValueError):
        parts = urlsplit(url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    return "the database"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")[:300]
