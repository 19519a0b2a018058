"""Fixtures of the coordination tests: virtual time."""

from __future__ import annotations

import pytest

from weaver.testing import virtual_time


@pytest.fixture
def anyio_backend():
    return virtual_time()
