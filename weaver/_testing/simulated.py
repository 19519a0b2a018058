"""A simulated endpoint: realistic waiting, speed, batching and mistakes, without any model.

Everything here is a simulation. Its numbers show how latencies and policies behave, and say nothing about any
real model; whatever reports them must call them a simulation.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from os.path import commonprefix

import anyio

from weaver._data.usage import Usage, estimate_tokens
from weaver._models.protocol import (
    Capabilities,
    Delta,
    Finish,
    FinishReason,
    Prices,
    Reasoning,
    Request,
    Stream,
    Text,
    UsageReport,
)
from weaver._testing.scripted import text_of


@dataclass(frozen=True, slots=True)
class Work:
    """What a request asks of the simulated model.

    Args:
        right: what it says when it is right.
        wrong: what it says when it is wrong.
        thinking: tokens it thinks before it speaks.
        difficulty: 0 is never wrong; at 1 it is right with the probability `SimulatedModel.skill`.
    """

    right: str
    wrong: str
    thinking: int = 50
    difficulty: float = 1.0


World = Callable[[Request, random.Random], Work]
"""Knows the right answers: says what a request asks for. Use the given randomness only."""


@dataclass(slots=True)
class Served:
    """One request that a `SimulatedModel` served. Times are on the event loop's clock.

    Attributes:
        queued: seconds it waited for a slot.
        tokens: generated so far, thinking included.
        cached: tokens of its prompt that came from the cache.
        alone: whether it had the endpoint for itself all the time.
    """

    request: Request
    at: float
    queued: float = 0.0
    tokens: int = 0
    cached: int = 0
    alone: bool = True
    right: bool = True
    closed: str = "open"


@dataclass
class SimulatedModel:
    """A simulation of a model on an endpoint with a limited number of slots.

    Waiting until the first token is ``first_token`` plus the prompt's tokens over ``prompt_speed``. A stream
    alone gets ``speed`` tokens per second; with ``b`` streams each gets ``speed / (1 + slowdown * (b - 1))``,
    so the endpoint as a whole gets faster, less and less. Requests beyond ``slots`` wait, in order.

    An answer is right with the probability ``skill ** difficulty * 0.5 ** (context / half_life)``: mistakes
    grow with difficulty and with the length of the context. Whether one is right depends on the model's
    seed, the request and its seed only, never on timing.

    Args:
        world: says what a request asks for, and the right answer.
        seed: of the mistakes.
        first_token: seconds until the first token of an empty prompt.
        prompt_speed: prompt tokens read per second.
        speed: tokens per second of a stream that is alone.
        slots: requests decoded at the same time.
        slowdown: 0: streams do not disturb each other; 1: they share the speed of one.
        skill: probability of being right at difficulty 1 with an empty context.
        half_life: tokens of context that halve that probability; infinity: length does not matter.
        chunk: tokens per delta.
        cache: prompts are read from a cache as far as an earlier one, read to its end, begins alike.

    Attributes:
        served: every request, with its fate.
        in_flight: open streams that have a slot.
    """

    world: World
    seed: int = 0
    first_token: float = 0.3
    prompt_speed: float = 2500.0
    speed: float = 60.0
    slots: int = 8
    slowdown: float = 0.08
    skill: float = 0.9
    half_life: float = 16_000.0
    chunk: int = 8
    cache: bool = False
    name: str = "simulation"
    provider: str = "simulation"
    endpoint: str = "simulation://"
    prices: Prices | None = None
    can: Capabilities | None = None
    served: list[Served] = field(default_factory=list[Served], init=False)
    in_flight: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._free: anyio.Semaphore | None = None
        self._read: list[str] = []

    async def capabilities(self) -> Capabilities:
        """Return what was given, else all that a good chat endpoint has, and the number of slots."""
        return self.can or Capabilities(json_schema=True, json_object=True, prefill=True, slots=self.slots)

    async def aclose(self) -> None:
        """Nothing to release."""

    def chance(self, difficulty: float, context: int) -> float:
        """Probability of a right answer."""
        return float(self.skill**difficulty * 0.5 ** (context / self.half_life))

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncGenerator[Stream]:
        """Wait for a slot, read the prompt, and answer."""
        if self._free is None:
            self._free = anyio.Semaphore(self.slots)
        served = Served(request, anyio.current_time())
        self.served.append(served)
        try:
            async with self._free:
                served.queued = anyio.current_time() - served.at
                self.in_flight += 1
                deltas = self._deltas(request, served)
                try:
                    prompt = text_of(request)
                    served.cached = self._cached(prompt)
                    fresh = estimate_tokens(prompt) - served.cached
                    await anyio.sleep(self.first_token + fresh / self.prompt_speed)
                    if self.cache:
                        self._read.append(prompt)
                    yield deltas
                finally:
                    self.in_flight -= 1
                    await deltas.aclose()
        finally:
            if served.closed == "open":
                served.closed = "cancelled"

    async def _deltas(self, request: Request, served: Served) -> AsyncGenerator[Delta, None]:
        prompt = text_of(request)
        key = f"{self.seed}/{request.seed}/{prompt}"
        rng = random.Random(hashlib.sha256(key.encode()).digest())
        work = self.world(request, rng)
        served.right = rng.random() < self.chance(work.difficulty, estimate_tokens(prompt) + work.thinking)
        text = work.right if served.right else work.wrong
        words = re.findall(r"\S+\s*|\s+", text)
        stop = next((s for s in request.stop if s in text), None)
        if stop is not None:
            words = re.findall(r"\S+\s*|\s+", text.partition(stop)[0])
        room = request.max_tokens if request.max_tokens is not None else work.thinking + len(words)
        finish: FinishReason = "stop" if work.thinking + len(words) <= room else "length"
        thinking = min(work.thinking, room)
        for size in self._chunks(thinking):
            await self._decode(served, size)
            yield Reasoning("... " * size)
        words = words[: room - thinking]
        for size in self._chunks(len(words)):
            await self._decode(served, size)
            yield Text("".join(words[:size]))
            words = words[size:]
        yield UsageReport(
            Usage(
                input_tokens=estimate_tokens(prompt),
                output_tokens=served.tokens,
                reasoning_tokens=thinking,
                cached_tokens=served.cached,
            )
        )
        served.closed = "finished"
        yield Finish(finish, stop)

    def _cached(self, prompt: str) -> int:
        """Tokens of the longest beginning that is in the cache."""
        same = (commonprefix([prompt, earlier]) for earlier in self._read)  # noqa: RUF071 - of texts
        return max((estimate_tokens(text) for text in same), default=0)

    def _chunks(self, tokens: int) -> list[int]:
        return [min(self.chunk, tokens - i) for i in range(0, tokens, self.chunk)]

    async def _decode(self, served: Served, tokens: int) -> None:
        """Take as long as ``tokens`` take beside the other streams."""
        if self.in_flight > 1:
            served.alone = False
        await anyio.sleep(tokens * (1 + self.slowdown * (self.in_flight - 1)) / self.speed)
        served.tokens += tokens
