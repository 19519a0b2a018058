"""The limit layer: every endpoint gets as many calls at once as it takes, and no silent queue anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType
from weakref import WeakValueDictionary

from weaver._data.conversation.sizes import conversation_tokens
from weaver._data.usage import estimate_tokens
from weaver._models.endpoint import endpoint as endpoint_of
from weaver._models.endpoint_memory import memory
from weaver._models.layers.base import Layer
from weaver._models.layers.call_log import CallLog, current_call
from weaver._models.layers.capacity import HOSTED, LOCAL, MAX_CALLS, Adaptive, Fixed
from weaver._models.layers.limiter import Gate, Pass, Ping, Share
from weaver._models.protocol import CanPing, Model, Request, Stream
from weaver.errors import ConfigurationError, ModelTimeoutError, RateLimitError

# What a call may generate when it does not say; only the limit on tokens per minute counts with it.
_USUAL_OUTPUT = 500
NAMESPACE = "capacity"
"""Where `weaver._models.endpoint_memory` keeps what was learned: ``{"calls": 32, "refused": true}``."""
_OTHER_FILES = 100
_SHORTEST = 0.05  # seconds; shorter streams say nothing about an endpoint's speed


@dataclass(frozen=True, slots=True)
class EndpointLimits:
    """Limits of one endpoint, shared by all runs of the process.

    Args:
        concurrency: calls at once. None learns it (`weaver._models.layers.capacity.Adaptive`): it starts at
            the slots that the server announces (and never exceeds them), at what the endpoint took the last
            time, or else at 32 on this machine and at 100 elsewhere, and grows until the endpoint refuses.
        max_concurrency: most calls at once while they are learned; by default `MAX_CALLS`, or what the limit
            on open files leaves.
        requests_per_minute, tokens_per_minute: None: what the server announces or its refusals show. Tokens
            are input and output together.

    Raises:
        ConfigurationError: one of them is not positive.
    """

    concurrency: int | None = None
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    max_concurrency: int | None = None

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigurationError(f"{name} is {value}.", hint="Give a positive number, or none.")


class Gates:
    """The gates of a process, by endpoint. The first limits that are given for an endpoint hold.

    A gate is forgotten with the last model that uses it.
    """

    def __init__(self) -> None:
        self._gates: WeakValueDictionary[str, Gate] = WeakValueDictionary()
        self._shares: dict[str, Share] = {}

    def limit_to(self, shares: Mapping[str, Share]) -> None:
        """Keep within shares of limits that several processes keep together, by endpoint, from now on."""
        for endpoint in self._shares.keys() | shares.keys():
            share = shares.get(endpoint, Share())
            if share != self._shares.get(endpoint) and (gate := self._gates.get(endpoint)) is not None:
                gate.limit_to(share)
        self._shares = dict(shares)

    def known(self, endpoint: str) -> Gate | None:
        """The endpoint's gate, if there is one already."""
        return self._gates.get(endpoint)

    def open(self, endpoint: str, limits: EndpointLimits, slots: int | None, *, pings: bool = False) -> Gate:
        """The endpoint's gate, made now if there is none.

        Args:
            slots: as the server announces them, or None.
            pings: whether the calls come with a ping; see `Gate.enter`.
        """
        if (gate := self._gates.get(endpoint)) is None:
            if limits.concurrency is not None:
                concurrency: Adaptive | Fixed = Fixed(limits.concurrency)
            else:
                concurrency = _adaptive(endpoint, slots, limits.max_concurrency, pings=pings)
            gate = Gate(
                concurrency,
                requests_per_minute=limits.requests_per_minute,
                tokens_per_minute=limits.tokens_per_minute,
            )
            self._gates[endpoint] = gate
            if (share := self._shares.get(endpoint)) is not None:
                gate.limit_to(share)
        return gate


_of_process = Gates()


def limit_process_to(shares: Mapping[str, Share]) -> None:
    """Keep all runs of this process within its shares of endpoints; see `Gates.limit_to`."""
    _of_process.limit_to(shares)


class Limited(Layer):
    """Lets calls pass as the endpoint's limits allow; the time they waited is entered in the `CallLog`.

    Models with the same ``endpoint`` share its limits; one without an endpoint has its own.

    Args:
        model: the model inside.
        limits: of its endpoint.
        gates: where the gates are kept; by default shared by the whole process.

    Attributes:
        known_gate: the endpoint's gate, once it has been opened.
        ping: asks the endpoint for anything; None: the model cannot.
    """

    def __init__(
        self, model: Model, limits: EndpointLimits | None = None, *, gates: Gates | None = None
    ) -> None:
        super().__init__(model)
        self._limits = limits or EndpointLimits()
        self._gates = gates or _of_process
        self._key = model.endpoint or f"{model.name} at {id(model):x}"
        self.known_gate = self._gates.known(self._key)
        self.ping = _ping_of(model)

    def stream(self, request: Request) -> AbstractAsyncContextManager[Stream]:
        """See `weaver.models.Model`."""
        return _Passing(self, self.model.stream(request), request)

    async def gate(self) -> Gate:
        """The endpoint's gate. Asks the server for its slots when it is the first time."""
        if self.known_gate is None:
            self.known_gate = self._gates.known(self._key)
        if self.known_gate is None:
            adapts = self._limits.concurrency is None
            slots = (await self.model.capabilities()).slots if adapts else None
            self.known_gate = self._gates.open(self._key, self._limits, slots, pings=self.ping is not None)
        return self.known_gate

    def remember(self, facts: dict[str, int | bool]) -> None:
        """Keep what was learned for the next process."""
        if _is_remote(self._key):
            memory().put(NAMESPACE, self._key, "", facts)

    @property
    def counts_tokens(self) -> bool:
        """True if there is a limit on tokens."""
        return self._limits.tokens_per_minute is not None


class _Passing:
    __slots__ = ("_began", "_gate", "_inside", "_layer", "_log", "_pass", "_request")

    def __init__(self, layer: Limited, inside: AbstractAsyncContextManager[Stream], request: Request) -> None:
        self._layer = layer
        self._inside = inside
        self._request = request
        self._gate: Gate
        self._pass: Pass
        self._log: CallLog | None = None
        self._began = 0.0

    async def __aenter__(self) -> Stream:
        self._log = log = current_call.get()
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        self._gate = gate = self._layer.known_gate or await self._layer.gate()
        tokens = None if log is None else log.probable_tokens
        if tokens is None:
            tokens = _probable_tokens(self._request) if self._layer.counts_tokens else 0
        try:
            self._pass = await gate.enter("" if log is None else log.run, tokens, self._layer.ping)
        finally:
            if log is not None:
                log.queue_seconds += loop.time() - asked_at
        try:
            stream = await self._inside.__aenter__()
        except BaseException as error:
            self._failed(error)
            raise
        self._began = loop.time()
        if log is not None and log.allowances:
            gate.announce(self._pass, log.take_allowances())
        return stream

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        try:
            return await self._inside.__aexit__(kind, error, trace)
        finally:
            self._leave(whole=error is None)

    def _failed(self, error: BaseException) -> None:
        """The call was not opened."""
        gate, passed = self._gate, self._pass
        allowances = () if self._log is None else self._log.take_allowances()
        if isinstance(error, RateLimitError):
            gate.refuse(passed, exceeded=error.exceeded, retry_after=error.retry_after, allowances=allowances)
            return
        if isinstance(error, ModelTimeoutError):
            gate.concurrency.silent(passed.round, gate.in_flight)
        gate.leave(passed)

    def _leave(self, *, whole: bool) -> None:
        gate, passed, log = self._gate, self._pass, self._log
        if log is None:
            gate.leave(passed, whole=whole)
            return
        if log.received:
            seconds = passed.loop.time() - self._began
            if seconds >= _SHORTEST:
                around = (passed.in_flight + gate.in_flight) // 2
                gate.concurrency.streamed(passed.round, around, log.received / seconds)
        gate.leave(passed, tokens=log.tokens, whole=whole)
        if (news := gate.concurrency.news()) is not None:
            self._layer.remember(news)


def _adaptive(endpoint: str, slots: int | None, ceiling: int | None, *, pings: bool) -> Adaptive:
    """The limit to begin with at ``endpoint``, with what was learned about it earlier."""
    if not _is_remote(endpoint):
        opening = LOCAL if "://" in endpoint else HOSTED
        return Adaptive(opening, slots=slots, ceiling=ceiling or MAX_CALLS, pings=pings)
    at_home = endpoint_of(endpoint, place="the model's endpoint").loopback
    facts = memory().get(NAMESPACE, endpoint) or {}
    calls = facts.get("calls")
    return Adaptive(
        LOCAL if at_home else HOSTED,
        slots=slots,
        ceiling=ceiling or min(MAX_CALLS, _open_files()),
        level=calls if isinstance(calls, int) and calls >= 1 else None,
        refused=facts.get("refused") is True,
        pings=pings,
    )


def _ping_of(model: Model) -> Ping | None:
    while isinstance(model, Layer):
        model = model.model
    return model.ping if isinstance(model, CanPing) else None


def _is_remote(endpoint: str) -> bool:
    return endpoint.startswith(("http://", "https://"))


def _open_files() -> int:
    """Most connections that the limit on open files leaves room for."""
    try:
        import resource
    except ImportError:  # Windows
        return MAX_CALLS
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CALLS if soft == resource.RLIM_INFINITY else max(1, soft - _OTHER_FILES)


def _probable_tokens(request: Request) -> int:
    if request.prompt is not None:
        prompt = estimate_tokens(request.prompt)
    else:
        prompt = conversation_tokens(request.messages)
    return prompt + (request.max_tokens or _USUAL_OUTPUT)
