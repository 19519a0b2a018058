"""The model of a program that names none: by a key, a server that answers, or an embedded model."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import Any

import pytest

from tests.models.catalog.conftest import NOWHERE, FakeSource, asked_for
from weaver._models.catalog import detect, registry, resolve
from weaver._models.catalog.resolve import choose
from weaver.errors import ConfigurationError
from weaver.testing import Server

pytestmark = pytest.mark.anyio


async def test_a_key_in_the_environment_chooses_its_providers_model(local: FakeSource) -> None:
    async with Server() as server:
        environ = {"GROQ_API_KEY": "g", "OPENAI_API_KEY": "o", detect.SERVERS_VARIABLE: server.url}
        choice = await choose(None, environ=environ)
        again = await choose("  ", environ=environ)

    assert choice.model.name == again.model.name == "openai/gpt-5-mini"
    assert choice.reason == "OPENAI_API_KEY is set"
    assert server.probes == 0


async def test_a_key_that_needs_litellm_is_passed_over_with_a_note(bare: None) -> None:
    choice = await choose(None, environ={**NOWHERE, "ANTHROPIC_API_KEY": "a", "GROQ_API_KEY": "g"})

    assert choice.model.name == "groq/openai/gpt-oss-120b"
    assert choice.reason.startswith("GROQ_API_KEY is set (ANTHROPIC_API_KEY is set too, but needs litellm:")
    with pytest.raises(ConfigurationError, match=r"ANTHROPIC_API_KEY is set too"):
        await choose(None, environ={**NOWHERE, "ANTHROPIC_API_KEY": "a"})


async def test_a_local_server_that_answers_is_chosen_where_there_is_no_key(local: FakeSource) -> None:
    async with Server(api_key="closed") as shut, Server(model="qwen", dialect="vllm") as server:
        environ = {detect.SERVERS_VARIABLE: f"{shut.url},{server.url}"}
        choice = await choose(None, environ=environ)

        assert await asked_for(choice, server) == ("qwen", None)
    assert choice.model.name == "hosted_vllm/qwen"
    assert choice.reason == f"no key is set, and vLLM answers at {server.url}"
    assert not local.opened


async def test_the_embedded_model_is_chosen_where_no_server_answers(local: FakeSource) -> None:
    choice = await choose(None, environ=NOWHERE)

    assert choice.model.name == "local/tiny"
    assert choice.reason == "it is embedded; no key is set and no local server answers"
    assert local.opened == [("", registry.Opening(NOWHERE, None))]


async def test_the_error_lists_the_ways_to_a_model_where_there_is_none(bare: None) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await choose(None, environ=NOWHERE)

    assert caught.value.exit_code == 2
    for way in (
        "OPENAI_API_KEY",
        "--base-url",
        "llama.cpp, Ollama",
        "weaver-reasoning[local]",
        "weaver doctor",
    ):
        assert way in caught.value.hint


async def test_a_key_without_a_model_is_not_guessed() -> None:
    with pytest.raises(ConfigurationError, match="neither a model nor a base URL"):
        await choose(None, api_key="k", environ=NOWHERE)


async def test_litellm_is_looked_for_without_importing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve.litellm_installed() is (find_spec("litellm") is not None)
    stand_in: Any = type(sys)("litellm")
    stand_in.__spec__ = None
    monkeypatch.setitem(sys.modules, "litellm", stand_in)
    assert resolve.litellm_installed() is False
