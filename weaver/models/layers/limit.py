"""The limit layer: every endpoint gets as many calls at once as it takes, and no silent queue anywhere."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType
from weakref import WeakValueDictionary

from weaver.errors import ConfigurationError, ModelOverloaded, ModelTimeout
from weaver.models.layers.aimd import Adaptive, Fixed
from weaver.models.layers.base import Layer
from weaver.models.layers.call_log import CallLog, current_call
from weaver.models.layers.limiter import Gate, Pass
from weaver.models.protocol import Model, Request, Stream
from weaver.usage import estimate_tokens

# What a call may generate when it does not say; only the limit on tokens per minute counts with it.
_USUAL_OUTPUT = 500
_SHORTEST = 0.05  # seconds; shorter streams say nothing about an endpoint's speed


@dataclass(frozen=True, slots=True)
class EndpointLimits:
    """Limits of one endpoint, shared by all runs of the process.

    Args:
        concurrency: calls at once. None adapts it: it starts at the slots that the server announces
            (and never exceeds them), or else at 64, and follows what the endpoint takes.
        requests_per_minute, tokens_per_minute: None: no such limit. Tokens are input and output together.

    Raises:
        ConfigurationError: one of them is not positive.
    """

    concurrency: int | None = None
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None

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

    def known(self, endpoint: str) -> Gate | None:
        """The endpoint's gate, if there is one already."""
        return self._gates.get(endpoint)

    def open(self, endpoint: str, limits: EndpointLimits, slots: int | None) -> Gate:
        """The endpoint's gate, made now if there is none.

        Args:
            slots: as the server announces them, or None.
        """
        if (gate := self._gates.get(endpoint)) is None:
            if limits.concurrency is not None:
                concurrency: Adaptive | Fixed = Fixed(limits.concurrency)
            else:
                concurrency = Adaptive(slots=slots)
            gate = Gate(
                concurrency,
                requests_per_minute=limits.requests_per_minute,
                tokens_per_minute=limits.tokens_per_minute,
            )
            self._gates[endpoint] = gate
        return gate


_of_process = Gates()


class Limited(Layer):
    """Lets calls pass as the endpoint's limits allow; the time they waited is entered in the `CallLog`.

    Models with the same ``endpoint`` share its limits; one without an endpoint has its own.

    Args:
        model: the model inside.
        limits: of its endpoint.
        gates: where the gates are kept; by default shared by the whole process.
    """

    def __init__(
        self, model: Model, limits: EndpointLimits | None = None, *, gates: Gates | None = None
    ) -> None:
        super().__init__(model)
        self._limits = limits or EndpointLimits()
        self._gates = gates or _of_process
        self._key = model.endpoint or f"{model.name} at {id(model):x}"
        self._gate = self._gates.known(self._key)

    def stream(self, request: Request) -> AbstractAsyncContextManager[Stream]:
        """See `weaver.models.protocol.Model`."""
        return _Passing(self, self.model.stream(request), request)

    async def gate(self) -> Gate:
        """The endpoint's gate. Asks the server for its slots when it is the first time."""
        if self._gate is None:
            self._gate = self._gates.known(self._key)
        if self._gate is None:
            adapts = self._limits.concurrency is None
            slots = (await self.model.capabilities()).slots if adapts else None
            self._gate = self._gates.open(self._key, self._limits, slots)
        return self._gate

    @property
    def counts_tokens(self) -> bool:
        """Whether there is a limit on tokens."""
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
        asked = loop.time()
        self._gate = gate = await self._layer.gate()
        tokens = 0
        if self._layer.counts_tokens:
            known = None if log is None else log.probable_tokens
            tokens = _probable_tokens(self._request) if known is None else known
        try:
            self._pass = await gate.enter("" if log is None else log.run, tokens)
        finally:
            if log is not None:
                log.queue_seconds += loop.time() - asked
        try:
            stream = await self._inside.__aenter__()
        except BaseException as error:
            if isinstance(error, ModelOverloaded | ModelTimeout):
                gate.concurrency.refused(self._pass.round, gate.in_flight)
            gate.leave(self._pass)
            raise
        self._began = loop.time()
        return stream

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        try:
            return await self._inside.__aexit__(kind, error, trace)
        finally:
            self._leave(whole=error is None)

    def _leave(self, *, whole: bool) -> None:
        gate, passed, log = self._gate, self._pass, self._log
        in_flight = gate.in_flight
        if log is not None and log.received:
            seconds = passed.loop.time() - self._began
            if seconds >= _SHORTEST:
                around = (passed.in_flight + in_flight) // 2
                gate.concurrency.streamed(passed.round, around, log.received / seconds)
        if whole:
            gate.concurrency.succeeded(in_flight)
        gate.leave(passed, tokens=None if log is None else log.tokens)


def _probable_tokens(request: Request) -> int:
    said = request.prompt if request.prompt is not None else "".join(m.content for m in request.messages)
    return estimate_tokens(said) + (request.max_tokens or _USUAL_OUTPUT)
