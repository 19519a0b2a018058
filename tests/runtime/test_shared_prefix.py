"""Prompts that begin alike: the first is read alone where that pays, and misses are told."""

from __future__ import annotations

import anyio
import pytest

from weaver import Weaver
from weaver._data.result import Answer
from weaver._models.costs import costs_of
from weaver._models.protocol import Prices, Request
from weaver._runtime.state.shared_prefix import with_cache_key
from weaver.testing import SimulatedModel, Work, virtual_time

pytestmark = pytest.mark.anyio
SHARED = "The document says this and that. " * 200  # 1,650 tokens


@pytest.fixture
def anyio_backend():
    return virtual_time()


def endpoint(**changes):
    settings = {"first_token": 0.2, "prompt_speed": 500.0, "speed": 100.0, "slowdown": 0.0, "cache": True}
    return SimulatedModel(lambda request, rng: Work("word " * 40, "", thinking=0), **(settings | changes))


async def four(run, task):
    """Four questions about one document, at once."""
    async with anyio.create_task_group() as group:
        for i in range(4):
            group.start_soon(run.think, f"{SHARED}\nQuestion {i}?")
    return Answer("done")


async def measured(weaver, model):
    async def calls(run, task):
        for i in range(8):
            await run.think(f"Question {i}: " + "why? " * (100 * i))
        return Answer("done")

    await weaver.run("x", strategy=calls)
    assert costs_of(model).measured.prefill == pytest.approx(500, rel=0.1)
    model.served.clear()


async def test_the_first_of_alike_prompts_is_read_alone_where_reading_is_slow():
    model = endpoint()
    async with Weaver(model) as weaver:
        await measured(weaver, model)
        result = await weaver.run("x", strategy=four)
    first, *others = model.served
    assert first.cached == 0
    assert all(s.cached > 1500 for s in others)
    assert all(s.at >= first.at + 3 for s in others)
    assert not [n for n in result.notes if "cache" in n]
    assert result.usage.cached_tokens > 4500


async def test_nothing_waits_at_an_endpoint_that_is_not_measured_and_misses_are_told():
    model = endpoint(cache=False)
    result = await Weaver(model).run("x", strategy=four)
    assert len({s.at for s in model.served}) == 1
    assert [n for n in result.notes if "4 calls shared the first 1,024 tokens" in n]


async def test_nothing_waits_where_each_slot_has_a_cache_of_its_own():
    model = endpoint(provider="llama_cpp")
    async with Weaver(model) as weaver:
        await measured(weaver, model)
        await weaver.run("x", strategy=four)
    assert len({s.at for s in model.served}) == 1


async def test_nothing_waits_where_reading_is_fast_and_money_is_no_matter():
    model = endpoint(prompt_speed=20_000.0)
    async with Weaver(model) as weaver:

        async def calls(run, task):
            for i in range(8):
                await run.think(f"Question {i}: " + "why? " * (100 * i))
            return Answer("done")

        await weaver.run("x", strategy=calls)
        model.served.clear()
        await weaver.run("x", strategy=four)
    assert len({s.at for s in model.served}) == 1


async def test_where_cached_tokens_are_cheap_waiting_is_worth_the_money():
    model = endpoint(prompt_speed=20_000.0, prices=Prices(3.0, 15.0, 0.3))
    async with Weaver(model) as weaver:
        await weaver.run("x", strategy=four)  # cached tokens are reported
        await weaver.run("x", strategy=four)
        model._read.clear()
        model.served.clear()
        await weaver.run("x", strategy=four)
    assert [s.cached > 1500 for s in model.served] == [False, True, True, True]


async def test_a_first_call_that_fails_lets_the_others_go():
    model = endpoint()

    async def cancelled(run, task):
        async with anyio.create_task_group() as group:

            async def one(i):
                with anyio.CancelScope() as scope:
                    if i == 0:
                        scope.deadline = anyio.current_time() + 0.1
                    await run.think(f"{SHARED}\nQuestion {i}?")

            for i in range(3):
                group.start_soon(one, i)
        return Answer("done")

    async with Weaver(model) as weaver:
        await measured(weaver, model)
        result = await weaver.run("x", strategy=cancelled)
    assert result.status == "complete"
    assert result.metrics.wall_seconds < 10


def test_openai_gets_a_key_and_nobody_else():
    class At:
        name, provider = "m", "openai"

        def __init__(self, endpoint):
            self.endpoint = endpoint

    key = "run-thread"
    assert with_cache_key(Request(), At("https://api.openai.com/v1"), key).extra == {"prompt_cache_key": key}
    assert with_cache_key(Request(), At("http://localhost:8000/v1"), key).extra == {}
    own = Request(extra={"prompt_cache_key": "mine"})
    assert with_cache_key(own, At("https://api.openai.com/v1"), key).extra == {"prompt_cache_key": "mine"}
