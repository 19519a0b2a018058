"""The adapter through litellm beside the native one, at the same loopback server."""

from __future__ import annotations

import asyncio
import gc
import sys
import traceback
import warnings
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from weaver._data.messages import assistant, user
from weaver._data.usage import Usage
from weaver._models.layers.call_log import CallLog, Change, Dropped, current_call
from weaver._models.openai.model import OpenAIModel
from weaver._models.protocol import (
    Finish,
    Model,
    OutputSchema,
    Prices,
    Request,
    ToolSpec,
)
from weaver._testing import faults as f
from weaver.errors import (
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ModelConnectionError,
    ModelError,
    ModelProtocolError,
    ModelTimeoutError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
)
from weaver.testing import Scripted, Server

from .conftest import hear, seconds_to_disconnect, stalling

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.heavy,
    # Its and its dependencies' own warnings are theirs; what is left open would be ours.
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.filterwarnings("error::ResourceWarning"),
]

HELLO = Request(messages=(user("Hello"),))
LOOK = ToolSpec("look", "looks", {"type": "object", "properties": {}})
SHAPE = OutputSchema("s", {"type": "object"})
SECRET = "sk-very-secret-123"


@pytest.fixture
def litellm_model() -> Any:
    pytest.importorskip("litellm", reason="litellm is not installed: the adapter is not tested")
    from weaver._models.litellm.model import LiteLLMModel

    return LiteLLMModel


@pytest.fixture
async def both(litellm_model: Any) -> AsyncIterator[Any]:
    opened: list[Model] = []

    def models(server: Server, **options: Any) -> tuple[Model, Model]:
        native = OpenAIModel("openai/scripted", base_url=server.url, api_key=SECRET, **options)
        through = litellm_model("openai/scripted", base_url=server.url, api_key=SECRET, **options)
        opened.extend((native, through))
        return native, through

    yield models
    for model in opened:
        await model.aclose()


@pytest.mark.parametrize(
    ("reply", "request_"),
    [
        (Scripted("one two three", usage=Usage(1, 9, 7, 4, 3)), HELLO),
        (
            Scripted("one two three four"),
            Request(messages=(*HELLO.messages, assistant("y"), user("z")), max_tokens=2),
        ),
        (Scripted("done", reasoning="hm hm"), HELLO),
        (
            Scripted("", tool_calls=(("look", '{"at": 1}'), ("see", "{}"))),
            Request(
                messages=(user("x"),),
                tools=(LOOK,),
            ),
        ),
        (Scripted("a b", logprobs=(-0.5, -1.0)), Request(messages=(user("x"),), logprobs=1)),
        (
            Scripted('{"a": 1}'),
            Request(
                messages=(user("x"),), output=OutputSchema("s", {"type": "object"}), temperature=0.5, seed=3
            ),
        ),
    ],
    ids=["usage", "length", "reasoning", "tools", "logprobs", "schema"],
)
async def test_both_adapters_hear_the_same(both: Any, reply: Scripted, request_: Request) -> None:
    async with Server(reply, dialect="vllm") as server:
        heard = [await hear(model, request_) for model in both(server)]
        assert heard[1].deltas == heard[0].deltas
        ours, theirs = (dict(r.body) for r in server.requests)
        assert theirs == ours


async def test_sampling_that_a_model_does_not_take_is_left_out(litellm_model: Any) -> None:
    request = Request(messages=(user("x"),), temperature=0.0, top_p=0.5, seed=1)
    async with Server("hello") as server:
        model = litellm_model("openai/gpt-5-mini", base_url=server.url, api_key=SECRET)
        told: list[Change] = []
        current_call.set(CallLog(on_change=told.append))
        assert (await hear(model, request)).text == "hello"
        assert set(told) == {Dropped(model.name, "temperature"), Dropped(model.name, "top_p")}
        assert not server.requests[0].body.keys() & {"temperature", "top_p"}
        await model.aclose()


async def test_it_is_a_model_with_prices_and_capabilities(litellm_model: Any) -> None:
    model = litellm_model("anthropic/claude-haiku-4-5", api_key="x")
    assert isinstance(model, Model)
    can = await model.capabilities()
    assert can.tools
    assert can.context is not None
    assert can.context >= 100_000
    assert isinstance(model.prices, Prices)
    assert 0 < model.prices.input < model.prices.output < 1000
    assert model.provider == "anthropic"
    assert litellm_model("bedrock/x").provider == "aws.bedrock"
    assert litellm_model("gpt-5-mini").provider == "openai"
    unknown = litellm_model("openai/scripted-nonsense")
    await unknown.capabilities()
    assert unknown.prices is None


@pytest.mark.parametrize("how", ["leave", "cancel", "cancel before headers"])
async def test_leaving_early_closes_the_connection(both: Any, how: str) -> None:
    async with Server(stalling(how)) as server:
        _, model = both(server)
        await model.capabilities()  # loads litellm
        assert await seconds_to_disconnect(server, model, HELLO, how) < 0.5
        assert _tasks_of_litellm() == []


async def test_no_task_outlives_a_call(both: Any) -> None:
    async with Server("one two") as server:
        _, model = both(server)
        await hear(model, HELLO)
        assert _tasks_of_litellm() == []


def _tasks_of_litellm() -> list[Any]:
    code = [getattr(t.get_coro(), "cr_code", None) for t in asyncio.all_tasks()]
    return [c for c in code if c is not None and "/site-packages/litellm/" in c.co_filename]


async def test_a_page_is_no_answer(both: Any) -> None:
    async with Server(faults=[f.Page()]) as server:
        _, model = both(server)
        with pytest.raises(ModelProtocolError, match="no chunks"):
            await hear(model, HELLO)


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        (f.Refusal(400), BadRequestError, "injected fault"),
        (f.Refusal(401), AuthenticationError, "API key"),
        (f.Refusal(404), BadRequestError, "model's name"),
        (f.Refusal(429), RateLimitError, "injected fault"),
        (f.Refusal(429, message="You exceeded your current quota"), BadRequestError, "quota"),
        (f.Refusal(500), ServerError, "injected fault"),
        (f.Refusal(503), RateLimitError, "injected fault"),
        (f.Reset(), ModelConnectionError, "cannot be reached"),
        (f.Stall(), ModelTimeoutError, "no answer"),
        (f.error_event("too busy", 500, at=0), ModelError, "too busy"),
    ],
    ids=str,
)
async def test_errors_are_ours(litellm_model: Any, fault: f.Fault, kind: type[ModelError], said: str) -> None:
    async with Server("one two three", faults=[fault]) as server:
        model = litellm_model("openai/scripted", base_url=server.url, api_key=SECRET, idle_timeout=0.5)
        with pytest.raises(kind) as raised:
            await hear(model, HELLO)
        assert said in str(raised.value)
        assert server.url in str(raised.value)
        assert "litellm." not in str(raised.value)
        assert len(server.requests) == 1  # litellm's own retries are off
        await model.aclose()


async def test_retry_after_gets_through(both: Any) -> None:
    async with Server(faults=[f.Refusal(429, retry_after=7)]) as server:
        _, model = both(server)
        with pytest.raises(RateLimitError) as raised:
            await hear(model, HELLO)
        assert raised.value.retry_after == 7.0


@pytest.mark.parametrize("fault", [f.Reset(after=2), f.error_event("overheated"), f.malformed()], ids=str)
async def test_failures_after_output(both: Any, fault: f.Fault) -> None:
    async with Server("one two three", faults=[fault]) as server:
        _, model = both(server)
        with pytest.raises(StreamInterruptedError):
            await hear(model, HELLO)


async def test_refused_connections(both: Any) -> None:
    async with Server() as server:
        _, model = both(server)
        async with server.refusing():
            with pytest.raises(ModelConnectionError):
                await hear(model, HELLO)


async def test_secrets_never_appear(both: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "env-secret-456")
    echo = f"key {SECRET} env-secret-456 is wrong"
    async with Server(faults=[f.Refusal(401, message=echo)]) as server:
        _, model = both(server)
        with pytest.raises(AuthenticationError) as raised:
            await hear(model, HELLO)
        shown = "".join(traceback.format_exception(raised.value)) + repr(model)
        assert raised.value.__context__ is None
        assert SECRET not in shown
        assert "env-secret-456" not in shown


async def test_loading_does_not_stall_the_event_loop(litellm_model: Any) -> None:
    code = """
import asyncio, sys
from weaver._models.litellm.model import load
async def main():
    worst, last = 0.0, asyncio.get_running_loop().time()
    loading = asyncio.ensure_future(load())
    while not loading.done():
        await asyncio.sleep(0.005)
        now = asyncio.get_running_loop().time()
        worst, last = max(worst, now - last), now
    assert worst < 1.0, worst
    with_cancel = asyncio.ensure_future(load())
    await with_cancel
assert "litellm" not in sys.modules
asyncio.run(main())
assert "litellm" in sys.modules
"""
    process = await anyio.run_process([sys.executable, "-c", code], check=False)
    assert process.returncode == 0, process.stderr.decode()


async def test_a_deadline_does_not_wait_for_the_import(litellm_model: Any) -> None:
    code = """
import anyio, time
from weaver._models.litellm.model import load
async def main():
    start = time.monotonic()
    with anyio.move_on_after(0.2):
        await load()
    assert time.monotonic() - start < 1.0
anyio.run(main)
"""
    process = await anyio.run_process([sys.executable, "-c", code], check=False)
    assert process.returncode == 0, process.stderr.decode()


async def test_usage_reaches_the_call_log(both: Any) -> None:
    async with Server(Scripted("x", usage=Usage(1, 40, 2))) as server:
        for model in both(server):
            log = CallLog()
            token = current_call.set(log)
            heard = await hear(model, HELLO)
            current_call.reset(token)
            assert isinstance(heard.deltas[-1], Finish)
            assert log.tokens == 42


def test_several_event_loops_and_use_after_closing(litellm_model: Any) -> None:
    with Server("one two three").in_thread() as server, warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        model = litellm_model("openai/scripted", base_url=server.url, api_key="x")

        async def main() -> None:
            assert (await hear(model, HELLO)).text == "one two three"
            await model.aclose()
            assert (await hear(model, HELLO)).text == "one two three"

        for _ in range(2):
            asyncio.run(main())
        gc.collect()


def test_without_litellm_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weaver._models.litellm.model.find_spec", lambda name: None)
    from weaver._models.litellm.model import LiteLLMModel

    with pytest.raises(ConfigurationError, match=r"pip install .*weaver-reasoning\[litellm\]"):
        LiteLLMModel("anthropic/claude-haiku-4-5")
