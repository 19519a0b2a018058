"""The adapter at a real llama.cpp server with a real model."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable

import anyio
import anyio.to_thread
import pytest

from tests.models.conftest import hear
from tests.real import Llama
from weaver._data.messages import assistant, user
from weaver._models.compose import layered
from weaver._models.layers.limit import Gates
from weaver._models.openai.model import OpenAIModel
from weaver._models.protocol import Capabilities, Logprobs, OutputSchema, Request
from weaver.errors import BadRequestError

pytestmark = [pytest.mark.anyio, pytest.mark.heavy, pytest.mark.timeout(300)]

# A slot is freed after the token that is being worked on: far below a second on an idle machine.
FREED = 10.0
ESSAY = Request(messages=(user("Write a long story about a ship."),), max_tokens=800)


@pytest.fixture
async def model(llama: Llama) -> AsyncIterator[OpenAIModel]:
    model = OpenAIModel("openai/small", base_url=llama.url)
    yield model
    await model.aclose()


async def busy(llama: Llama) -> int:
    return await anyio.to_thread.run_sync(llama.busy)


async def until_busy(llama: Llama, condition: Callable[[int], bool]) -> float:
    """Seconds until the number of busy slots meets ``condition``."""
    start = time.monotonic()
    while not condition(await busy(llama)):
        await anyio.sleep(0.02)
    return time.monotonic() - start


async def test_capabilities(model: OpenAIModel, llama: Llama) -> None:
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
        vision=False,
        audio=False,
    )


async def test_chat_with_logprobs(model: OpenAIModel) -> None:
    request = Request(messages=(user("Say hi."),), max_tokens=8, temperature=0.0, logprobs=2)
    heard = await hear(model, request)
    again = await hear(model, request)
    assert heard.text.strip()
    assert heard.text == again.text
    assert heard.finish.reason in {"stop", "length"}
    assert heard.usage is not None
    assert heard.usage.input_tokens > 5
    tokens = [t for d in heard.deltas if isinstance(d, Logprobs) for t in d.tokens]
    assert len(tokens) >= heard.usage.output_tokens - 1
    assert all(t.logprob <= 0.0 and len(t.top) == 2 for t in tokens)
    assert "".join(t.token for t in tokens).startswith(heard.text.strip()[:2])


async def test_raw_completion_tells_the_matched_stop_string(model: OpenAIModel) -> None:
    request = Request(prompt="1, 2, 3, 4, 5, ", max_tokens=30, temperature=0.0, stop=("9", "8"))
    heard = await hear(model, request)
    assert heard.text == "6, 7, "
    assert (heard.finish.reason, heard.finish.stop) == ("stop", "8")


async def test_output_fits_its_schema(model: OpenAIModel) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 20}, "age": {"type": "integer"}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    asked = (user("Invent a person."),)
    heard = await hear(
        model, Request(messages=asked, max_tokens=80, temperature=0.0, output=OutputSchema("person", schema))
    )
    found = json.loads(heard.text)
    assert set(found) == {"name", "age"}
    assert isinstance(found["age"], int)
    raw = Request(
        prompt="A person as JSON:", max_tokens=80, temperature=0.0, output=OutputSchema("person", schema)
    )
    assert set(json.loads((await hear(model, raw)).text)) == {"name", "age"}


async def test_prefill_continues_the_message(model: OpenAIModel) -> None:
    request = Request(
        messages=(user("Count from 1 to 9."), assistant("1, 2, 3, 4,")),
        prefill=True,
        max_tokens=6,
        temperature=0.0,
    )
    assert (await hear(model, request)).text.startswith(" 5, 6")


async def test_too_long_a_prompt_is_a_clear_error(model: OpenAIModel) -> None:
    with pytest.raises(BadRequestError, match="exceeds the available context size"):
        await hear(model, Request(prompt="word " * 4000, max_tokens=5))


async def test_several_slots_work_at_once_and_cancelling_frees_them(model: OpenAIModel, llama: Llama) -> None:
    async def call() -> None:
        async with model.stream(ESSAY) as deltas:
            async for _ in deltas:
                pass

    with anyio.fail_after(200):
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(call)
            await until_busy(llama, lambda slots: slots >= 3)
            tasks.cancel_scope.cancel()
        assert await until_busy(llama, lambda slots: slots == 0) < FREED


async def test_leaving_a_stream_frees_its_slot(model: OpenAIModel, llama: Llama) -> None:
    async with model.stream(ESSAY) as deltas:
        for _ in range(3):
            await anext(deltas)
        assert await busy(llama) == 1
    assert await until_busy(llama, lambda slots: slots == 0) < FREED


async def test_more_calls_than_slots_wait_on_our_side(model: OpenAIModel, llama: Llama) -> None:
    whole = layered(model, gates=Gates())
    request = Request(messages=(user("Say hi."),), max_tokens=12)
    with anyio.fail_after(200):
        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(hear, whole, request)
    assert await busy(llama) == 0
