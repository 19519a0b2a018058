"""The real small model, in the real engine, through `choose`."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from weaver.errors import ModelError
from weaver.models import (
    Finish,
    Logprobs,
    OpenAIModel,
    OutputSchema,
    Request,
    Text,
    UsageReport,
    assistant,
    choose,
    user,
)
from weaver_local.engine import stop_all

pytestmark = [pytest.mark.anyio, pytest.mark.heavy, pytest.mark.timeout(300)]

MODEL = (
    Path(os.environ.get("WEAVER_CI_CACHE", "~/.cache/weaver-ci")).expanduser()
    / "model/qwen2.5-coder-0.5b-instruct-q4.gguf"
)


@pytest.fixture
async def model() -> AsyncIterator[OpenAIModel]:
    if not MODEL.is_file():
        pytest.skip(f"needs the small model at {MODEL}")
    choice = await choose(f"local/{MODEL}", environ={"WEAVER_LOCAL_CONTEXT": "2048"})
    assert isinstance(choice.model, OpenAIModel)
    yield choice.model
    await choice.model.aclose()


@pytest.fixture(scope="module", autouse=True)
def ended() -> Any:
    yield
    stop_all()


async def said(model: OpenAIModel, request: Request) -> tuple[str, list[Any]]:
    async with model.stream(request) as stream:
        deltas = [delta async for delta in stream]
    return "".join(delta.text for delta in deltas if isinstance(delta, Text)), deltas


async def busy(model: OpenAIModel) -> int:
    """Return how many of the server's slots work right now."""
    key = model._headers["Authorization"]
    async with (
        aiohttp.ClientSession(headers={"Authorization": key}) as session,
        session.get(model.endpoint.removesuffix("/v1") + "/slots") as response,
    ):
        return sum(slot["is_processing"] for slot in await response.json())


async def test_four_requests_are_answered_at_once(model: OpenAIModel) -> None:
    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, await busy(model))
            await asyncio.sleep(0.05)

    watching = asyncio.create_task(watch())
    words = ("apple", "table", "river", "window")
    answers = await asyncio.gather(
        *(
            said(
                model,
                Request(
                    messages=(user(f"Write one short sentence with the word {word!r}."),),
                    max_tokens=40,
                    temperature=0.0,
                ),
            )
            for word in words
        )
    )
    watching.cancel()

    assert most == 4
    for word, (text, deltas) in zip(words, answers, strict=True):
        assert word in text.lower()
        (usage,) = [delta.usage for delta in deltas if isinstance(delta, UsageReport)]
        assert usage.output_tokens > 0
        assert not usage.estimated
        assert isinstance(deltas[-1], Finish)


async def test_output_fits_the_schema(model: OpenAIModel) -> None:
    schema = {
        "type": "object",
        "properties": {
            "city": {"type": "string", "maxLength": 40},
            "capital": {"type": "boolean"},
            "rivers": {"type": "array", "items": {"type": "string", "maxLength": 20}, "maxItems": 2},
        },
        "required": ["city", "capital", "rivers"],
        "additionalProperties": False,
    }
    text, deltas = await said(
        model,
        Request(
            messages=(user("Tell me about Paris."),), output=OutputSchema("city", schema), max_tokens=200
        ),
    )

    found = json.loads(text)
    assert set(found) == {"city", "capital", "rivers"}
    assert isinstance(found["capital"], bool)
    assert deltas[-1] == Finish("stop")


async def test_cancelling_frees_the_slot(model: OpenAIModel) -> None:
    tokens = 8
    async with model.stream(
        Request(messages=(user("Count slowly from 1 to 2000."),), max_tokens=1500)
    ) as stream:
        began = time.monotonic()
        for _ in range(tokens):
            await anext(stream)
        per_token = (time.monotonic() - began) / tokens
        assert await busy(model) == 1

    # llama.cpp looks for a closed connection when it has a token to send: on a busy machine that is seldom.
    allowed = max(1.0, 5 * per_token)
    began = time.monotonic()
    while await busy(model):
        assert time.monotonic() - began < allowed, f"the slot is still busy after {allowed:.1f} s"
        await asyncio.sleep(0.02)


async def test_prefill_logprobs_and_raw_completions(model: OpenAIModel) -> None:
    text, _ = await said(
        model,
        Request(
            messages=(user("Name the capital of France."), assistant("The capital of France is")),
            prefill=True,
            max_tokens=5,
            temperature=0.0,
        ),
    )
    assert "Paris" in text

    text, _ = await said(
        model, Request(prompt="def add(a, b):\n    return a +", max_tokens=4, temperature=0.0)
    )
    assert text.strip().startswith("b")

    _, deltas = await said(model, Request(messages=(user("Say yes."),), max_tokens=3, logprobs=2))
    tokens = [token for delta in deltas if isinstance(delta, Logprobs) for token in delta.tokens]
    assert tokens
    assert all(token.logprob <= 0.0 for token in tokens)
    assert len(tokens[0].top) == 2


async def test_a_prompt_that_is_too_long_is_a_typed_error(model: OpenAIModel) -> None:
    with pytest.raises(ModelError, match="context"):
        await said(model, Request(messages=(user("word " * 4000),), max_tokens=5))
    assert (await said(model, Request(messages=(user("Say hi."),), max_tokens=5)))[0]
