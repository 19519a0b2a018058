"""The span of a synthesis."""

from __future__ import annotations

from opentelemetry.trace import Span

from weaver._tracing.record import semconv as sc
from weaver._tracing.record.kind import Kind
from weaver._tracing.record.recorder import Recorder, declined

SYNTHESIS = Kind("synthesis", (sc.SYNTHESIS,), lambda _name, _attributes: "synthesis")


class SynthesisSpans:
    """Begins and ends the span in which findings are merged into the answer."""

    __slots__ = ("_recorder",)

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def start(self, parent: Span) -> Span:
        """Begin the merging of findings into the answer."""
        if declined(parent):
            return parent
        return self._recorder.start(parent, sc.SYNTHESIS, {sc.OPERATION: sc.SYNTHESIS})

    def end(
        self, span: Span, error: BaseException | None = None, *, cancel_reason: str | None = None
    ) -> None:
        """End it: merged, failed, or cancelled."""
        self._recorder.end(span, error, cancel_reason=cancel_reason)
