"""Fixtures of the coordination tests: virtual time."""

from __future__ import annotations

import pytest
from hypothesis import settings

from weaver.testing import virtual_time

settings.register_profile("untimed", deadline=None)  # how fast a busy machine is says nothing about the code
settings.load_profile("untimed")


@pytest.fixture
def anyio_backend():
    return virtual_time()
