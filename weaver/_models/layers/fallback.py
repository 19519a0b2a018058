"""The fallback layer: a chain of models, each tried when the one before it failed permanently."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType

import anyio

from weaver._models.layers.base import Layer
from weaver._models.layers.call_log import CallLog, Fallback, current_call, tell
from weaver._models.protocol import Capabilities, Model, Prices, Request, Stream
from weaver.errors import ConfigurationError, ModelError


class Fallbacks(Layer):
    """The first model of several that answers.

    A call goes to the next model when it could not be opened at all (its retries included); once output
    has begun, a failure is the caller's. Who answered, and why others did not, is entered in the
    `CallLog`, with the prices of the one that answered.

    Args:
        models: in the order in which they are tried, at least one.

    Raises:
        ConfigurationError: there is no model.
    """

    def __init__(self, models: Sequence[Model]) -> None:
        if not models:
            raise ConfigurationError("A chain of fallbacks has no model.", hint="Give at least one.")
        super().__init__(models[0])
        self._models = tuple(models)

    def __repr__(self) -> str:
        return f"Fallbacks({list(self._models)!r})"

    @property
    def prices(self) -> Prices | None:
        """The highest of all, so that a budget holds whoever answers; None if any is unknown."""
        prices_of_models = [m.prices for m in self._models]
        prices = [p for p in prices_of_models if p is not None]
        if len(prices) < len(prices_of_models):
            return None
        return Prices(
            max(p.input for p in prices),
            max(p.output for p in prices),
            max(p.input if p.cached is None else p.cached for p in prices),
            max(p.input if p.written is None else p.written for p in prices)
            if any(p.written is not None for p in prices)
            else None,
        )

    async def capabilities(self) -> Capabilities:
        """Return what all of them can do."""
        capabilities: list[Capabilities] = []

        async def ask(model: Model) -> None:
            capabilities.append(await model.capabilities())

        async with anyio.create_task_group() as tasks:
            for model in self._models:
                tasks.start_soon(ask, model)
        return Capabilities(
            json_schema=all(c.json_schema for c in capabilities),
            json_object=all(c.json_object for c in capabilities),
            tools=all(c.tools for c in capabilities),
            logprobs=all(c.logprobs for c in capabilities),
            completions=all(c.completions for c in capabilities),
            prefill=all(c.prefill for c in capabilities),
            slots=min((c.slots for c in capabilities if c.slots is not None), default=None),
            context=min((c.context for c in capabilities if c.context is not None), default=None),
            small=any(c.small for c in capabilities),
        )

    def stream(self, request: Request) -> AbstractAsyncContextManager[Stream]:
        """See `weaver.models.Model`.

        Raises:
            ModelError: the last model's error, when all failed.
        """
        return _FirstThatAnswers(self._models, request)

    async def aclose(self) -> None:
        """Close all of them."""
        for model in self._models:
            await model.aclose()


class _FirstThatAnswers:
    __slots__ = ("_manager", "_models", "_request")

    def __init__(self, models: tuple[Model, ...], request: Request) -> None:
        self._models = models
        self._request = request
        self._manager: AbstractAsyncContextManager[Stream] | None = None

    async def __aenter__(self) -> Stream:
        log = current_call.get()
        *others, last = self._models
        for model, instead in zip(others, self._models[1:], strict=True):
            try:
                return await self._open(model, log)
            except ModelError as error:
                tell(Fallback(model.name, str(error), instead.name))
        return await self._open(last, log)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        assert self._manager is not None
        return await self._manager.__aexit__(kind, error, trace)

    async def _open(self, model: Model, log: CallLog | None) -> Stream:
        if log is not None:
            log.prices = model.prices
        self._manager = model.stream(self._request)
        return await self._manager.__aenter__()
