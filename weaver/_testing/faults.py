"""What can go wrong between a model server and its client: faults for `weaver.testing.Server`.

Faults compose: a server takes a list of them, and each may be limited to some requests with `Rule`.
Chance is seeded: the same seed and the same requests give the same faults, in whatever order they come.
"""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import NoReturn, Protocol

import anyio

from weaver._models.protocol import Request
from weaver._testing.scripted import Match, Scripted

Distribution = Callable[[random.Random], float]


def uniform(low: float, high: float) -> Distribution:
    """Any duration between ``low`` and ``high`` seconds, equally likely."""
    return lambda chance: chance.uniform(low, high)


def exponential(mean: float) -> Distribution:
    """Mostly short, sometimes long; ``mean`` in seconds."""
    return lambda chance: chance.expovariate(1 / mean)


def lognormal(median: float, spread: float = 0.5) -> Distribution:
    """Like real endpoints: around ``median`` seconds with a long tail; ``spread`` is sigma of the log."""
    return lambda chance: chance.lognormvariate(math.log(median), spread)


class Exchange(Protocol):
    """What a fault can see and do: one request being answered."""

    request: Request
    random: random.Random

    def refuse(self, status: int, body: bytes, headers: dict[str, str]) -> NoReturn:
        """Answer with this instead; nothing else is sent."""
        ...

    def reset(self) -> NoReturn:
        """Reset the connection (TCP RST)."""
        ...

    def hang_up(self) -> NoReturn:
        """Close the connection without ending the answer."""
        ...


Events = AsyncIterator[bytes]


class Fault:
    """Base: does nothing. Override what should go wrong."""

    async def before(self, _exchange: Exchange, /) -> None:
        """Act before anything is sent."""

    def during(self, events: Events, _exchange: Exchange, /) -> Events:
        """Change the events of a streamed answer."""
        return events


@dataclass(frozen=True)
class Latency(Fault):
    """Wait before the headers (``first``) and between events (``each``), in seconds."""

    first: Distribution | float = 0.0
    each: Distribution | float = 0.0

    async def before(self, exchange: Exchange, /) -> None:
        await anyio.sleep(_drawn(self.first, exchange))

    async def during(self, events: Events, exchange: Exchange, /) -> Events:
        async for event in events:
            yield event
            await anyio.sleep(_drawn(self.each, exchange))


@dataclass(frozen=True)
class Refusal(Fault):
    """An HTTP error: 429, 500, 503, 401, ...

    Args:
        status: HTTP status.
        retry_after: seconds, or a text for the header as it is (a date, nonsense).
        message: the explanation in the JSON body.
        body: sent instead of a JSON body.
    """

    status: int = 500
    retry_after: float | str | None = None
    message: str = "injected fault"
    body: bytes | None = None

    async def before(self, exchange: Exchange, /) -> None:
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        error = {"error": {"message": self.message, "type": "injected", "code": self.status}}
        exchange.refuse(self.status, self.body or json.dumps(error).encode(), headers)


@dataclass(frozen=True)
class Page(Fault):
    """An HTML page where an answer was expected, as a wrong address or a proxy gives it."""

    status: int = 200
    html: str = "<!doctype html><html><head><title>Welcome</title></head><body>Hello</body></html>"

    async def before(self, exchange: Exchange, /) -> None:
        exchange.refuse(self.status, self.html.encode(), {"Content-Type": "text/html"})


@dataclass(frozen=True)
class Body(Fault):
    """Any body with status 200: empty, broken JSON, a redirect with ``status`` and headers."""

    body: bytes = b""
    content_type: str = "application/json"
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()

    async def before(self, exchange: Exchange, /) -> None:
        headers = {"Content-Type": self.content_type, **dict(self.headers)}
        exchange.refuse(self.status, self.body, headers)


@dataclass(frozen=True)
class Reset(Fault):
    """The connection is reset: before the headers (``after`` None), or after so many events."""

    after: int | None = None

    async def before(self, exchange: Exchange, /) -> None:
        if self.after is None:
            exchange.reset()

    async def during(self, events: Events, exchange: Exchange, /) -> Events:
        async for event in _first(events, self.after):
            yield event
        if self.after is not None:
            exchange.reset()


@dataclass(frozen=True)
class Stall(Fault):
    """Silence on an open connection: before the headers (``after`` None), or after so many events.

    ``after=0`` is silence right after the headers. After ``seconds`` it goes on as if nothing was.
    """

    after: int | None = None
    seconds: float = math.inf

    async def before(self, _exchange: Exchange, /) -> None:
        if self.after is None:
            await _sleep(self.seconds)

    async def during(self, events: Events, _exchange: Exchange, /) -> Events:
        sent = 0
        async for event in events:
            if sent == self.after:
                await _sleep(self.seconds)
            sent += 1
            yield event


@dataclass(frozen=True)
class Truncate(Fault):
    """The stream ends after so many events: properly (``clean``), or by a closed connection.

    ``cut`` bytes of the next event are still sent.
    """

    after: int = 2
    clean: bool = False
    cut: int = 0

    async def during(self, events: Events, exchange: Exchange, /) -> Events:
        sent = 0
        async for event in events:
            if sent == self.after:
                if self.cut:
                    yield event[: self.cut]
                break
            sent += 1
            yield event
        if not self.clean:
            exchange.hang_up()


@dataclass(frozen=True)
class Insert(Fault):
    """Bytes of your own before the event with index ``at``: a comment, broken JSON, an error event."""

    data: bytes
    at: int = 2

    async def during(self, events: Events, _exchange: Exchange, /) -> Events:
        sent = 0
        async for event in events:
            if sent == self.at:
                yield self.data
            sent += 1
            yield event


def malformed(at: int = 2) -> Insert:
    """An event that is not JSON."""
    return Insert(b'data: {"choices": [{"index": 0, "delta"\n\n', at)


def error_event(message: str = "injected fault", code: int = 500, at: int = 2) -> Insert:
    """An error reported inside the stream."""
    payload = json.dumps({"error": {"message": message, "code": code}})
    return Insert(b"data: " + payload.encode() + b"\n\n", at)


def comment(at: int = 2) -> Insert:
    """A comment, as servers send them to keep a connection alive."""
    return Insert(b": still working\n\n", at)


@dataclass(frozen=True)
class Flood(Fault):
    """A huge answer: ``size`` bytes more than was scripted, as many events, or as one (``whole``)."""

    size: int = 2**20
    whole: bool = False

    async def during(self, events: Events, _exchange: Exchange, /) -> Events:
        first = b""
        async for event in events:
            first = first or event
            yield event
            if event is first:
                async for more in self._more():
                    yield more

    async def _more(self) -> Events:
        piece = self.size if self.whole else 4096
        for _ in range(max(1, self.size // piece)):
            choice = {"index": 0, "delta": {"content": "x" * piece}, "finish_reason": None}
            yield b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


@dataclass(frozen=True)
class Drip(Fault):
    """The stream comes ``size`` bytes at a time, ``seconds`` apart, without regard to events."""

    size: int = 1
    seconds: float = 0.0

    async def during(self, events: Events, _exchange: Exchange, /) -> Events:
        async for event in events:
            for start in range(0, len(event), self.size):
                yield event[start : start + self.size]
                await anyio.sleep(self.seconds)


@dataclass(frozen=True)
class Rewrite(Fault):
    """Every event goes through ``change``; an empty result drops it."""

    change: Callable[[bytes], bytes]

    async def during(self, events: Events, _exchange: Exchange, /) -> Events:
        async for event in events:
            if changed := self.change(event):
                yield changed


def crlf() -> Rewrite:
    """Lines end with CRLF."""
    return Rewrite(lambda event: event.replace(b"\n", b"\r\n"))


def no_usage() -> Rewrite:
    """The server never tells the usage, asked or not."""
    return Rewrite(lambda event: b"" if b'"usage"' in event else event)


def usage_twice() -> Rewrite:
    """The server sends the chunk with the usage twice."""
    return Rewrite(lambda event: event * 2 if b'"usage"' in event else event)


def no_end_mark() -> Rewrite:
    """The stream ends without ``[DONE]``."""
    return Rewrite(lambda event: b"" if event.startswith(b"data: [DONE]") else event)


def invalid_utf8() -> Rewrite:
    """Text is cut in the middle of a character, as byte-wise tokenizers do it."""
    return Rewrite(lambda event: re.sub(rb'("content":"[^"]*)"', rb"\1" + b"\xe2\x82" + b'"', event))


@dataclass
class Rule:
    """Faults for some requests only.

    Args:
        faults: one or several.
        chance: share of the matching requests that get them.
        when: as in `Scripted`: a substring, a pattern, a predicate, or None for any request.
        times: how often; None for ever.
    """

    faults: Fault | Sequence[Fault]
    chance: float = 1.0
    when: Match = None
    times: int | None = None
    _matcher: Scripted = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._matcher = Scripted(when=self.when, times=self.times)

    def drawn(self, request: Request, chance: random.Random) -> Sequence[Fault]:
        """The faults for this request: all of them, or none."""
        if not self._matcher.matches(request) or chance.random() >= self.chance:
            return ()
        if self._matcher.times is not None:
            self._matcher.times -= 1
        return (self.faults,) if isinstance(self.faults, Fault) else tuple(self.faults)


def bad_weather(rate: float = 0.3, *, patience: float = 0.5) -> list[Rule]:
    """A mix of everything, for soaks.

    Args:
        rate: share of the requests that something happens to, roughly.
        patience: seconds that stalls and drips take.
    """
    kinds: list[Fault | Sequence[Fault]] = [
        Latency(first=lognormal(0.02, 1.0)),
        Refusal(429, retry_after=0.05),
        Refusal(429),
        Refusal(500),
        Refusal(503),
        Reset(),
        Reset(after=1),
        Stall(seconds=patience),
        Stall(after=0, seconds=patience),
        Stall(after=2, seconds=patience),
        Truncate(after=2),
        Truncate(after=2, clean=True),
        Truncate(after=1, cut=20),
        malformed(),
        error_event(),
        Page(),
        Body(b'{"choices": [', "application/json"),
        Body(b"", "text/event-stream"),
        Flood(200_000),
        Drip(size=64, seconds=patience / 500),
        usage_twice(),
        no_usage(),
        invalid_utf8(),
        [crlf(), Drip(size=7)],
        [comment(), no_end_mark()],
    ]
    return [Rule(kind, chance=rate / len(kinds)) for kind in kinds]


def _drawn(given: Distribution | float, exchange: Exchange) -> float:
    return given if isinstance(given, int | float) else given(exchange.random)


async def _sleep(seconds: float) -> None:
    await (anyio.sleep(seconds) if math.isfinite(seconds) else anyio.sleep_forever())


async def _first(events: Events, count: int | None) -> Events:
    sent = 0
    if count == 0:
        return
    async for event in events:
        yield event
        sent += 1
        if sent == count:
            return


def drawn(rules: Sequence[Rule], request: Request, chance: random.Random) -> list[Fault]:
    """The faults that ``rules`` give to one request."""
    return [fault for rule in rules for fault in rule.drawn(request, chance)]
