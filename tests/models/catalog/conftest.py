"""Sources of models that are installed, or not, as tests want them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from tests.models.conftest import hear
from weaver._data.messages import user
from weaver._models.catalog import detect, registry, resolve
from weaver._models.catalog.resolve import Choice
from weaver._models.protocol import Model, Request
from weaver.testing import ScriptedModel, Server

NOWHERE = {detect.SERVERS_VARIABLE: ""}


class FakeSource:
    """A model source that records how it was opened."""

    def __init__(self) -> None:
        self.opened: list[tuple[str, registry.Opening]] = []

    def offers(self, environ: Mapping[str, str]) -> list[registry.Offer]:
        return [registry.Offer("local/tiny", True, "1 MB")]

    async def open(self, name: str, opening: registry.Opening) -> Model:
        self.opened.append((name, opening))
        return ScriptedModel(name=f"local/{name or 'tiny'}")


fake = FakeSource()
not_a_source = object()


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> FakeSource:
    """The embedded model is installed (a stand-in)."""
    fake.opened.clear()
    monkeypatch.setitem(sys.modules, "fake_source", sys.modules[__name__])
    monkeypatch.setattr(
        registry, "installed", lambda: {"local": EntryPoint("local", "fake_source:fake", registry.GROUP)}
    )
    return fake


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the embedded model nor litellm is installed."""
    monkeypatch.setattr(registry, "installed", dict)
    monkeypatch.setattr(resolve, "litellm_installed", lambda: False)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.gguf").write_bytes(b"GGUF")
    return "own.gguf"


async def asked_for(choice: Choice, server: Server) -> tuple[str, str | None]:
    """(model id, Authorization header) that the chosen model sends."""
    await hear(choice.model, Request(messages=(user("hi"),)))
    await choice.model.aclose()
    received = server.requests[-1]
    return received.body["model"], received.headers.get("authorization")
