"""A model at a loopback server, closed after each test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import anyio
import pytest

from weaver._data.usage import Usage
from weaver._models.openai.model import OpenAIModel
from weaver._models.protocol import Delta, Finish, Model, Request, Text, UsageReport
from weaver.testing import Scripted, Server


class Heard:
    """Everything one call said."""

    def __init__(self) -> None:
        self.deltas: list[Delta] = []

    @property
    def text(self) -> str:
        return "".join(d.text for d in self.deltas if isinstance(d, Text))

    @property
    def finish(self) -> Finish:
        assert isinstance(self.deltas[-1], Finish)
        assert sum(isinstance(d, Finish) for d in self.deltas) == 1
        return self.deltas[-1]

    @property
    def usage(self) -> Usage | None:
        reports = [d.usage for d in self.deltas if isinstance(d, UsageReport)]
        return reports[-1] if reports else None


async def hear(model: Model, request: Request, heard: Heard | None = None) -> Heard:
    """Listen to one call to its end. Pass ``heard`` to keep what came before an error."""
    heard = heard or Heard()
    async with model.stream(request) as deltas:
        async for delta in deltas:
            heard.deltas.append(delta)
    return heard


BEFORE_HEADERS = "cancel before headers"


def stalling(how: str) -> Scripted:
    """Make a reply for `seconds_to_disconnect`, whose end nobody waits for."""
    return Scripted("one two three", first=30.0 if how == BEFORE_HEADERS else 0.0, each=30.0)


async def seconds_to_disconnect(server: Server, model: Model, request: Request, how: str) -> float:
    """Leave a call early, and wait until the server has seen that.

    Args:
        server: with one reply, by `stalling`.
        how: ``leave`` or ``cancel`` after the first delta, or ``cancel before headers``.
    """
    inside = anyio.Event()

    async def call() -> None:
        async with model.stream(request) as deltas:
            await anext(deltas)
            inside.set()
            if how == "cancel":
                await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await (server.until(lambda s: s.in_flight == 1) if how == BEFORE_HEADERS else inside.wait())
        left_at = asyncio.get_running_loop().time()
        tasks.cancel_scope.cancel()
    await server.until(lambda s: s.requests[0].closed == "disconnected", timeout=2)
    assert server.requests[0].closed_at is not None
    return server.requests[0].closed_at - left_at


Serve = Callable[..., Any]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """``server, model = await serve(replies, faults=..., model_options={...})``."""
    async with AsyncExitStack() as stack:

        async def start(
            replies: Any = "one two three", *, model_options: dict[str, Any] | None = None, **options: Any
        ) -> tuple[Server, OpenAIModel]:
            server = await stack.enter_async_context(Server(replies, **options))
            model = OpenAIModel("openai/scripted", **{"base_url": server.url, **(model_options or {})})
            stack.push_async_callback(model.aclose)
            return server, model

        yield start
