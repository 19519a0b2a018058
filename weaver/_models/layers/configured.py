"""A model with its own usual settings: effort, extra fields, headers, and a time limit for each call."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from types import TracebackType
from typing import Any

import anyio

from weaver._models.clock import current_time
from weaver._models.layers.base import Layer
from weaver._models.protocol import Capabilities, Delta, Model, Request, Stream
from weaver.errors import ModelTimeoutError, StreamInterruptedError


class Configured(Layer):
    """Fills in what a request leaves open. What the request says itself stays.

    Args:
        model: the model inside.
        effort: ``Request.reasoning_effort`` of requests that have none.
        extra: provider-specific fields, under those of the request.
        headers: HTTP headers, under those of the request.
        timeout: most seconds of one call, from sending to its end; None leaves it to the deadline.
        context: the model's context window in tokens, instead of what its server says.
    """

    def __init__(
        self,
        model: Model,
        *,
        effort: str | None = None,
        extra: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        context: int | None = None,
    ) -> None:
        super().__init__(model)
        self._context = context
        self._effort = effort
        self._extra = dict(extra or {})
        self._headers = dict(headers or {})
        self._timeout = timeout

    async def capabilities(self) -> Capabilities:
        """The model's, with the window that the user set."""
        can = await super().capabilities()
        return can if self._context is None else replace(can, context=self._context)

    def stream(self, request: Request) -> AbstractAsyncContextManager[Stream]:
        """See `weaver.models.Model`.

        Raises:
            ModelTimeoutError: on entering: nothing came within ``timeout``.
            StreamInterruptedError: while iterating: the call was not complete within ``timeout``.
        """
        request = replace(
            request,
            reasoning_effort=request.reasoning_effort or self._effort,
            extra={**self._extra, **request.extra} if self._extra else request.extra,
            headers={**self._headers, **request.headers} if self._headers else request.headers,
        )
        stream = self.model.stream(request)
        return stream if self._timeout is None else _Timed(stream, self._timeout, self.name)


class _Timed:
    """A stream that must be complete in time."""

    def __init__(self, inside: AbstractAsyncContextManager[Stream], seconds: float, model: str) -> None:
        self._inside = inside
        self._seconds = seconds
        self._model = model
        self._deadline_at = float("inf")

    async def __aenter__(self) -> _Timed:
        self._deadline_at = current_time() + self._seconds
        stream: Stream | None = None
        with anyio.CancelScope(deadline=self._deadline_at):
            stream = await self._inside.__aenter__()
        if stream is None:
            raise ModelTimeoutError(
                f"{self._model} did not begin to answer within {self._seconds:g} s.",
                model=self._model,
                hint="Raise the model's timeout setting.",
            )
        self._stream = stream
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._inside.__aexit__(kind, error, trace)

    def __aiter__(self) -> _Timed:
        return self

    async def __anext__(self) -> Delta:
        with anyio.CancelScope(deadline=self._deadline_at):
            return await self._stream.__anext__()
        raise StreamInterruptedError(
            f"{self._model} was not done within {self._seconds:g} s.",
            model=self._model,
            hint="Raise the model's timeout setting.",
        )
