"""The caller's trace, which the runs of a request go on with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.datastructures import Headers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

_PROPAGATOR = TraceContextTextMapPropagator()


class CallersTrace:
    """Makes the request's ``traceparent`` current, so that its runs belong to the caller's trace.

    An instrumentation of the server that has begun a span already goes first. Baggage is not taken over, as
    it would travel on to the models' endpoints.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: Mapping[str, str] = Headers(scope=scope) if scope["type"] == "http" else {}
        if "traceparent" not in headers or trace.get_current_span().get_span_context().is_valid:
            await self._app(scope, receive, send)
            return
        token = otel_context.attach(_PROPAGATOR.extract(headers))
        try:
            await self._app(scope, receive, send)
        finally:
            otel_context.detach(token)
