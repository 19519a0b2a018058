"""Tracing tests run on virtual time where no real socket or thread is waited for."""

from __future__ import annotations

import pytest

from tests.tracing.stories import Spans


@pytest.fixture
def spans() -> Spans:
    return Spans()


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    """No setting of the machine's own reaches a test, and no test writes into the user's store."""
    import os

    for name in list(os.environ):
        if name.startswith(("OTEL_", "WEAVER_", "TRACE")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("WEAVER_HOME", str(tmp_path / "home"))
