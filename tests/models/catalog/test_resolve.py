"""From a name, or none, to a model. Everything over real HTTP on loopback; no key leaves the machine."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from importlib.util import find_spec

import pytest

from tests.models.catalog.conftest import NOWHERE, FakeSource, asked_for
from weaver._models.catalog import registry
from weaver._models.catalog.resolve import Choice, choose
from weaver._models.openai.model import OpenAIModel
from weaver.errors import BadRequestError, ConfigurationError, ModelConnectionError, UnknownNameError
from weaver.testing import ScriptedModel, Server

pytestmark = pytest.mark.anyio


async def test_a_model_object_is_taken_as_it_is() -> None:
    model = ScriptedModel()

    assert await choose(model, environ={"OPENAI_API_KEY": "k"}) == Choice(model, "given as an object")


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("openai/gpt-5-mini", "gpt-5-mini"),
        ("openai/openai/gpt-5", "openai/gpt-5"),
        ("Qwen/Qwen3-8B", "Qwen/Qwen3-8B"),
        ("anthropic/claude-x", "anthropic/claude-x"),
        ("hosted_vllm/Qwen/Qwen3-8B", "Qwen/Qwen3-8B"),
        ("plain", "plain"),
        ("own.gguf", "own.gguf"),
        ("/models/a.gguf", "/models/a.gguf"),
    ],
)
async def test_a_base_url_gets_every_name(name: str, sent: str, file: str, local: FakeSource) -> None:
    async with Server(api_key="k") as server:
        choice = await choose(name, base_url=server.url, api_key="k", environ={})

        assert await asked_for(choice, server) == (sent, "Bearer k")
    assert choice.model.name == name
    assert choice.reason == "base_url was given"
    assert not local.opened


async def test_the_base_url_of_the_environment_is_for_names_of_no_other_provider() -> None:
    async with Server() as server:
        environ = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "k", "GROQ_API_KEY": "g"}

        for name in ("openai/m", "m", "Qwen/m"):
            choice = await choose(name, environ=environ)
            assert choice.model.endpoint == server.url
            assert choice.reason == "OPENAI_BASE_URL is set"
            assert await asked_for(choice, server) == (name.removeprefix("openai/"), "Bearer k")
        other = await choose("groq/m", environ=environ)
    assert other.model.endpoint == "https://api.groq.com/openai/v1"


async def test_a_base_url_without_a_name_takes_the_first_model_of_the_server() -> None:
    async with Server(model="/models/qwen.gguf", api_key="k") as server:
        choice = await choose(None, base_url=server.url, environ={"OPENAI_API_KEY": "k"})

        assert await asked_for(choice, server) == ("/models/qwen.gguf", "Bearer k")
    assert choice.model.name == "openai/qwen.gguf"
    assert choice.reason == "base_url was given, and qwen.gguf is the first model of the server there"


async def test_openais_own_address_needs_no_list() -> None:
    environ = {"OPENAI_BASE_URL": "https://api.openai.com/v1", "OPENAI_API_KEY": "k"}

    choice = await choose(None, environ=environ)

    assert isinstance(choice.model, OpenAIModel)
    assert choice.model.model_id == "gpt-5-mini"


async def test_a_key_is_not_sent_to_another_provider() -> None:
    environ = {"OPENAI_API_KEY": "for-openai"}

    choice = await choose("m", base_url="https://api.groq.com/openai/v1", environ=environ)

    assert isinstance(choice.model, OpenAIModel)
    assert "Authorization" not in choice.model._headers
    assert choice.model.provider == "groq"


async def test_credentials_in_the_url_are_used_and_never_shown() -> None:
    async with Server() as server:
        url = server.url.replace("://", "://user:hunter22@")
        choice = await choose("openai/m", base_url=url, environ={"OPENAI_API_KEY": "k"})

        assert await asked_for(choice, server) == ("m", "Basic dXNlcjpodW50ZXIyMg==")
    for shown in (choice.model.endpoint, repr(choice), choice.reason):
        assert "hunter22" not in shown


async def test_a_server_that_is_none_or_is_gone_is_a_clear_error() -> None:
    async with Server() as server:
        with pytest.raises(BadRequestError, match="HTTP 404"):
            await choose(None, base_url=f"{server.url}/nothing", environ={})
    with pytest.raises(ModelConnectionError, match="refuses connections"):
        await choose(None, base_url=server.url, environ={})


@pytest.mark.parametrize("url", ["ftp://host/v1", "localhost:8080", "http://"])
async def test_a_wrong_base_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="base_url"):
        await choose("openai/m", base_url=url, environ={})
    with pytest.raises(ConfigurationError, match="OPENAI_BASE_URL"):
        await choose("openai/m", environ={"OPENAI_BASE_URL": url})


@pytest.mark.parametrize(
    ("name", "variable", "endpoint", "model_id", "provider"),
    [
        ("openai/gpt-5", "OPENAI_API_KEY", "https://api.openai.com/v1", "gpt-5", "openai"),
        ("gpt-5-mini", "OPENAI_API_KEY", "https://api.openai.com/v1", "gpt-5-mini", "openai"),
        ("o3", "OPENAI_API_KEY", "https://api.openai.com/v1", "o3", "openai"),
        ("groq/a/b", "GROQ_API_KEY", "https://api.groq.com/openai/v1", "a/b", "groq"),
        ("together_ai/x", "TOGETHER_API_KEY", "https://api.together.xyz/v1", "x", "together_ai"),
        ("openrouter/a/b", "OPENROUTER_API_KEY", "https://openrouter.ai/api/v1", "a/b", "openrouter"),
        (
            "fireworks_ai/glm",
            "FIREWORKS_API_KEY",
            "https://api.fireworks.ai/inference/v1",
            "accounts/fireworks/models/glm",
            "fireworks_ai",
        ),
        (
            "gemini-flash-latest",
            "GEMINI_API_KEY",
            "https://generativelanguage.googleapis.com/v1beta/openai",
            "gemini-flash-latest",
            "gcp.gemini",
        ),
    ],
)
async def test_hosted_providers_are_reached_directly_with_their_key(
    name: str, variable: str, endpoint: str, model_id: str, provider: str
) -> None:
    model = (await choose(name, environ={variable: "sk-secret"})).model

    assert isinstance(model, OpenAIModel)
    assert (model.endpoint, model.model_id, model.provider) == (endpoint, model_id, provider)
    assert model._headers["Authorization"] == "Bearer sk-secret"
    with pytest.raises(ConfigurationError, match=r"needs a key, and \w+ is not set"):
        await choose(name, environ={})


@pytest.mark.parametrize(
    ("name", "environ", "endpoint"),
    [
        ("ollama/qwen3", {}, "http://localhost:11434/v1"),
        ("ollama/qwen3", {"OLLAMA_HOST": "0.0.0.0:9"}, "http://127.0.0.1:9/v1"),
        ("ollama/qwen3", {"OLLAMA_API_BASE": "http://box:9"}, "http://box:9/v1"),
        ("hosted_vllm/q", {"HOSTED_VLLM_API_BASE": "http://box:8000/v1"}, "http://box:8000/v1"),
        ("lm_studio/q", {}, "http://localhost:1234/v1"),
        ("llamafile/q", {}, "http://localhost:8080/v1"),
        ("groq/q", {"GROQ_API_BASE": "http://proxy/groq"}, "http://proxy/groq"),
    ],
)
async def test_servers_of_ones_own_need_no_key(name: str, environ: dict[str, str], endpoint: str) -> None:
    assert (await choose(name, environ=environ)).model.endpoint == endpoint


async def test_a_given_key_beats_the_environments() -> None:
    model = (await choose("groq/m", api_key="given", environ={"GROQ_API_KEY": "other"})).model

    assert isinstance(model, OpenAIModel)
    assert model._headers["Authorization"] == "Bearer given"


@pytest.mark.parametrize(
    "name", ["anthropic/claude-haiku-4-5", "claude-haiku-4-5", "bedrock/x", "vertex_ai/x"]
)
async def test_providers_without_a_client_of_ours_need_litellm(name: str, bare: None) -> None:
    with pytest.raises(ConfigurationError, match="litellm, which is not installed") as caught:
        await choose(name, environ={"ANTHROPIC_API_KEY": "k"})

    assert 'pip install "weaver-reasoning[litellm]"' in caught.value.hint


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("opnai/gpt-5", "Did you mean 'openai'?"),
        ("Antropic/claude", "Did you mean 'anthropic'?"),
        ("lokal/qwen", "Did you mean 'local'?"),
        ("zzzzzz/model", "Known are for example openai"),
        ("quux", "openai/quux or ollama/quux"),
    ],
)
async def test_an_unknown_name_gets_a_suggestion(name: str, hint: str, bare: None) -> None:
    with pytest.raises(UnknownNameError) as caught:
        await choose(name, environ={})

    assert hint in caught.value.hint


@pytest.mark.parametrize("name", ["openai/", "groq/ "])
async def test_a_provider_alone_is_no_model(name: str) -> None:
    with pytest.raises(ConfigurationError, match="no model after the provider"):
        await choose(name, environ={"OPENAI_API_KEY": "k", "GROQ_API_KEY": "k"})


@pytest.mark.heavy
@pytest.mark.skipif(find_spec("litellm") is None, reason="needs litellm")
async def test_names_of_other_providers_are_those_in_litellms_list() -> None:
    from weaver._models.litellm.model import LiteLLMModel

    for name in ("anthropic/claude-haiku-4-5", "claude-haiku-4-5", "a2a_agent/x"):
        choice = await choose(name, environ={})
        assert isinstance(choice.model, LiteLLMModel)
    found = await choose(None, environ={**NOWHERE, "ANTHROPIC_API_KEY": "k"})
    assert found.model.name == "anthropic/claude-haiku-4-5"
    assert found.reason == "ANTHROPIC_API_KEY is set"
    with pytest.raises(UnknownNameError, match="Did you mean 'anthropic'"):
        await choose("antropic/claude", environ={})


@pytest.mark.parametrize(
    ("name", "rest"),
    [
        ("local", ""),
        ("local/", ""),
        ("local/tiny", "tiny"),
        ("local//abs/x.gguf", "/abs/x.gguf"),
        ("./x.gguf", "./x.gguf"),
        ("/abs/x.gguf", "/abs/x.gguf"),
        ("~/x.gguf", "~/x.gguf"),
        ("sub/x.GGUF", "sub/x.GGUF"),
        ("C:\\x.gguf", "C:\\x.gguf"),
    ],
)
async def test_local_names_and_files_go_to_the_plugin(name: str, rest: str, local: FakeSource) -> None:
    environ = {"OPENAI_API_KEY": "k"}

    def confirm(_: str) -> bool:
        return True

    choice = await choose(name, environ=environ, confirm=confirm)

    assert choice.reason == f"{name} was asked for"
    assert local.opened == [(rest, registry.Opening(environ, confirm))]


async def test_local_models_are_local_whatever_the_base_url(local: FakeSource, file: str) -> None:
    await choose("local/tiny", base_url="http://host/v1", environ={})
    for name in ("./other.gguf", file):
        await choose(name, environ={"OPENAI_BASE_URL": "http://host/v1"})
    elsewhere = await choose("other.gguf", environ={"OPENAI_BASE_URL": "http://host/v1"})

    assert [name for name, _ in local.opened] == ["tiny", "./other.gguf", "own.gguf"]
    assert elsewhere.model.endpoint == "http://host/v1"


@pytest.mark.parametrize("name", ["local", "local/tiny", "./x.gguf"])
async def test_the_plugin_may_be_missing(name: str, bare: None) -> None:
    with pytest.raises(ConfigurationError, match="weaver-reasoning-local") as caught:
        await choose(name, environ={})

    assert 'pip install "weaver-reasoning[local]"' in caught.value.hint


async def test_a_broken_plugin_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fake_source", sys.modules[FakeSource.__module__])
    points = {
        "gone": EntryPoint("gone", "there_is_no_such_module:source", registry.GROUP),
        "odd": EntryPoint("odd", "fake_source:not_a_source", registry.GROUP),
    }
    monkeypatch.setattr(registry, "installed", lambda: points)

    with pytest.raises(ConfigurationError, match=r"'gone' of .* cannot be loaded: ModuleNotFoundError"):
        await choose("gone/x", environ={})
    with pytest.raises(ConfigurationError, match="has no `offers` and `open`"):
        await choose("odd/x", environ={})
