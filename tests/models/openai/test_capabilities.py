"""What servers say they can do and cost, and when they are asked."""

from __future__ import annotations

import anyio
import pytest

from tests.models.conftest import Serve, hear
from weaver._data.messages import assistant, user
from weaver._data.usage import Usage
from weaver._models.openai.model import OpenAIModel
from weaver._models.protocol import (
    Capabilities,
    Prices,
    Request,
)
from weaver.errors import MissingCapabilityError
from weaver.testing import Server

pytestmark = pytest.mark.anyio
HELLO = Request(messages=(user("Hello"),))


async def test_what_llama_cpp_can_is_asked_once() -> None:
    async with Server(slots=4, context=2048, model="tiny-0.5b-q4") as server:
        model = OpenAIModel("openai/x", base_url=server.url)
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(model.capabilities)
        assert await model.capabilities() == Capabilities(
            json_schema=True,
            json_object=True,
            tools=True,
            logprobs=True,
            completions=True,
            prefill=True,
            slots=4,
            context=2048,
            small=True,
        )
        assert server.stats()["probes"] == 2
        await model.aclose()


async def test_what_vllm_can() -> None:
    async with Server(dialect="vllm", context=4096, model="meta/Llama-3.3-70B") as server:
        model = OpenAIModel("openai/meta/Llama-3.3-70B", base_url=server.url)
        can = await model.capabilities()
        assert (can.context, can.slots, can.completions, can.small) == (4096, None, True, False)
        await model.aclose()


async def test_capabilities_of_an_unreachable_server_do_not_raise() -> None:
    async with Server() as server:
        pass
    model = OpenAIModel("openai/x", base_url=server.url)
    assert (await model.capabilities()).json_schema is False
    await model.aclose()


async def test_capabilities_are_looked_for_again_when_the_server_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("weaver._models.openai.probe._ASK_AGAIN", 0.0)
    server = Server(slots=3)
    async with server:
        pass
    model = OpenAIModel("openai/x", base_url=server.url)
    assert (await model.capabilities()).slots is None
    async with server:
        assert (await model.capabilities()).slots == 3
        await model.aclose()


async def test_given_capabilities_win_and_missing_ones_are_an_error(serve: Serve) -> None:
    server, model = await serve(dialect="openai")
    with pytest.raises(MissingCapabilityError, match="unfinished message"):
        await hear(model, Request(messages=(user("x"), assistant("1 2")), prefill=True))
    assert server.requests == []
    _, able = await serve(dialect="openai", model_options={"capabilities": Capabilities(prefill=True)})
    heard = await hear(able, Request(messages=(user("x"), assistant("1 2")), prefill=True))
    assert heard.text == "one two three"


async def test_openai_itself_is_never_probed() -> None:
    model = OpenAIModel("openai/gpt-5-mini", base_url="https://api.openai.com/v1", api_key="sk-x")
    can = await model.capabilities()
    assert can.json_schema
    assert not can.logprobs
    assert not can.completions
    assert (await OpenAIModel("openai/gpt-4.1", base_url="https://api.openai.com/v1").capabilities()).logprobs
    assert not model._clients


async def test_prices_that_a_server_lists() -> None:
    async with Server(dialect="openai") as server:
        server.listed = {
            "context_length": 99,
            "supported_parameters": ["tools", "structured_outputs"],
            "pricing": {"prompt": "0.000003", "completion": "0.000015", "input_cache_read": "0.0000003"},
        }
        model = OpenAIModel("openrouter/scripted", model_id="scripted", base_url=server.url)
        assert model.prices is None
        can = await model.capabilities()
        assert (can.json_schema, can.tools, can.json_object, can.context) == (True, True, False, 99)
        assert model.prices is not None
        cost = model.prices.cost(Usage(1, 1_000_000, 1_000_000, cached_tokens=500_000))
        assert cost == pytest.approx(0.5 * 3 + 0.5 * 0.3 + 15)
        own = OpenAIModel("openai/x", base_url=server.url, prices=Prices(1, 2))
        await own.capabilities()
        assert own.prices == Prices(1, 2)
        await model.aclose()
        await own.aclose()
