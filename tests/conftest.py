"""Fixtures for all tests. Tests run on asyncio's real clock unless they ask for virtual time."""

from __future__ import annotations

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
