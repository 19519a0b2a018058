"""Traces of runs: where spans go and what they contain."""

from typing import TYPE_CHECKING

from weaver._environment.doors import door

if TYPE_CHECKING:
    from weaver._tracing.export.setup import configure
    from weaver._tracing.tracer import Tracing

_MODULES = {
    "Tracing": "_tracing.tracer",
    "configure": "_tracing.export.setup",
}

__all__ = [
    "Tracing",
    "configure",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = door(__name__, _MODULES)
