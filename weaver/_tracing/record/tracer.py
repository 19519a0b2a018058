"""Spans of a run. Depends on the OpenTelemetry API only and sets nothing global.

A span that the sampler declined costs next to nothing: its children are not even asked for, and no
attribute is built for it. No span is made current unless `Tracing.attached` is used.
"""

from __future__ import annotations

import itertools
from asyncio import CancelledError
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import (
    Span,
    SpanContext,
    Status,
    StatusCode,
    TraceFlags,
)
from opentelemetry.util.types import AttributeValue

from weaver._tracing.record import attributes as build
from weaver._tracing.record import semconv as sc
from weaver._tracing.record.messages import dumps
from weaver._tracing.record.tracer_start import MAX_IDS, Starting
from weaver.errors import RunCancelled

MAX_OUTCOMES = 32
"""Decisions whose outcomes stand in the span of the run; the SDK keeps 128 events of a span."""
_UNATTACHED = nullcontext()

if TYPE_CHECKING:
    from weaver._data.decisions import LoggedDecision, Reward
    from weaver._data.plan import Plan
    from weaver._data.result import Conflict, Forecast, Result, ThreadReport
    from weaver._models.protocol import Request
    from weaver._models.reply import Reply


class Tracing(Starting):
    """Makes the spans and metrics of runs. Its arguments are those of `Starting`."""

    # Ending

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
        if self.content.langfuse:
            span.set_attributes(build.langfuse_usage(reply.usage))
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
            self.content.message(span, sc.OUTPUT_MESSAGES, "assistant", report.answer)
        if report.state in ("failed", "timed_out"):
            self._failed(span, error, kind=report.state, message=report.error or "")
        span.end()

    def end_tool(
        self,
        span: Span,
        error: BaseException | None = None,
        *,
        name: str,
        seconds: float,
        result: str = "",
    ) -> None:
        """A tool returned or raised. ``result`` is content."""
        if self._metrics is not None:
            labels = {sc.TOOL_NAME: name}
            if error is not None:
                labels[sc.ERROR_TYPE] = type(error).__name__
            self._metrics.tool_seconds.record(seconds, labels)
        if result and span.is_recording():
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
        attributes: dict[str, AttributeValue] = {sc.JOIN_REASON: reason or "all finished"}
        if later:
            for name, thread in later:
                span.add_link(thread.get_span_context(), {sc.TASK_ID: name})
            before = (getattr(span, "attributes", None) or {}).get(sc.DEPENDS_ON, ())
            attributes[sc.DEPENDS_ON] = tuple(itertools.islice((*before, *(n for n, _ in later)), MAX_IDS))
        if isinstance(received, int):
            attributes[sc.JOIN_RECEIVED] = received
        else:
            attributes[sc.JOIN_RECEIVED] = len(received)
            attributes[sc.JOIN_RECEIVED_IDS] = tuple(received[:MAX_IDS])
        span.set_attributes(attributes)
        span.end()

    def end_conflict(self, span: Span, conflict: Conflict) -> None:
        """A conflict was settled, or stays open."""
        if self._metrics is not None:
            policy = conflict.resolution.policy if conflict.resolution else "unresolved"
            self._metrics.conflicts.add(1, {sc.CONFLICT_STRATEGY: policy})
        if not span.is_recording():
            return
        span.set_attributes(build.of_conflict(conflict))
        if self.content.is_wanted:
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
            if plan.ask:
                self.content.text(span, sc.PLAN_ASK, plan.ask)
            if plan.subtasks:
                self.content.local_text(span, sc.PLAN_TEXT, plan.model_dump_json)
        self.end(span, error, cancel_reason=cancel_reason)

    def end_run(self, span: Span, result: Result[Any]) -> None:
        """The run is over."""
        if self._metrics is not None:
            labels = {sc.WORKFLOW_NAME: result.strategy, sc.RUN_STATUS: result.status}
            self._metrics.run_seconds.record(result.metrics.wall_seconds, labels)
        if not span.is_recording():
            return
        span.set_attributes(build.of_result(result))
        for decision in result.decision_log[:MAX_OUTCOMES]:
            span.add_event(sc.EVENT_OUTCOME, build.of_outcome(decision))
        if result.notes:
            span.set_attribute(sc.RUN_NOTES, [self.content.error(note) for note in result.notes[:32]])
        if result.sources:
            span.set_attribute(sc.RUN_SOURCES, [self.content.error(str(s)) for s in result.sources[:64]])
        if result.decision is not None and (result.decision.by != "planner" or self.content.capture):
            span.set_attribute(
                sc.DECISION_REASON, self.content.label(self.content.error(result.decision.reason))
            )
        if result.answer:
            self.content.text(span, sc.RUN_ANSWER, result.answer)
            self.content.message(span, sc.OUTPUT_MESSAGES, "assistant", result.answer)
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

    # Everything else

    def decided(
        self,
        span: Span,
        decision: LoggedDecision,
        *,
        parallel: bool | None = None,
        by: str = "policy",
        forecast: Forecast | None = None,
    ) -> None:
        """Somebody decided something. A planner's reason is content, a policy's is not."""
        if not span.is_recording():
            return
        attributes: dict[str, AttributeValue] = build.of_decision(decision)
        if parallel is not None:
            attributes |= {sc.DECISION_PARALLEL: parallel, sc.DECISION_BY: by}
        if decision.reason and (by != "planner" or self.content.capture):
            attributes[sc.DECISION_REASON] = self.content.label(self.content.error(decision.reason))
        if forecast is not None:
            attributes |= build.of_forecast(forecast)
        span.add_event(sc.EVENT_DECISION, attributes)

    def rewarded(self, span: Span, reward: Reward) -> None:
        """Somebody judged the run's answer."""
        if span.is_recording():
            span.add_event(sc.EVENT_EVALUATION, build.of_reward(reward))

    def evaluate(self, trace_id: str, span_id: str, reward: Reward) -> None:
        """Judge a run that is over: its own span below the run's root.

        Args:
            trace_id, span_id: of the root, as hex digits.
        """
        context = SpanContext(
            int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED)
        )
        parent = trace.set_span_in_context(trace.NonRecordingSpan(context))
        attributes = {sc.OPERATION: sc.EVALUATE}
        span = self._tracer.start_span(f"{sc.EVALUATE} {reward.name}", context=parent, attributes=attributes)
        self.rewarded(span, reward)
        span.end()

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
        if getattr(span, "is_local_only", False):
            return {}  # nobody else knows that trace
        headers = {"traceparent": f"00-{context.trace_id:032x}-{context.span_id:016x}-{flags:02x}"}
        if context.trace_state:
            headers["tracestate"] = context.trace_state.to_header()
        return headers

    def trace_id(self, span: Span) -> str | None:
        """The trace's id, 32 hex digits; None when the span is not recorded."""
        context = span.get_span_context()
        return f"{context.trace_id:032x}" if context.is_valid and context.trace_flags.sampled else None

    def attached(self, span: Span) -> AbstractContextManager[None]:
        """Make ``span`` current for other instrumentations. Not across a generator's ``yield``."""
        return self._attached(span) if span.get_span_context().is_valid else _UNATTACHED

    @contextmanager
    def _attached(self, span: Span) -> Generator[None]:
        context = trace.set_span_in_context(span)
        token = otel_context.attach(context)
        try:
            yield
        finally:
            # Elsewhere (a generator closed by another task) there is nothing of ours to detach.
            if otel_context.get_current() is context:
                otel_context.detach(token)

    def _failed(
        self, span: Span, error: BaseException | None, *, kind: str = "unknown", message: str = ""
    ) -> None:
        kind = type(error).__name__ if error is not None else kind
        text = self.content.error(message or str(error or ""))
        span.set_attribute(sc.ERROR_TYPE, kind)
        span.add_event(sc.EXCEPTION_EVENT, {sc.EXCEPTION_TYPE: kind, sc.EXCEPTION_MESSAGE: text})
        span.set_status(Status(StatusCode.ERROR, text or kind))
