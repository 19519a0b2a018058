"""The propagators that the program has set, with W3C trace context where they cannot be loaded."""

from __future__ import annotations

import logging
from functools import cache

from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

logger = logging.getLogger("weaver")


def global_propagator() -> TextMapPropagator:
    """Return the program's propagator, which may be set at any time."""
    if (fallback := _fallback()) is not None:
        return fallback
    from opentelemetry.propagate import get_global_textmap

    return get_global_textmap()


@cache
def _fallback() -> TextMapPropagator | None:
    """Load the global propagators; return another one, with a warning, if that fails."""
    try:
        import opentelemetry.propagate  # noqa: F401 - it reads OTEL_PROPAGATORS, and raises on a wrong name
    except Exception as error:  # noqa: BLE001 - whatever a propagator's package raises
        logger.warning(
            "OTEL_PROPAGATORS cannot be used: %s. Requests carry W3C trace context. Install the package of "
            "that propagator, or correct its name.",
            str(error).rstrip("."),
        )
        return TraceContextTextMapPropagator()
    return None
