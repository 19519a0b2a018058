"""The database that the settings name, for the commands."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from weaver._settings.settings import Settings
from weaver.errors import ConfigurationError
from weaver_postgres.dispatcher import PostgresDispatcher
from weaver_postgres.journal import PostgresJournal

T = TypeVar("T")


def journal_from(url: str | None) -> PostgresJournal:
    """The journal of a URL, or of the setting ``journal``.

    Raises:
        ConfigurationError: neither names a PostgreSQL database.
    """
    if url is None:
        setting = Settings.load().journal
        url = None if setting is None else setting.get_secret_value()
    if url is None or not url.startswith(("postgresql://", "postgres://")):
        raise ConfigurationError(
            "Workers need a journal in PostgreSQL, and none is named.",
            hint="Set WEAVER_JOURNAL=postgresql://USER@HOST/DATABASE, or --journal.",
        )
    return PostgresJournal(url)


def with_dispatcher(
    url: str | None, work: Callable[[PostgresJournal, PostgresDispatcher], Awaitable[T]]
) -> T:
    """Do something with the journal and the queue, and close the connections."""

    async def opened() -> T:
        journal = journal_from(url)
        try:
            return await work(journal, PostgresDispatcher(journal.database))
        finally:
            await journal.aclose()

    return anyio.run(opened)
