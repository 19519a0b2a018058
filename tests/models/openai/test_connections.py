"""Connections of an OpenAI-compatible model: closed at once, kept, shared, and reopened."""

from __future__ import annotations

import asyncio
import gc
import logging
import warnings

import anyio
import pytest

from tests.models.conftest import Serve, hear, seconds_to_disconnect, stalling
from weaver._data.messages import user
from weaver._models.openai.model import OpenAIModel
from weaver._models.protocol import Request
from weaver.testing import Scripted, Server

pytestmark = pytest.mark.anyio
HELLO = Request(messages=(user("Hello"),))


@pytest.mark.parametrize("how", ["leave", "raise", "cancel", "cancel before headers"])
async def test_a_caller_that_leaves_early_closes_the_connection_at_once(serve: Serve, how: str) -> None:
    server, model = await serve(stalling(how))

    async def fail_inside() -> None:
        async with model.stream(HELLO) as deltas:
            await anext(deltas)
            raise KeyError("the caller's own")

    if how == "raise":
        with pytest.raises(KeyError):
            await fail_inside()
    else:
        assert await seconds_to_disconnect(server, model, HELLO, how) < 0.1
    await server.until(lambda s: s.in_flight == 0 and s.connections == 0, timeout=2)


async def test_a_finished_call_keeps_its_connection(serve: Serve) -> None:
    server, model = await serve(dialect="vllm")
    for _ in range(3):
        await hear(model, HELLO)
        await anyio.sleep(0.01)
        assert server.connections == 1


async def test_a_connection_that_was_closed_meanwhile_is_no_error(serve: Serve) -> None:
    server, model = await serve(dialect="vllm")
    await hear(model, HELLO)
    # The server hangs up on the idle connection in the very moment in which it is used again.
    server._runner.server.connections[0].transport.close()
    assert (await hear(model, HELLO)).text == "one two three"
    assert len(server.requests) == 2


async def test_many_at_once_without_a_hidden_limit(serve: Serve) -> None:
    server, model = await serve(Scripted("ok", first=0.3))
    async with anyio.create_task_group() as tasks:
        for _ in range(200):
            tasks.start_soon(hear, model, HELLO)
    assert server.max_in_flight == 200


def test_a_model_serves_several_event_loops_and_leaves_nothing_behind() -> None:
    with Server("one two three").in_thread() as server, warnings.catch_warnings():
        warnings.simplefilter("error")
        model = OpenAIModel("openai/x", base_url=server.url)
        for _ in range(3):
            heard = asyncio.run(hear(model, HELLO))  # nobody closes the model
            assert heard.text == "one two three"
        del model
        gc.collect()


async def test_a_closed_model_can_be_used_again(serve: Serve) -> None:
    server, model = await serve(dialect="vllm")
    await hear(model, HELLO)
    await model.aclose()
    await server.until(lambda s: s.connections == 0)
    await model.aclose()
    assert (await hear(model, HELLO)).text == "one two three"


async def test_a_forgotten_model_is_quiet(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    server, _ = await serve()
    model = OpenAIModel("openai/x", base_url=server.url)
    await hear(model, HELLO)
    del model
    gc.collect()
    await anyio.sleep(0.01)
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []
