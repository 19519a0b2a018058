"""Spans of a run. Depends on the OpenTelemetry API only and sets nothing global.

A span that the sampler declined costs next to nothing: its children are not even asked for, and no
attribute is built for it. No span is made current unless `Tracing.attached` is used.
"""

from __future__ import annotations

import itertools
from asyncio import CancelledError
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.metrics import MeterProvider, NoOpMeterProvider
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    NoOpTracerProvider,
    Span,
    SpanKind,
    Status,
    StatusCode,
    TracerProvider,
)
from opentelemetry.util.types import AttributeValue

from weaver.errors import RunCancelled
from weaver.tracing import attributes as build
from weaver.tracing import semconv as sc
from weaver.tracing.content import Capture, Content, Texts, capture_mode
from weaver.tracing.conversation import dumps
from weaver.tracing.metrics import Instruments, live_meter
from weaver.tracing.redact import Redactor

if TYPE_CHECKING:
    from weaver.models.protocol import Request
    from weaver.models.reply import Reply
    from weaver.plan import Plan
    from weaver.result import Conflict, Result, ThreadReport


MAX_IDS = 4096
"""Most ids in one attribute; the links are all there as far as the provider's limits allow."""


class Tracing:
    """Makes the spans and metrics of runs.

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
    def off(cls) -> Tracing:
        """Tracing that records nothing."""
        return cls(NoOpTracerProvider(), NoOpMeterProvider(), capture=False, redact=str)

    # Starting ---------------------------------------------------------------------------------------

    def start_run(
        self, *, run_id: str, strategy: str, model: str, question: str, parent: Context | None = None
    ) -> Span:
        """The root of a run, under the caller's current span if there is one."""
        if self._metrics is None and (meter := live_meter(self._meter_provider)) is not None:
            self._metrics = Instruments(meter)
        span = self._tracer.start_span(
            f"{sc.INVOKE_WORKFLOW} {strategy}",
            context=parent,
            attributes={
                sc.OPERATION: sc.INVOKE_WORKFLOW,
                sc.WORKFLOW_NAME: strategy,
                sc.RUN_ID: run_id,
                sc.RUN_MODEL: model,
            },
        )
        if span.is_recording():
            if self.labels:
                self.content.local(span, sc.RUN_QUESTION, question)
            self.content.text(span, sc.RUN_QUESTION, question)
        return span

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
    ) -> Span:
        """A thread. ``agent`` names the span and is of low cardinality; ``id`` and ``title`` are not."""
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
        return self._start(parent, f"{sc.INVOKE_AGENT} {agent}", attributes)

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

    # Ending -----------------------------------------------------------------------------------------

    def end_call(self, span: Span, reply: Reply, request: Request) -> None:
        """A model call is over: succeeded, failed, or left early (which is no error)."""
        if self._metrics is not None:
            labels = {sc.OPERATION: build.operation_of(request), sc.CALL_ROLE: reply.role}
            self._metrics.call_ended(reply, request, build.labels_of(reply, request), labels)
        if not span.is_recording():
            return
        for retry in reply.retries:
            span.add_event(
                sc.EVENT_RETRY,
                {
                    sc.ATTEMPT: retry.attempt,
                    sc.DELAY_S: retry.delay,
                    sc.EXCEPTION_MESSAGE: self.content.error(retry.error),
                },
                retry.at_ns,
            )
        for fallback in reply.fallbacks:
            span.add_event(
                sc.EVENT_FALLBACK,
                {
                    sc.FAILED_MODEL: fallback.failed,
                    sc.INSTEAD_MODEL: fallback.instead,
                    sc.EXCEPTION_MESSAGE: self.content.error(fallback.error),
                },
                fallback.at_ns,
            )
        span.set_attributes(build.of_reply(reply))
        self.content.call(span, reply, request)
        if reply.state == "failed":
            self._failed(span, reply.error)
        span.end()

    def end_thread(self, span: Span, report: ThreadReport, error: BaseException | None = None) -> None:
        """A thread reached its final state. ``error`` gives a failure its type."""
        if self._metrics is not None:
            labels: dict[str, str] = {sc.TASK_STATE: report.state}
            if report.cancel_reason is not None:
                labels[sc.CANCEL_REASON] = report.cancel_reason
            self._metrics.threads.add(1, labels)
            self._metrics.thread_seconds.record(report.seconds, {sc.TASK_STATE: report.state})
        if not span.is_recording():
            return
        span.set_attributes(build.of_report(report))
        if report.answer:
            self.content.text(span, sc.TASK_ANSWER, report.answer)
        if report.state in ("failed", "timed_out"):
            self._failed(span, error, kind=report.state, message=report.error or "")
        span.end()

    def end_tool(self, span: Span, error: BaseException | None = None, *, result: str = "") -> None:
        """A tool returned or raised. ``result`` is content."""
        if result and self.content.capture and span.is_recording():
            self.content.text(span, sc.TOOL_RESULT, result)
        self.end(span, error)

    def end_join(
        self,
        span: Span,
        *,
        received: Sequence[str] | int,
        reason: str | None = None,
        later: Sequence[tuple[str, Span]] = (),
    ) -> None:
        """A join is settled.

        Args:
            received: ids of the threads whose answers it had when it settled, or how many they were.
            reason: why it stopped waiting, in a word or two; None when all had finished.
            later: threads that were started after the join began.
        """
        if not span.is_recording():
            return
        found: dict[str, AttributeValue] = {sc.JOIN_REASON: reason or "all finished"}
        if later:
            for name, thread in later:
                span.add_link(thread.get_span_context(), {sc.TASK_ID: name})
            before = (getattr(span, "attributes", None) or {}).get(sc.DEPENDS_ON, ())
            found[sc.DEPENDS_ON] = tuple(itertools.islice((*before, *(n for n, _ in later)), MAX_IDS))
        if isinstance(received, int):
            found[sc.JOIN_RECEIVED] = received
        else:
            found[sc.JOIN_RECEIVED] = len(received)
            found[sc.JOIN_RECEIVED_IDS] = tuple(received[:MAX_IDS])
        span.set_attributes(found)
        span.end()

    def end_conflict(self, span: Span, conflict: Conflict) -> None:
        """A conflict was settled, or stays open."""
        if self._metrics is not None:
            policy = conflict.resolution.policy if conflict.resolution else "unresolved"
            self._metrics.conflicts.add(1, {sc.CONFLICT_STRATEGY: policy})
        if not span.is_recording():
            return
        span.set_attributes(build.of_conflict(conflict))
        if self.content.capture:
            values = [
                {"value": v.value, "threads": v.threads, "confidence": v.confidence} for v in conflict.values
            ]
            self.content.text(span, sc.CONFLICT_VALUES, dumps(values))
            if conflict.resolution is not None:
                self.content.text(span, sc.CONFLICT_VALUE, conflict.resolution.value)
                self.content.text(span, sc.CONFLICT_EVIDENCE, conflict.resolution.evidence)
        span.end()

    def end_plan(
        self,
        span: Span,
        *,
        plan: Plan | None = None,
        error: BaseException | None = None,
        cancel_reason: str | None = None,
    ) -> None:
        """The plan is there, or the planner failed, or was cancelled because nobody needs a plan."""
        if plan is not None and span.is_recording():
            span.set_attributes(build.of_plan(plan))
            self.content.text(span, sc.PLAN_REASON, plan.reason)
        self.end(span, error, cancel_reason=cancel_reason)

    def end_run(self, span: Span, result: Result[Any]) -> None:
        """The run is over."""
        if self._metrics is not None:
            labels = {sc.WORKFLOW_NAME: result.strategy, sc.RUN_STATUS: result.status}
            self._metrics.run_seconds.record(result.metrics.wall_seconds, labels)
        if not span.is_recording():
            return
        span.set_attributes(build.of_result(result))
        if result.notes:
            span.set_attribute(sc.RUN_NOTES, [self.content.error(note) for note in result.notes[:32]])
        if result.decision is not None and (result.decision.by != "planner" or self.content.capture):
            span.set_attribute(sc.DECISION_REASON, self.content.label(result.decision.reason))
        if result.answer:
            self.content.text(span, sc.RUN_ANSWER, result.answer)
        if result.error is not None:
            if result.error.type == RunCancelled.__name__:
                span.set_attributes({sc.TASK_STATE: "cancelled", sc.CANCEL_REASON: "user"})
            else:
                self._failed(span, None, kind=result.error.type, message=result.error.message)
        span.end()

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
            self._failed(span, error)
        span.end()

    # Everything else --------------------------------------------------------------------------------

    def decided(self, span: Span, *, parallel: bool, by: str, reason: str) -> None:
        """Somebody decided whether to fork. A planner's reason is content, a policy's is not."""
        if not span.is_recording():
            return
        attributes: dict[str, AttributeValue] = {sc.DECISION_PARALLEL: parallel, sc.DECISION_BY: by}
        if by != "planner" or self.content.capture:
            attributes[sc.DECISION_REASON] = self.content.label(reason)
        span.add_event(sc.EVENT_DECISION, attributes)

    def event(self, span: Span, name: str, attributes: Mapping[str, AttributeValue] | None = None) -> None:
        """Something happened during a span. Text is redacted and cut."""
        if not span.is_recording():
            return
        clean = {
            key: self.content.error(value) if isinstance(value, str) else value
            for key, value in (attributes or {}).items()
        }
        span.add_event(name, clean)

    def headers(self, span: Span) -> dict[str, str]:
        """W3C trace context for an HTTP request; empty when there is no trace."""
        context = span.get_span_context()
        if not context.is_valid:
            return {}
        flags = int(context.trace_flags) & 0xFF
        found = {"traceparent": f"00-{context.trace_id:032x}-{context.span_id:016x}-{flags:02x}"}
        if context.trace_state:
            found["tracestate"] = context.trace_state.to_header()
        return found

    def trace_id(self, span: Span) -> str | None:
        """The trace's id, 32 hex digits; None when the span is not recorded."""
        context = span.get_span_context()
        return f"{context.trace_id:032x}" if context.is_valid and context.trace_flags.sampled else None

    @contextmanager
    def attached(self, span: Span) -> Iterator[None]:
        """Make ``span`` current for other instrumentations. Not across a generator's ``yield``."""
        if not span.get_span_context().is_valid:
            yield
            return
        context = trace.set_span_in_context(span)
        token = otel_context.attach(context)
        try:
            yield
        finally:
            # Elsewhere (a generator closed by another task) there is nothing of ours to detach.
            if otel_context.get_current() is context:
                otel_context.detach(token)

    # Inside -----------------------------------------------------------------------------------------

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
        return self._tracer.start_span(name, context=context, kind=kind, attributes=attributes, links=links)

    def _failed(
        self, span: Span, error: BaseException | None, *, kind: str = "unknown", message: str = ""
    ) -> None:
        kind = type(error).__name__ if error is not None else kind
        text = self.content.error(message or str(error or ""))
        span.set_attribute(sc.ERROR_TYPE, kind)
        span.add_event(sc.EXCEPTION_EVENT, {sc.EXCEPTION_TYPE: kind, sc.EXCEPTION_MESSAGE: text})
        span.set_status(Status(StatusCode.ERROR, text or kind))


def _declined(parent: Span) -> bool:
    """Whether the sampler said no to ``parent``, and so to everything below. An ended span is no such."""
    return not parent.is_recording() and not parent.get_span_context().trace_flags.sampled


@cache
def _redactor() -> Redactor:
    return Redactor()


def _redact(text: str) -> str:
    return _redactor()(text)


def _stem(name: str) -> str:
    """The part of a name that is the same every time: no arguments, no path, no counter."""
    return name.partition("(")[0].partition("/")[0].partition(":")[0].strip().rstrip("0123456789-_.") or name
