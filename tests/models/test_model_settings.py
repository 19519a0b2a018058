"""Settings of models by name: what goes out, limits, time, who answers instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from weaver import Weaver
from weaver._models.catalog.resolve import Choice, choose
from weaver._models.layers.configured import Configured
from weaver._models.protocol import Request
from weaver._settings.settings import Settings
from weaver.errors import ConfigurationError, ModelError, ModelTimeoutError, ServerError
from weaver.testing import Scripted, ScriptedModel, Server

pytestmark = pytest.mark.anyio


async def answered(server: Server, models: dict[str, Any], **options: Any) -> Any:
    weaver = Weaver(
        model="openai/one",
        base_url=server.url,
        api_key="k",
        models=models,
        **{"strategy": "sequential", **options},
    )
    return await weaver.run("What is 6 x 7?")


async def test_effort_extra_and_headers_go_out_with_each_request():
    async with Server("42") as server:
        await answered(
            server,
            {
                "openai/one": {
                    "effort": "low",
                    "extra": {"service_tier": "flex"},
                    "headers": {"X-Team": "blue"},
                }
            },
        )
        request = server.requests[-1]
    assert request.body["reasoning_effort"] == "low"
    assert request.body["service_tier"] == "flex"
    assert {name.lower(): value for name, value in request.headers.items()}["x-team"] == "blue"


async def test_what_a_request_says_itself_stays():
    model = ScriptedModel("x")
    configured = Configured(model, effort="low", extra={"a": 1, "b": 1}, headers={"h": "1"})
    request = Request(prompt="q", reasoning_effort="high", extra={"b": 2}, headers={"h": "2"})
    async with configured.stream(request) as stream:
        async for _ in stream:
            pass
    sent = model.requests[0].request
    assert (sent.reasoning_effort, sent.extra, sent.headers) == ("high", {"a": 1, "b": 2}, {"h": "2"})


async def test_other_models_are_left_alone():
    async with Server("42") as server:
        await answered(server, {"openai/two": {"effort": "low"}})
        assert "reasoning_effort" not in server.requests[-1].body


async def test_a_fallback_answers_and_the_result_says_so(monkeypatch: pytest.MonkeyPatch):
    bad = ScriptedModel(Scripted(error=ServerError("broken", model="test/bad")), name="test/bad")
    good = ScriptedModel("42", name="test/good")

    async def choose(name: str | None, **_: Any) -> Choice:
        return Choice(bad if name == "test/bad" else good, "asked for")

    monkeypatch.setattr("weaver._models.catalog.resolve.choose", choose)
    models = {"test/bad": {"retries": 1, "fallbacks": ["test/good"]}}
    result = await Weaver(model="test/bad", strategy="sequential", models=models).run("What is 6 x 7?")
    assert result.answer == "42"
    assert result.model == "test/good"
    assert len(bad.requests) == 2


async def test_calls_at_once_are_limited():
    async with Server(Scripted("42", first=0.02)) as server:
        models = {"openai/one": {"concurrency": 2}}
        await answered(server, models, strategy="self_consistency:samples=6")
        assert server.max_in_flight == 2


@pytest.mark.parametrize(("first", "each"), [(60.0, 0.0), (0.0, 30.0)])
async def test_a_call_ends_after_its_timeout(first: float, each: float):
    model = Configured(ScriptedModel(Scripted("a b c d e f", first=first, each=each)), timeout=0.05)
    began = anyio.current_time()

    async def read() -> None:
        async with model.stream(Request(prompt="q")) as stream:
            async for _ in stream:
                pass

    with pytest.raises(ModelError, match=r"within 0\.05 s") as caught:
        await read()
    assert anyio.current_time() - began < 1
    assert isinstance(caught.value, ModelTimeoutError) == (first > 0)


@pytest.mark.parametrize("name", ["openai/gpt-5-mini", "openai:gpt-5-mini"])
async def test_a_colon_after_the_provider_is_understood(name: str):
    choice = await choose(name, environ={"OPENAI_API_KEY": "k"})
    assert choice.model.name == "openai/gpt-5-mini"


async def test_tags_stay_tags():
    assert (await choose("ollama/qwen3:8b", environ={})).model.name == "ollama/qwen3:8b"
    assert (await choose("ollama:qwen3:8b", environ={})).model.name == "ollama/qwen3:8b"


@pytest.mark.parametrize(
    ("table", "place"),
    [
        ("effrt = 'low'", r"models\.openai/one\.effrt"),
        ("retries = -1", r"models\.openai/one\.retries"),
        ("rpm = 0", r"models\.openai/one\.rpm"),
        ("headers = 'x'", r"models\.openai/one\.headers"),
    ],
)
def test_a_wrong_entry_of_a_file_is_named(tmp_path: Path, table: str, place: str):
    (tmp_path / "weaver.toml").write_text(f'[models."openai/one"]\n{table}\n')
    with pytest.raises(ConfigurationError, match=place):
        Settings.load({}, tmp_path)
