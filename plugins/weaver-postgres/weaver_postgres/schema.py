"""The tables in the database's schema ``weaver``, and their version."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from psycopg import AsyncConnection

from weaver.errors import JournalError

MIGRATIONS = ("journal.sql", "jobs.sql")
"""Files of statements; number i brings version i to i + 1."""
_LOCK = 0x57654A6E
"""Key of the advisory lock under which tables are made."""


async def migrate(connection: AsyncConnection[Any]) -> None:
    """Make the tables where they are missing, and bring them to this version.

    Raises:
        JournalError: they are a newer weaver's.
        psycopg.Error: the database refuses.
    """
    version = await _version(connection)
    if version < len(MIGRATIONS):
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
            version = await _version(connection)  # another process may have been faster
            if version < 0:
                await connection.execute("CREATE SCHEMA IF NOT EXISTS weaver")
                await connection.execute("CREATE TABLE weaver.version (number integer NOT NULL)")
                await connection.execute("INSERT INTO weaver.version VALUES (0)")
                version = 0
            for name in MIGRATIONS[version:]:
                await connection.execute(files("weaver_postgres").joinpath(name).read_bytes())
            await connection.execute("UPDATE weaver.version SET number = %s", [len(MIGRATIONS)])
    elif version > len(MIGRATIONS):
        raise JournalError(
            f"The database's tables were written by a newer weaver-reasoning-postgres (format {version}).",
            hint="Update it here: pip install --upgrade weaver-reasoning-postgres.",
        )


async def _version(connection: AsyncConnection[Any]) -> int:
    """The version of the tables; -1 where there are none."""
    # Not to_regclass: it may remember that there were none, also after a lock has been waited for.
    exists = "SELECT FROM pg_catalog.pg_tables WHERE schemaname = 'weaver' AND tablename = 'version'"
    if await (await connection.execute(exists)).fetchone() is None:
        return -1
    row = await (await connection.execute("SELECT number FROM weaver.version")).fetchone()
    return -1 if row is None else int(row[0])
