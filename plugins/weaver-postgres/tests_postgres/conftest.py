"""A real PostgreSQL for all tests of the session, an empty database for each test."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from itertools import count

import pytest

from tests.postgres import Server, programs, running

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
