"""The span of a synthesis."""

from __future__ import annotations

from opentelemetry.trace import Span

from weaver._tracing.record import semconv as sc
from weaver._tracing.record.kind import Kind
from weaver._tracing.record.recorder import PlainSpans, declined

SYNTHESIS = Kind("synthesis", (sc.SYNTHESIS,), lambda _name, _attributes: "synthesis")


class SynthesisSpans(PlainSpans):
    """Begins and ends the span in which findings are merged into the answer."""

    __slots__ = ()

    def start(self, parent: Span) -> Span:
        """Begin the merging of findings into the answer."""
        if declined(parent):
            return parent
        return self._recorder.start(parent, sc.SYNTHESIS, {sc.OPERATION: sc.SYNTHESIS})
