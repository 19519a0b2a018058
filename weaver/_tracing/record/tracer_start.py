"""How spans begin. Below a span that the sampler declined, nothing is even asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Self

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.metrics import MeterProvider, NoOpMeterProvider
from opentelemetry.trace import Link, NonRecordingSpan, NoOpTracerProvider, Span, SpanKind, TracerProvider
from opentelemetry.util.types import AttributeValue

from weaver._tracing.record import attributes as build
from weaver._tracing.record import semconv as sc
from weaver._tracing.record.content import Capture, Content, Texts, capture_mode
from weaver._tracing.record.metrics import Instruments, live_meter
from weaver._tracing.record.redact import Redactor

if TYPE_CHECKING:
    from weaver._models.protocol import Request

MAX_IDS = 4096
"""Most ids in one attribute; the links are all there as far as the provider's limits allow."""


class Starting:
    """The half of `weaver.tracing.Tracing` that begins spans.

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
        from weaver import __version__

        mode = capture if isinstance(capture, Capture) else capture_mode(capture)
        self.content = Content(mode, redact or _redact, texts)
        self.labels = labels
        self.model_spans = model_spans
        self._meter_provider = meter_provider
        self._metrics: Instruments | None = None
        self._tracer = trace.get_tracer(sc.SCOPE, __version__, tracer_provider, sc.SCHEMA_URL)

    @classmethod
    def off(cls) -> Self:
        """Tracing that records nothing."""
        return cls(NoOpTracerProvider(), NoOpMeterProvider(), capture=False, redact=str)

    def start_run(
        self,
        *,
        run_id: str,
        strategy: str,
        model: str,
        question: str,
        parent: Context | None = None,
        conversation: str = "",
    ) -> Span:
        """The root of a run, under the caller's current span if there is one.

        Args:
            conversation: id of the session, by which trace UIs group turns; "" for none.
        """
        if self._metrics is None and (meter := live_meter(self._meter_provider)) is not None:
            self._metrics = Instruments(meter)
        attributes: dict[str, AttributeValue] = {
            sc.OPERATION: sc.INVOKE_WORKFLOW,
            sc.WORKFLOW_NAME: strategy,
            sc.RUN_ID: run_id,
            sc.RUN_MODEL: model,
        }
        if conversation and self.labels:
            attributes[sc.CONVERSATION] = attributes[sc.SESSION_ID] = self.content.label(conversation)
        span = self._tracer.start_span(
            f"{sc.INVOKE_WORKFLOW} {strategy}", context=parent, attributes=self._with_kind(attributes)
        )
        if question:
            self.set_question(span, question)
        return span

    def set_question(self, span: Span, question: str) -> None:
        """Record the question of a run, where it is not known at its start."""
        if span.is_recording():
            if self.labels:
                self.content.local(span, sc.RUN_LABEL, question)
            self.content.text(span, sc.RUN_QUESTION, question)
            self.content.message(span, sc.INPUT_MESSAGES, "user", question)

    def start_plan(self, parent: Span) -> Span:
        """The planner's work; its model call is a child, the threads are siblings."""
        if _declined(parent):
            return parent
        return self._start(parent, f"{sc.PLAN} planner", {sc.OPERATION: sc.PLAN, sc.AGENT_NAME: "planner"})

    def start_synthesis(self, parent: Span) -> Span:
        """Merging findings into the answer."""
        if _declined(parent):
            return parent
        return self._start(parent, sc.SYNTHESIS, {sc.OPERATION: sc.SYNTHESIS})

    def start_thread(
        self,
        parent: Span,
        *,
        id: str,  # noqa: A002 - the word of `ThreadReport`
        title: str,
        agent: str,
        depth: int,
        depends_on: Sequence[str] = (),
        prompt: str = "",
    ) -> Span:
        """A thread. ``agent`` names the span and is of low cardinality; ``id`` and ``title`` are not.

        Args:
            prompt: what it works on; content.
        """
        if _declined(parent):
            return parent
        agent = agent or "thread"
        attributes: dict[str, AttributeValue] = {
            sc.OPERATION: sc.INVOKE_AGENT,
            sc.AGENT_NAME: agent,
            sc.TASK_ID: id,
            sc.TASK_DEPTH: depth,
        }
        if title and self.labels:
            attributes[sc.TASK_TITLE] = self.content.label(title)
        if depends_on:
            attributes[sc.DEPENDS_ON] = tuple(depends_on)
        span = self._start(parent, f"{sc.INVOKE_AGENT} {agent}", attributes)
        if span.is_recording():
            self.content.message(span, sc.INPUT_MESSAGES, "user", prompt)
        return span

    def start_tool(self, parent: Span, *, name: str, call_id: str, arguments: str = "") -> Span:
        """One execution of a tool. ``arguments`` (JSON) are content."""
        if _declined(parent):
            return parent
        span = self._start(
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
            self.content.text(span, sc.TOOL_ARGUMENTS, arguments)
        return span

    def start_join(
        self, parent: Span, *, rule: str, threads: Sequence[tuple[str, Span]], needed: int | None
    ) -> Span:
        """Waiting for threads, with a link to each. The link carries the id, and so does the span."""
        if _declined(parent):
            return parent
        attributes: dict[str, AttributeValue] = {
            sc.OPERATION: sc.JOIN,
            sc.JOIN_POLICY: rule,
            sc.DEPENDS_ON: tuple(name for name, _ in threads[:MAX_IDS]),
        }
        if needed is not None:
            attributes[sc.JOIN_NEEDED] = needed
        links = [Link(span.get_span_context(), {sc.TASK_ID: name}) for name, span in threads]
        return self._start(parent, f"{sc.JOIN} {_stem(rule)}", attributes, links=links)

    def start_conflict(
        self, parent: Span, *, subject: str, attribute: str, threads: Sequence[str] = ()
    ) -> Span:
        """Settling one conflict."""
        if _declined(parent):
            return parent
        attributes: dict[str, AttributeValue] = {
            sc.OPERATION: sc.CONFLICT,
            sc.CONFLICT_THREADS: tuple(threads),
        }
        if self.labels:
            attributes[sc.CONFLICT_SUBJECT] = self.content.label(subject)
            attributes[sc.CONFLICT_ATTRIBUTE] = self.content.label(attribute)
        return self._start(parent, sc.CONFLICT, attributes)

    def start_step(self, parent: Span, name: str) -> Span:
        """A strategy's own step: a decision, a vote, a judgement."""
        if _declined(parent):
            return parent
        return self._start(parent, f"{sc.STEP} {_stem(name)}", {sc.OPERATION: sc.STEP, sc.STEP_NAME: name})

    def start_call(
        self,
        parent: Span,
        *,
        model: str,
        provider: str,
        endpoint: str,
        role: str,
        request: Request,
        budget: Mapping[str, AttributeValue] | None = None,
    ) -> Span:
        """One model call, whatever its retries. Content is recorded at its end.

        Args:
            budget: limits, what is spent and what this call reserved, where there are limits.
        """
        if self._metrics is not None:
            self._metrics.call_started({sc.OPERATION: build.operation_of(request), sc.CALL_ROLE: role})
        if _declined(parent):
            return parent
        if not self.model_spans:
            return NonRecordingSpan(parent.get_span_context())
        attributes = build.of_request(request, model=model, provider=provider, endpoint=endpoint, role=role)
        if budget:
            attributes.update(budget)
        return self._start(parent, f"{build.operation_of(request)} {model}", attributes, kind=SpanKind.CLIENT)

    def records(self, span: Span) -> bool:
        """Tell whether anything listens to the end of ``span``."""
        return self._metrics is not None or span.is_recording()

    def _start(
        self,
        parent: Span,
        name: str,
        attributes: Mapping[str, AttributeValue],
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        links: Sequence[Link] = (),
    ) -> Span:
        context = trace.set_span_in_context(parent)
        attributes = self._with_kind(attributes)
        return self._tracer.start_span(name, context=context, kind=kind, attributes=attributes, links=links)

    def _with_kind(self, attributes: Mapping[str, AttributeValue]) -> Mapping[str, AttributeValue]:
        """Add OpenInference's kind of span, if the environment asks for it."""
        if not self.content.openinference:
            return attributes
        return {**attributes, sc.SPAN_KIND: sc.SPAN_KINDS.get(str(attributes.get(sc.OPERATION)), "CHAIN")}


def _declined(parent: Span) -> bool:
    """True if the sampler said no to ``parent``, and so to everything below. An ended span is no such."""
    return not parent.is_recording() and not parent.get_span_context().trace_flags.sampled


@cache
def _redactor() -> Redactor:
    return Redactor()


def _redact(text: str) -> str:
    return _redactor()(text)


def _stem(name: str) -> str:
    """The part of a name that is the same every time: no arguments, no path, no counter."""
    return name.partition("(")[0].partition("/")[0].partition(":")[0].strip().rstrip("0123456789-_.") or name
