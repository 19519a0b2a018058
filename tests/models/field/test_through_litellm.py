"""The same dialects through litellm, which drops and guesses some of it by itself."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.models.conftest import hear
from weaver import Task, Weaver, tool
from weaver._data.messages import user
from weaver._models.litellm.model import LiteLLMModel
from weaver._models.protocol import Refusal, Request
from weaver.errors import BadRequestError, ModelError

from .conftest import CAN, DONE, Answer, Raw, chunk, event, usage

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.heavy,
    pytest.mark.filterwarnings("ignore"),  # litellm's own are its own
]
HELLO = Request((user("Name a river."),))


@pytest.fixture
async def through(raw: Raw) -> AsyncIterator[Any]:
    pytest.importorskip("litellm", reason="litellm is not installed: the adapter is not tested")
    models: list[LiteLLMModel] = []

    async def start(*parts: Any, name: str = "openai/raw") -> Any:
        server, _ = await raw(*parts)
        url = server.url.removesuffix("/v1") if name.startswith("anthropic/") else server.url
        models.append(LiteLLMModel(name, base_url=url, api_key="k" * 9, capabilities=CAN))
        return server, models[-1]

    yield start
    for model in models:
        await model.aclose()


@pytest.mark.parametrize(
    ("word", "reason"),
    [("insufficient_system_resource", "interrupted"), ("content_filter", "content_filter"), ("stop", "stop")],
)
async def test_the_words_for_an_end(through: Any, word: str, reason: str) -> None:
    _, model = await through(chunk({"content": "The Elbe"}), chunk({}, word), usage(4, 3), DONE)
    heard = await hear(model, HELLO)
    assert (heard.text, heard.finish.reason) == ("The Elbe", reason)
    assert heard.usage is not None
    assert (heard.usage.input_tokens, heard.usage.output_tokens, heard.usage.estimated) == (4, 3, False)


async def test_a_refusal_and_text_in_a_message(through: Any) -> None:
    _, model = await through(chunk({"refusal": "I will not."}), chunk({}, "stop"), DONE)
    assert Refusal("I will not.") in (await hear(model, HELLO)).deltas
    _, model = await through(
        event(
            {
                "choices": [
                    {"index": 0, "delta": {}, "message": {"content": "The Elbe"}, "finish_reason": "stop"}
                ]
            }
        ),
        DONE,
    )
    assert (await hear(model, HELLO)).text == "The Elbe"


async def test_usage_that_nobody_reported_is_an_estimate(through: Any) -> None:
    _, model = await through(chunk({"content": "The Elbe"}), chunk({}, "stop"), DONE)
    async with Weaver(model, strategy="sequential") as weaver:
        assert (await weaver.run("Name a river.")).usage.estimated


@pytest.mark.parametrize("name", ["openai/raw", "anthropic/claude-haiku-4-5"])
@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "the well is dry", "type": "x"}},
        [{"error": {"message": "the well is dry", "code": 400}}],
        "the well is dry",
    ],
)
async def test_the_servers_words(through: Any, name: str, body: Any) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    _, model = await through(Answer([text.encode()], status=400), name=name)
    with pytest.raises(BadRequestError, match="the well is dry") as raised:
        await hear(model, HELLO)
    assert "b'" not in raised.value.message
    assert "{" not in raised.value.message


async def test_a_quota_in_the_stream_is_not_asked_for_again(through: Any) -> None:
    _, model = await through(event({"error": {"message": "top up", "code": "insufficient_quota"}}), DONE)
    with pytest.raises(ModelError, match="top up") as raised:
        await hear(model, HELLO)
    assert not raised.value.retriable


async def test_what_came_with_a_call_goes_back_with_it(through: Any) -> None:
    @tool
    def length_of(river: str) -> str:
        """The length of a river in km."""
        return "1094"

    function = {"name": "length_of", "arguments": '{"river": "Elbe"}'}
    signed = {
        "index": 0,
        "id": "a",
        "type": "function",
        "extra_content": {"google": {"s": "1"}},
        "function": function,
    }
    server, model = await through(
        Answer(
            [
                chunk({"reasoning_content": "Hm."}),
                chunk({"tool_calls": [signed]}),
                chunk({}, "tool_calls"),
                DONE,
            ]
        ),
        Answer([chunk({"content": "1094 km."}), chunk({}, "stop"), DONE]),
    )
    async with Weaver(model, strategy="sequential") as weaver:
        result = await weaver.run(Task("Measure the Elbe.", tools=(length_of,)))
    assert result.answer == "1094 km."
    asked = server.bodies[1]["messages"][1]
    assert asked["reasoning_content"] == "Hm."
    assert asked["tool_calls"][0]["extra_content"] == {"google": {"s": "1"}}
