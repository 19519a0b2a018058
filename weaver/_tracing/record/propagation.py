"""The propagators that the program has set, with W3C trace context where they cannot be loaded."""

from __future__ import annotations

import logging
from functools import cache
from importlib import import_module

from opentelemetry import trace
from opentelemetry.propagators.textmap import Setter, TextMapPropagator
from opentelemetry.trace import Span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

logger = logging.getLogger("weaver")


class _IntoDict(Setter[dict[str, str]]):
    def set(self, carrier: dict[str, str], key: str, value: str) -> None:
        carrier[key] = value


_INTO_DICT = _IntoDict()


def headers_of(span: Span) -> dict[str, str]:
    """Return the headers of a request that is made within ``span``."""
    headers: dict[str, str] = {}
    _propagator().inject(headers, trace.set_span_in_context(span), _INTO_DICT)
    return headers


def _propagator() -> TextMapPropagator:
    """Return the program's propagator, which may be set at any time."""
    if (fallback := _fallback()) is not None:
        return fallback
    from opentelemetry.propagate import get_global_textmap

    return get_global_textmap()


@cache
def _fallback() -> TextMapPropagator | None:
    """Load the global propagators; return another one, with a warning, if that fails."""
    try:
        import_module("opentelemetry.propagate")  # reads OTEL_PROPAGATORS, and raises on a wrong name
    except Exception as error:  # noqa: BLE001 - whatever a propagator's package raises
        logger.warning(
            "OTEL_PROPAGATORS cannot be used: %s. Requests carry W3C trace context. Install the package of "
            "that propagator, or correct its name.",
            str(error).rstrip("."),
        )
        return TraceContextTextMapPropagator()
    return None
