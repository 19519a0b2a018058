"""The span of a run: its question, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context
from opentelemetry.trace import Span
from opentelemetry.util.types import AttributeValue

from weaver._tracing.record import semconv as sc
from weaver._tracing.record.critical_path import critical_threads
from weaver._tracing.record.kind import Kind
from weaver._tracing.record.recorder import Spans
from weaver._tracing.spans.decision import of_forecast, of_outcome
from weaver._tracing.spans.usage import Attributes, of_usage
from weaver.errors import RunCancelled

MAX_OUTCOMES = 32
"""Decisions whose outcomes stand in the span of the run; the SDK keeps 128 events of a span."""

if TYPE_CHECKING:
    from weaver._data.result import Result


def _label(name: str, attributes: Mapping[str, Any]) -> str:
    return str(attributes.get(sc.WORKFLOW_NAME) or name)


RUN = Kind("run", (sc.INVOKE_WORKFLOW,), _label)


class RunSpans(Spans):
    """Begins and ends the root span of a run."""

    __slots__ = ()

    def start(
        self,
        *,
        run_id: str,
        strategy: str,
        model: str,
        question: str,
        parent: Context | None = None,
        conversation: str = "",
    ) -> Span:
        """Begin the root of a run, under the caller's current span if there is one.

        Args:
            conversation: id of the session, by which trace UIs group turns; "" for none.
        """
        self._recorder.find_meter()
        attributes: dict[str, AttributeValue] = {
            sc.OPERATION: sc.INVOKE_WORKFLOW,
            sc.WORKFLOW_NAME: strategy,
            sc.RUN_ID: run_id,
            sc.RUN_MODEL: model,
        }
        if conversation and self._recorder.labels:
            attributes[sc.CONVERSATION] = attributes[sc.SESSION_ID] = self._recorder.content.label(
                conversation
            )
        span = self._recorder.start_in(parent, f"{sc.INVOKE_WORKFLOW} {strategy}", attributes)
        if question:
            self.set_question(span, question)
        return span

    def set_question(self, span: Span, question: str) -> None:
        """Record the question of a run, where it is not known at its start."""
        if span.is_recording():
            if self._recorder.labels:
                self._recorder.content.local(span, sc.RUN_LABEL, question)
            self._recorder.content.text(span, sc.RUN_QUESTION, question)
            self._recorder.content.message(span, sc.INPUT_MESSAGES, "user", question)

    def end(self, span: Span, result: Result[Any]) -> None:
        """End the root: the run is over."""
        if self._recorder.metrics is not None:
            labels = {sc.WORKFLOW_NAME: result.strategy, sc.RUN_STATUS: result.status}
            self._recorder.metrics.run_seconds.record(result.metrics.wall_seconds, labels)
        if not span.is_recording():
            return
        span.set_attributes(of_result(result))
        for decision in result.decision_log[:MAX_OUTCOMES]:
            span.add_event(sc.EVENT_OUTCOME, of_outcome(decision))
        if result.notes:
            span.set_attribute(
                sc.RUN_NOTES, [self._recorder.content.error(note) for note in result.notes[:32]]
            )
        if result.sources:
            span.set_attribute(
                sc.RUN_SOURCES, [self._recorder.content.error(str(s)) for s in result.sources[:64]]
            )
        if result.decision is not None and (
            result.decision.by != "planner" or self._recorder.content.capture
        ):
            span.set_attribute(
                sc.DECISION_REASON,
                self._recorder.content.label(self._recorder.content.error(result.decision.reason)),
            )
        if result.answer:
            self._recorder.content.text(span, sc.RUN_ANSWER, result.answer)
            self._recorder.content.message(span, sc.OUTPUT_MESSAGES, "assistant", result.answer)
        if result.error is not None:
            if result.error.type == RunCancelled.__name__:
                span.set_attributes({sc.TASK_STATE: "cancelled", sc.CANCEL_REASON: "user"})
            else:
                self._recorder.failed(span, None, kind=result.error.type, message=result.error.message)
        span.end()


def of_result(result: Result[object]) -> Attributes:
    """Return a run's sums and measures."""
    metrics = result.metrics
    attributes = of_usage(result.usage)
    attributes[sc.RUN_STATUS] = result.status
    attributes[sc.THREADS] = metrics.threads
    attributes[sc.THREADS_CANCELLED] = metrics.cancelled_threads
    attributes[sc.MAX_IN_FLIGHT] = metrics.max_in_flight
    attributes[sc.CONFLICT_COUNT] = len(result.conflicts)
    attributes[sc.CRITICAL_TOKENS] = metrics.critical_path_tokens
    attributes[sc.CRITICAL_SECONDS] = metrics.critical_path_seconds
    if result.verified is not None:
        attributes[sc.RUN_VERIFIED] = result.verified
    if metrics.queue_seconds:
        attributes[sc.QUEUE_WAIT_MS] = round(metrics.queue_seconds * 1000, 3)
    if path := critical_threads(result.threads):
        attributes[sc.CRITICAL_PATH] = tuple(path)
    if result.decision is not None:
        attributes[sc.DECISION_PARALLEL] = result.decision.parallel
        attributes[sc.DECISION_BY] = result.decision.by
        if result.decision.forecast is not None:
            attributes |= of_forecast(result.decision.forecast)
    return attributes
