"""What every kind of span shares: the tracer, the metrics, what may be recorded, and how a span ends.

Depends on the OpenTelemetry API only and sets nothing global. A span that the sampler declined costs next
to nothing: its children are not even asked for, and no attribute is built for it.
"""

from __future__ import annotations

from abc import abstractmethod
from asyncio import CancelledError
from collections.abc import Callable, Mapping, Sequence
from functools import cache

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, TracerProvider
from opentelemetry.util.types import AttributeValue

from weaver._tracing.record import semconv as sc
from weaver._tracing.record.content import Capture, Content, Texts, capture_mode
from weaver._tracing.record.metrics import Instruments, live_meter
from weaver._tracing.record.redact import Redactor
from weaver.errors import RunCancelled


class ParentSpan(Span):
    """A span that begins spans below itself without a context that leads to it."""

    @abstractmethod
    def start_child(
        self, name: str, *, kind: SpanKind, attributes: Mapping[str, AttributeValue], links: Sequence[Link]
    ) -> Span:
        """Begin a span below this one."""


class Recorder:
    """Starts and ends spans for the kinds of spans; holds what they share.

    Args:
        tracer_provider, meter_provider: None takes the global ones, whenever they are set.
        capture: put content (messages, answers, tool arguments) on spans; None does as the environment
            variable ``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`` says.
        labels: put short labels on spans.
        model_spans: False leaves model calls to another instrumentation.
        redact: takes secrets out of text; None makes a `Redactor` at the first use.
        texts: keeps the full text of what is cut on spans.

    Attributes:
        content: what of a run's texts may be recorded, and how.
        metrics: None until a run has begun while a meter provider was set.
    """

    __slots__ = ("_meter_provider", "_tracer", "content", "labels", "metrics", "model_spans")

    def __init__(
        self,
        tracer_provider: TracerProvider | None,
        meter_provider: MeterProvider | None,
        *,
        capture: bool | Capture | None,
        labels: bool,
        model_spans: bool,
        redact: Callable[[str], str] | None,
        texts: Texts | None,
    ) -> None:
        from weaver import __version__

        mode = capture if isinstance(capture, Capture) else capture_mode(capture)
        self.content = Content(mode, redact or _redact, texts)
        self.labels = labels
        self.model_spans = model_spans
        self.metrics: Instruments | None = None
        self._meter_provider = meter_provider
        self._tracer = trace.get_tracer(sc.SCOPE, __version__, tracer_provider, sc.SCHEMA_URL)

    def find_meter(self) -> None:
        """Look for a meter provider, which may be set after weaver was imported."""
        if self.metrics is None and (meter := live_meter(self._meter_provider)) is not None:
            self.metrics = Instruments(meter)

    def start(
        self,
        parent: Span,
        name: str,
        attributes: Mapping[str, AttributeValue],
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        links: Sequence[Link] = (),
    ) -> Span:
        """Begin a span below another one."""
        if isinstance(parent, ParentSpan):
            return parent.start_child(name, kind=kind, attributes=self._with_kind(attributes), links=links)
        return self.start_in(trace.set_span_in_context(parent), name, attributes, kind=kind, links=links)

    def start_in(
        self,
        context: Context | None,
        name: str,
        attributes: Mapping[str, AttributeValue],
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        links: Sequence[Link] = (),
    ) -> Span:
        """Begin a span in a context; None is the current one."""
        attributes = self._with_kind(attributes)
        return self._tracer.start_span(name, context=context, kind=kind, attributes=attributes, links=links)

    def end(
        self, span: Span, error: BaseException | None = None, *, cancel_reason: str | None = None
    ) -> None:
        """End any span. A cancellation is not an error: the status stays unset."""
        if not span.is_recording():
            return
        if cancel_reason is not None or isinstance(error, (CancelledError, RunCancelled)):
            span.set_attribute(sc.TASK_STATE, "cancelled")
            if cancel_reason is not None:
                span.set_attribute(sc.CANCEL_REASON, cancel_reason)
        elif error is not None:
            self.failed(span, error)
        span.end()

    def failed(
        self, span: Span, error: BaseException | None, *, kind: str = "unknown", message: str = ""
    ) -> None:
        """Record an error on a span that goes on or ends.

        Args:
            kind, message: type and text where there is no exception.
        """
        kind = type(error).__name__ if error is not None else kind
        text = self.content.error(message or str(error or ""))
        span.set_attribute(sc.ERROR_TYPE, kind)
        span.add_event(sc.EXCEPTION_EVENT, {sc.EXCEPTION_TYPE: kind, sc.EXCEPTION_MESSAGE: text})
        span.set_status(Status(StatusCode.ERROR, text or kind))

    def _with_kind(self, attributes: Mapping[str, AttributeValue]) -> Mapping[str, AttributeValue]:
        """Add OpenInference's kind of span, if the environment asks for it."""
        if not self.content.openinference:
            return attributes
        operation = str(attributes.get(sc.OPERATION))
        return {**attributes, sc.SPAN_KIND: sc.SPAN_KINDS.get(operation, "CHAIN")}


class Spans:
    """Begins and ends the spans of one kind, by the recorder that all kinds share."""

    __slots__ = ("_recorder",)

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder


class PlainSpans(Spans):
    """Spans at whose end nothing is known but whether their work failed or was cancelled."""

    __slots__ = ()

    def end(
        self, span: Span, error: BaseException | None = None, *, cancel_reason: str | None = None
    ) -> None:
        """End it: done, failed, or cancelled."""
        self._recorder.end(span, error, cancel_reason=cancel_reason)


def declined(parent: Span) -> bool:
    """Tell whether the sampler said no to ``parent``, and so to all below. An ended span is no such."""
    return not parent.is_recording() and not parent.get_span_context().trace_flags.sampled


def stem(name: str) -> str:
    """Return the part of a name that is the same every time: no arguments, no path, no counter."""
    return name.partition("(")[0].partition("/")[0].partition(":")[0].strip().rstrip("0123456789-_.") or name


@cache
def _redactor() -> Redactor:
    return Redactor()


def _redact(text: str) -> str:
    return _redactor()(text)
