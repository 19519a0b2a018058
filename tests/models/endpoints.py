"""Simulated endpoints in virtual time: they take so many calls at once, or so many tokens a minute."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio

from tests.models.conftest import hear
from weaver._data.messages import user
from weaver._models.layers.call_log import CallLog, current_call
from weaver._models.layers.limit import EndpointLimits, Gates, Limited
from weaver._models.layers.rates import Allowance
from weaver._models.protocol import Capabilities, Delta, Finish, Model, Request, Text
from weaver.errors import RateLimitError

HELLO = Request(messages=(user("Hello"),))


@dataclass
class Endpoint:
    """An endpoint that refuses what is above its capacity.

    Args:
        capacity: calls at once, by the time.
        seconds: of one call.
        way: seconds to the endpoint and back; a refusal takes as long.
        tokens_per_minute: of `call_tokens` each; a bucket that fills evenly. None: no limit.
        tells: whether it says in headers what is left.
        spread: calls take up to so much more or less, as a share.
        work: seconds that it needs to read a request; it reads one after another.
        stall: it reads only every so many seconds, as on a busy machine.
    """

    capacity: Callable[[float], float]
    seconds: float = 1.0
    way: float = 0.004
    tokens_per_minute: float | None = None
    call_tokens: int = 1000
    tells: bool = False
    spread: float = 0.2
    work: float = 0.0
    stall: float = 0.0
    name: str = "simulated"
    provider: str = "simulated"
    endpoint: str = "simulated://"
    prices: None = None
    in_flight: int = 0
    refused: int = 0
    sent: int = 0
    done: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._left = self.tokens_per_minute or 0.0
        self._filled_at = 0.0
        self._busy_until = 0.0

    async def capabilities(self) -> Capabilities:
        return Capabilities()

    async def aclose(self) -> None:
        pass

    def stream(self, request: Request):
        return self._stream()

    async def _read(self) -> None:
        """Wait until a request that comes now has been read."""
        now = anyio.current_time()
        if self.stall:
            now = (now // self.stall + 1) * self.stall
        self._busy_until = max(now, self._busy_until) + self.work
        await anyio.sleep(self._busy_until - anyio.current_time())

    def _allowances(self) -> tuple[Allowance, ...]:
        if not self.tells or self.tokens_per_minute is None:
            return ()
        missing = self.tokens_per_minute - self._left
        return (
            Allowance("tokens", self._left, self.tokens_per_minute, missing / self.tokens_per_minute * 60),
        )

    def _takes(self) -> None:
        now = anyio.current_time()
        self.sent += 1
        if self.in_flight >= self.capacity(now):
            self.refused += 1
            raise RateLimitError("Too many calls at once.")
        if (most := self.tokens_per_minute) is not None:
            self._left = min(most, self._left + (now - self._filled_at) * most / 60)
            self._filled_at = now
            if self._left < self.call_tokens:
                self.refused += 1
                error = RateLimitError("Tokens per minute.")
                error.exceeded = "tokens"
                error.retry_after = (self.call_tokens - self._left) / most * 60
                raise error
            self._left -= self.call_tokens

    @asynccontextmanager
    async def _stream(self) -> AsyncGenerator[AsyncIterator[Delta], None]:
        log = current_call.get()
        await anyio.sleep(self.way / 2)
        await self._read()
        number = self.sent
        try:
            self._takes()
        except RateLimitError:
            await anyio.sleep(self.way / 2)
            raise
        finally:
            if log is not None:
                log.allowances = self._allowances()
        self.in_flight += 1
        try:
            share = (number * 7919 % 1000) / 1000  # as good as random, and the same in every run
            await anyio.sleep(self.seconds * (1 + self.spread * (2 * share - 1)) - self.way / 2)
        finally:
            self.in_flight -= 1
        if log is not None:
            log.tokens = self.call_tokens
        await anyio.sleep(self.way / 2)
        self.done.append(anyio.current_time())

        async def deltas() -> AsyncIterator[Delta]:
            yield Text("ok")
            yield Finish("stop")

        yield deltas()

    def rate(self, start: float, end: float) -> float:
        """Calls per second that ended between two times."""
        return sum(start < at <= end for at in self.done) / (end - start)


class PingedEndpoint(Endpoint):
    """One that answers pings."""

    pings = 0

    async def ping(self) -> None:
        """Take as long as a refusal."""
        self.pings += 1
        await anyio.sleep(self.way / 2)
        await self._read()
        await anyio.sleep(self.way / 2)


async def call(model: Model, run: str = "", request: Request = HELLO) -> CallLog:
    """Make a call to its end; its log."""
    log = CallLog(run=run)
    current_call.set(log)
    await hear(model, request)
    return log


def limited(inside: Model, gates: Gates | None = None, **limits: Any) -> Limited:
    """Wrap a model in the limits of its endpoint."""
    return Limited(inside, EndpointLimits(**limits), gates=gates or Gates())
