"""Fixtures of the command line's tests."""

from __future__ import annotations

import pytest

from .played import PlayedWeaver


@pytest.fixture
def weaver() -> PlayedWeaver:
    """A façade that plays a good run."""
    return PlayedWeaver()
