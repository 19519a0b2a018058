"""Fixtures for all tests. Tests run on asyncio's real clock unless they ask for virtual time."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from shutil import disk_usage

import pytest
from hypothesis import settings

from tests.real import Llama, serve
from weaver._strategies.common import registry

settings.register_profile("untimed", deadline=None)  # how fast a busy machine is says nothing about the code
settings.load_profile("untimed")

# Without bytecode, each of the many programs that tests start compiles weaver again, and pytest rewrites each
# test file again: a quarter of all CPU.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Of what a shell runs in the background, it has SIGINT ignored, and programs that tests start inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


MEMORY = Path("/dev/shm")


def pytest_configure() -> None:
    """Keep the tests' files in memory where there is room: journals and stores wait for the disk often."""
    if (
        os.access(MEMORY, os.W_OK)
        and disk_usage(MEMORY).free > 2**30
        and not os.statvfs(MEMORY).f_flag & os.ST_NOEXEC
    ):
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


_homes = count()


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test touches the user's own data, and none sees what another one learned about an endpoint.

    Programs keep no runs either, for speed; tests of what they keep set `WEAVER_TRACE_STORE` themselves.
    """
    monkeypatch.setenv("WEAVER_TRACE_STORE", "off")
    folder = tmp_path_factory.getbasetemp() / "homes" / str(next(_homes))
    monkeypatch.setenv("WEAVER_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def _strategies() -> dict[str, registry.Strategy]:
    for name in registry.names():
        registry.load(name)
    return dict(registry._registered)


@pytest.fixture(autouse=True)
def _own_strategies(_strategies: dict[str, registry.Strategy], monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone after it."""
    monkeypatch.setattr(registry, "_registered", dict(_strategies))


@pytest.fixture(scope="session")
def llama() -> Iterator[Llama]:
    """A real llama.cpp server with the real small model and four slots of 2048 tokens."""
    with serve(slots=4, context=2048) as server:
        yield server
