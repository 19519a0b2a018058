"""A model at a loopback server, closed after each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from weaver._data.usage import Usage
from weaver._models.openai.model import OpenAIModel
from weaver._models.protocol import Delta, Finish, Model, Request, Text, UsageReport
from weaver.testing import Server


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
