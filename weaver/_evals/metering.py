"""Sees every model call of a run from outside: when it was open, and how large it was."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import anyio

from weaver._data.usage import estimate_tokens
from weaver._evals.statistics import longest_chain
from weaver._models.protocol import (
    Capabilities,
    Delta,
    Model,
    Prices,
    Request,
    Stream,
    Text,
    UsageReport,
)
from weaver.errors import AuthenticationError, ModelConnectionError, WeaverError


@dataclass(slots=True)
class Meter:
    """The calls of one run.

    Attributes:
        spans: start and end of each call on the event loop's clock, waiting for the endpoint included.
        contexts: tokens of each call's prompt with its output.
        refusal: what kept the first call from an endpoint that is gone, or lets nobody in.
    """

    spans: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    contexts: list[int] = field(default_factory=list[int])
    refusal: WeaverError | None = None

    @property
    def critical_steps(self) -> int:
        """Calls on the longest chain of calls of which each began after another had ended."""
        return longest_chain(self.spans)

    @property
    def longest_context(self) -> int:
        """Tokens of the largest prompt with its output; 0 without calls."""
        return max(self.contexts, default=0)


current_meter: ContextVar[Meter | None] = ContextVar("weaver_current_meter", default=None)


class Metered:
    """A model whose calls are noted in the meter of the run that makes them (`current_meter`)."""

    def __init__(self, model: Model) -> None:
        self._model = model

    @property
    def name(self) -> str:
        """The inner model's name."""
        return self._model.name

    @property
    def provider(self) -> str:
        """The inner model's provider."""
        return self._model.provider

    @property
    def endpoint(self) -> str:
        """The inner model's endpoint."""
        return self._model.endpoint

    @property
    def prices(self) -> Prices | None:
        """The inner model's prices."""
        return self._model.prices

    async def capabilities(self) -> Capabilities:
        """Return the inner model's capabilities."""
        return await self._model.capabilities()

    async def aclose(self) -> None:
        """Release the model inside."""
        await self._model.aclose()

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncGenerator[Stream]:
        """The model's stream; noted when it is left."""
        meter = current_meter.get()
        if meter is None:
            async with self._model.stream(request) as deltas:
                yield deltas
            return
        counts = _Seen(request)
        start = anyio.current_time()
        try:
            async with self._model.stream(request) as deltas:
                yield counts.through(deltas)
        except (ModelConnectionError, AuthenticationError) as error:
            meter.refusal = meter.refusal or error
            raise
        finally:
            meter.spans.append((start, anyio.current_time()))
            meter.contexts.append(counts.tokens)


class _Seen:
    def __init__(self, request: Request) -> None:
        prompt = request.prompt if request.prompt is not None else "".join(m.text for m in request.messages)
        self.tokens = estimate_tokens(prompt)
        self._reported = False

    async def through(self, deltas: Stream) -> AsyncIterator[Delta]:
        async for delta in deltas:
            if isinstance(delta, UsageReport):
                self.tokens, self._reported = delta.usage.total_tokens, True
            elif isinstance(delta, Text) and not self._reported:
                self.tokens += 1
            yield delta
