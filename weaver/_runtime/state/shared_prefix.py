"""Calls of one run whose prompts begin alike: the first is sent alone, the others when it has been read.

A server can read a prompt from its cache only once a request with the same beginning has been prefilled:
several at once are several misses.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Protocol

import anyio

from weaver._data.usage import Usage
from weaver._models.clock import current_time
from weaver._models.costs import EndpointCosts
from weaver._models.protocol import Model, Prices, Request

SHARED_TOKENS = 1024
"""Tokens from which on providers cache the beginning of a prompt."""
_SHARED_CHARS = 4 * SHARED_TOKENS
SECONDS_PER_USD = 1000.0
"""What a dollar is worth in seconds, as in the gate."""
CACHE_PER_SLOT = ("llama_cpp", "ollama")
"""Engines whose slots do not share what they have read. Measured on llama.cpp, four slots, 1,212 tokens:
of three calls sent after the first one, one hit the first one's slot; two read everything anew."""
LONGEST_WAIT = 10.0
_MAX_PREFIXES = 1000


class Caller(Protocol):
    """What is needed of the thread that makes a call."""

    deadline_at: float

    def waited_for_prefix(self, seconds: float) -> None:
        """Record that a call was held back until one that begins alike had been read."""
        ...


@dataclass(slots=True)
class Prefix:
    """Calls of a run that begin alike."""

    reading: asyncio.Event | None = None
    calls: int = 0
    cached: int = 0
    reported: int = 0


@dataclass(slots=True)
class SharedPrefixes:
    """The beginnings of a run's prompts. Only those of 1,024 tokens and more are looked at."""

    _by_key: dict[tuple[str, str, bytes], Prefix] = field(
        default_factory=dict[tuple[str, str, bytes], Prefix]
    )
    _order: deque[tuple[str, str, bytes]] = field(default_factory=deque[tuple[str, str, bytes]])

    async def enter(
        self, request: Request, model: Model, costs: EndpointCosts, caller: Caller
    ) -> Prefix | None:
        """Wait while a call that begins alike is being read, if that pays; the caller calls `read` later."""
        beginning = _beginning(request)
        if len(beginning) < _SHARED_CHARS:
            return None
        key = (model.endpoint, model.name, hashlib.sha256(beginning.encode("utf-8", "replace")).digest())
        prefix = self._by_key.get(key)
        if prefix is None:
            if len(self._order) >= _MAX_PREFIXES:
                del self._by_key[self._order.popleft()]
            prefix = self._by_key[key] = Prefix()
            self._order.append(key)
        prefix.calls += 1
        if prefix.reading is None:
            prefix.reading = asyncio.Event()
        elif not prefix.reading.is_set():
            wait = 0.0 if model.provider in CACHE_PER_SLOT else _worth_waiting(costs, model.prices)
            now = current_time()
            if wait and wait < (caller.deadline_at - now) / 4:
                with anyio.move_on_after(min(LONGEST_WAIT, 2 * wait)):
                    await prefix.reading.wait()
                caller.waited_for_prefix(current_time() - now)
        return prefix

    def read(self, prefix: Prefix | None) -> None:
        """The prompt has been read, or the call failed: let the others go."""
        if prefix is not None and prefix.reading is not None:
            prefix.reading.set()

    def ended(self, prefix: Prefix | None, usage: Usage) -> None:
        """Count the call's tokens from the cache."""
        if prefix is not None and not usage.estimated:
            prefix.reported += 1
            prefix.cached += usage.cached_tokens

    @property
    def misses(self) -> list[str]:
        """Notes about prompts that were sent three times and more and never read from a cache."""
        return [
            f"{prefix.reported} calls shared the first {SHARED_TOKENS:,} tokens of their prompts or more, "
            f"and {model} read none from a cache."
            for (_, model, _), prefix in self._by_key.items()
            if prefix.reported >= 3 and prefix.cached == 0
        ]


def is_shared(request: Request) -> bool:
    """Tell whether a prompt is so long that its beginning may be read from a cache."""
    if request.prompt is not None:
        return len(request.prompt) >= _SHARED_CHARS
    size = 0
    for message in request.messages:
        size += len(message.role) + 2 + len(message.text)
    return size >= _SHARED_CHARS


def with_cache_key(request: Request, model: Model, key: str) -> Request:
    """The request with a key by which the provider sends alike prompts to one cache, where it takes one."""
    if not model.endpoint.startswith("https://api.openai.com/"):
        return request
    return replace(request, extra={"prompt_cache_key": key[:64], **request.extra})


def _beginning(request: Request) -> str:
    if request.prompt is not None:
        return request.prompt[:_SHARED_CHARS]
    pieces: list[str] = []
    size = 0
    for message in request.messages:
        pieces.append(f"{message.role}\n{message.text[:_SHARED_CHARS]}\n")
        size += len(pieces[-1])
        if size >= _SHARED_CHARS:
            break
    return "".join(pieces)[:_SHARED_CHARS]


def _worth_waiting(costs: EndpointCosts, prices: Prices | None) -> float:
    """Seconds that the first call probably takes to be read, if waiting saves more than that; else 0."""
    measured = costs.measured
    if measured.first_token is None:
        return 0.0
    reading = SHARED_TOKENS / measured.prefill if measured.prefill else 0.0
    wait = measured.first_token + reading
    saved = reading  # prompts that are read one after another, and need not be
    if any(costs.cached) and prices is not None and prices.cached is not None:
        saved += SHARED_TOKENS * (prices.input - prices.cached) / 1e6 * SECONDS_PER_USD
    worth = saved > wait or reading > measured.first_token
    return wait if worth and (any(costs.cached) or reading > measured.first_token) else 0.0
