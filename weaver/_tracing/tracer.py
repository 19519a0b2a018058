"""Spans of a run: one object for each kind, and what goes beyond a kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Self

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.metrics import MeterProvider, NoOpMeterProvider
from opentelemetry.trace import NoOpTracerProvider, Span, TracerProvider
from opentelemetry.util.types import AttributeValue

from weaver._tracing.record.content import Capture, Texts
from weaver._tracing.record.propagation import headers_of
from weaver._tracing.record.recorder import Recorder
from weaver._tracing.spans.call import CallSpans
from weaver._tracing.spans.conflict import ConflictSpans
from weaver._tracing.spans.decision import DecisionSpans
from weaver._tracing.spans.join import JoinSpans
from weaver._tracing.spans.plan import PlanSpans
from weaver._tracing.spans.run import RunSpans
from weaver._tracing.spans.step import StepSpans
from weaver._tracing.spans.synthesis import SynthesisSpans
from weaver._tracing.spans.thread import ThreadSpans
from weaver._tracing.spans.tool import ToolSpans
from weaver._tracing.spans.verification import VerificationSpans

_UNATTACHED = nullcontext()


class Attached:
    """Makes a span current within a block."""

    __slots__ = ("_context", "_token")

    def __init__(self, span: Span) -> None:
        self._context = trace.set_span_in_context(span)

    def __enter__(self) -> None:
        self._token = otel_context.attach(self._context)

    def __exit__(self, *_: object) -> None:
        # Elsewhere (a generator closed by another task) there is nothing of ours to detach.
        if otel_context.get_current() is self._context:
            otel_context.detach(self._token)


class Tracing:
    """Makes the spans and metrics of runs.

    Each kind of span is an attribute with ``start`` and ``end``; its module in `weaver._tracing.spans` has
    its name and its attributes. No span is made current unless `attached` is used.

    Args:
        tracer_provider, meter_provider: None takes the global ones, whenever they are set.
        capture: put content (messages, answers, tool arguments) on spans; None does as the environment
            variable ``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`` says.
        labels: put short labels on spans (threads' titles, conflicts' subjects). They are a model's words,
            but without them a trace is hard to read.
        model_spans: False leaves model calls to another instrumentation (of openai, litellm, ...), so that
            they do not appear twice. Metrics are recorded all the same.
        redact: takes secrets out of text; None makes a `Redactor` at the first use.
        texts: keeps the full text of what is cut on spans.
    """

    __slots__ = (
        "_recorder", "calls", "conflicts", "content", "decisions", "joins", "plans", "runs", "steps",
        "syntheses", "threads", "tools", "verifications",
    )  # fmt: skip

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        *,
        capture: bool | Capture | None = None,
        labels: bool = True,
        model_spans: bool = True,
        redact: Callable[[str], str] | None = None,
        texts: Texts | None = None,
    ) -> None:
        self._recorder = recorder = Recorder(
            tracer_provider,
            meter_provider,
            capture=capture,
            labels=labels,
            model_spans=model_spans,
            redact=redact,
            texts=texts,
        )
        self.content = recorder.content
        self.runs = RunSpans(recorder)
        self.plans = PlanSpans(recorder)
        self.threads = ThreadSpans(recorder)
        self.calls = CallSpans(recorder)
        self.tools = ToolSpans(recorder)
        self.joins = JoinSpans(recorder)
        self.conflicts = ConflictSpans(recorder)
        self.syntheses = SynthesisSpans(recorder)
        self.steps = StepSpans(recorder)
        self.verifications = VerificationSpans(recorder)
        self.decisions = DecisionSpans(recorder)

    @classmethod
    def off(cls) -> Self:
        """Tracing that records nothing."""
        return cls(NoOpTracerProvider(), NoOpMeterProvider(), capture=False, redact=str)

    def records(self, span: Span) -> bool:
        """Tell whether anything listens to the end of ``span``."""
        return self._recorder.metrics is not None or span.is_recording()

    def event(self, span: Span, name: str, attributes: Mapping[str, AttributeValue] | None = None) -> None:
        """Record that something happened during a span. Text is redacted and cut."""
        if not span.is_recording():
            return
        clean = {
            key: self.content.error(value) if isinstance(value, str) else value
            for key, value in (attributes or {}).items()
        }
        span.add_event(name, clean)

    def headers(self, span: Span) -> dict[str, str]:
        """Return the headers of an HTTP request that carry the trace on, by the propagators that are set.

        By default these are ``traceparent`` and ``tracestate`` (W3C), and ``baggage`` where the program has
        set one; ``OTEL_PROPAGATORS`` chooses others. Empty where there is no trace, or where only the local
        store has it.
        """
        if not span.get_span_context().is_valid or getattr(span, "is_local_only", False):
            return {}
        return headers_of(span)

    def trace_id(self, span: Span) -> str | None:
        """Return the trace's id, 32 hex digits; None when the span is not recorded."""
        context = span.get_span_context()
        return f"{context.trace_id:032x}" if context.is_valid and context.trace_flags.sampled else None

    def attached(self, span: Span) -> AbstractContextManager[None]:
        """Make ``span`` current for other instrumentations. Not across a generator's ``yield``."""
        return Attached(span) if span.get_span_context().is_valid else _UNATTACHED
