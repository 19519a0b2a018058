"""The span of one execution of a tool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.trace import Span

from weaver._tracing.record import semconv as sc
from weaver._tracing.record.kind import Kind
from weaver._tracing.record.recorder import Spans, declined


def _label(_name: str, attributes: Mapping[str, Any]) -> str:
    return f"tool {attributes.get(sc.TOOL_NAME, '')}"


TOOL = Kind("tool", (sc.EXECUTE_TOOL,), _label)


class ToolSpans(Spans):
    """Begins and ends the span of one execution of a tool."""

    __slots__ = ()

    def start(self, parent: Span, *, name: str, call_id: str, arguments: str = "") -> Span:
        """Begin one execution of a tool. ``arguments`` (JSON) are content."""
        if declined(parent):
            return parent
        span = self._recorder.start(
            parent,
            f"{sc.EXECUTE_TOOL} {name}",
            {
                sc.OPERATION: sc.EXECUTE_TOOL,
                sc.TOOL_NAME: name,
                sc.TOOL_TYPE: "function",
                sc.TOOL_CALL_ID: call_id,
            },
        )
        if arguments and span.is_recording():
            self._recorder.content.text(span, sc.TOOL_ARGUMENTS, arguments)
        return span

    def end(
        self,
        span: Span,
        error: BaseException | None = None,
        *,
        name: str,
        seconds: float,
        result: str = "",
    ) -> None:
        """End it: the tool returned or raised. ``result`` is content."""
        if self._recorder.metrics is not None:
            labels = {sc.TOOL_NAME: name}
            if error is not None:
                labels[sc.ERROR_TYPE] = type(error).__name__
            self._recorder.metrics.tool_seconds.record(seconds, labels)
        if result and span.is_recording():
            self._recorder.content.text(span, sc.TOOL_RESULT, result)
        self._recorder.end(span, error)
