"""The retry layer: what may succeed later is tried again, in good time."""

from __future__ import annotations

import random
from contextlib import AbstractAsyncContextManager
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING

import anyio

from weaver._models.clock import current_time
from weaver._models.layers.base import Layer
from weaver._models.layers.call_log import Retry, current_call, tell
from weaver._models.protocol import Model, Request, Stream
from weaver.errors import ModelError, RateLimitError

if TYPE_CHECKING:
    from tenacity import RetryCallState

PATIENCE = 60.0
"""Seconds for which an overloaded endpoint is asked again."""


class Retrying(Layer):
    """Opens a call again when that failed in a way that may pass.

    Only opening is repeated, and only errors that are ``retriable``: once output has begun, a failure is
    the caller's. The wait grows exponentially with full jitter, is never shorter than the server asked
    for, and never lasts beyond the deadline of the call (`CallLog.deadline_at`): then the error is raised at
    once. Every retry is entered in the `CallLog`.

    Rate limits count by the minute. So an endpoint that refuses calls for its load is asked again for at
    least `patience` seconds, whatever ``retries`` says, unless that is 0.

    Args:
        model: the model inside.
        retries: how often at most, after the first attempt.
        base: seconds; the first wait is up to this long, the next up to twice as long, and so on.
        longest: seconds; no wait is longer unless a server asks for it.
        patience: seconds for which an overloaded endpoint is asked again; with a deadline that is later, a
            server may ask for longer waits, without one for at most twice as long.
        chance: source of the jitter.
    """

    def __init__(
        self,
        model: Model,
        *,
        retries: int = 4,
        base: float = 0.5,
        longest: float = 60.0,
        patience: float = PATIENCE,
        chance: random.Random | None = None,
    ) -> None:
        super().__init__(model)
        self._retries = retries
        self._base = base
        self._longest = longest
        self._patience = patience
        self._refused_since: float | None = None  # the endpoint has taken no call since then
        self._chance = chance or random.Random()

    def stream(self, request: Request) -> AbstractAsyncContextManager[Stream]:
        """See `weaver.models.Model`."""
        return _Attempts(self, request)

    def succeeded(self) -> None:
        """The endpoint takes calls: forget since when it has refused them."""
        self._refused_since = None

    def may_retry(self, error: ModelError) -> bool:
        """Return True where another attempt may succeed after ``error``."""
        return error.retriable and self._retries > 0

    async def _open(self, request: Request) -> tuple[AbstractAsyncContextManager[Stream], Stream]:
        manager = self.model.stream(request)
        stream = await manager.__aenter__()
        self.succeeded()
        return manager, stream

    async def open_again(
        self, request: Request, first: ModelError
    ) -> tuple[AbstractAsyncContextManager[Stream], Stream]:
        """Open ``request`` after its first attempt failed; return the open context manager and its stream.

        Raises:
            ModelError: the last one, where no attempt succeeds.
        """
        began = current_time()
        since = self._refused_since
        if since is not None and since > began:  # by the clock of another event loop
            self._refused_since = since = None
        # Where earlier calls have waited long enough already, this one need not.
        patience = 0.0 if since is not None and began - since > self._patience else self._patience
        # The first attempt is made without tenacity, which costs as much as half a call.
        failed: ModelError | None = first

        async def attempt() -> tuple[AbstractAsyncContextManager[Stream], Stream]:
            nonlocal failed
            if failed is not None:
                error, failed = failed, None
                raise error
            return await self._open(request)

        from tenacity import AsyncRetrying, retry_if_exception  # few processes see a failure

        retrying = AsyncRetrying(
            retry=retry_if_exception(lambda e: isinstance(e, ModelError) and e.retriable),
            wait=self._wait,
            stop=partial(self._is_enough, began, patience),
            before_sleep=_note,
            sleep=anyio.sleep,
            reraise=True,
        )
        return await retrying(attempt)

    def _wait(self, state: RetryCallState) -> float:
        error = _error_of(state)
        upto = min(self._longest, self._base * 2.0 ** (state.attempt_number - 1))
        # Half of it at least for a server that is overloaded: full jitter may use up all tries at once.
        wait = self._chance.uniform(upto / 2 if isinstance(error, RateLimitError) else 0.0, upto)
        retry_after = error.retry_after
        # A little more than asked, or all who were refused together come back together.
        return (
            wait
            if retry_after is None
            else max(wait, retry_after + self._chance.uniform(0.0, min(1.0, retry_after / 10)))
        )

    def _is_enough(self, began: float, patience: float, state: RetryCallState) -> bool:
        log = current_call.get()
        now = current_time()
        deadline_at = float("inf") if log is None else log.deadline_at
        error = _error_of(state)
        retry_after = error.retry_after
        if now + state.upcoming_sleep >= deadline_at:
            return True
        if retry_after is not None and deadline_at == float("inf") and retry_after > 2 * self._patience:
            return True
        if not isinstance(error, RateLimitError):
            return state.attempt_number > self._retries
        if self._refused_since is None:
            self._refused_since = now
        return state.attempt_number > self._retries and now - began >= patience


class _Attempts:
    __slots__ = ("_layer", "_manager", "_request")

    def __init__(self, layer: Retrying, request: Request) -> None:
        self._layer = layer
        self._request = request
        self._manager: AbstractAsyncContextManager[Stream] | None = None

    async def __aenter__(self) -> Stream:
        layer = self._layer
        try:
            self._manager = layer.model.stream(self._request)
            stream = await self._manager.__aenter__()
        except ModelError as error:
            if not layer.may_retry(error):
                raise
            self._manager, stream = await layer.open_again(self._request, error)
        layer.succeeded()
        return stream

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        assert self._manager is not None
        return await self._manager.__aexit__(kind, error, trace)


def _error_of(state: RetryCallState) -> ModelError:
    error = state.outcome.exception() if state.outcome is not None else None
    assert isinstance(error, ModelError)
    return error


def _note(state: RetryCallState) -> None:
    tell(Retry(state.attempt_number, str(_error_of(state)), state.upcoming_sleep))
