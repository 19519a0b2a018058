"""A real PostgreSQL for all tests of the session, an empty database for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from importlib.util import find_spec
from itertools import count
from typing import TYPE_CHECKING

import pytest

from tests.postgres import Server, programs, running

if TYPE_CHECKING:
    from weaver_postgres.journal import PostgresJournal

_numbers = count()
collect_ignore_glob = [] if find_spec("weaver_postgres") else ["test_*.py"]


def pytest_report_header() -> str | None:
    return "NOT TESTED: weaver-reasoning-postgres is not installed" if collect_ignore_glob else None


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    if programs() is None:
        pytest.skip("PostgreSQL is not installed (Debian package postgresql): its journal was NOT tested")
    with running() as server:
        yield server


@pytest.fixture
def url(server: Server) -> str:
    """An empty database."""
    return server.new_database(f"runs_{next(_numbers)}")


@pytest.fixture
async def journal(url: str) -> AsyncIterator[PostgresJournal]:
    """A journal on an empty database."""
    from weaver_postgres.journal import PostgresJournal

    journal = PostgresJournal(url)
    yield journal
    await journal.aclose()
