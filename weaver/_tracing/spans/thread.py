"""The span of a thread."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import Span
from opentelemetry.util.types import AttributeValue

from weaver._tracing.record import semconv as sc
from weaver._tracing.record.kind import Kind
from weaver._tracing.record.recorder import Spans, declined
from weaver._tracing.spans.usage import Attributes, of_usage

if TYPE_CHECKING:
    from weaver._data.result import ThreadReport


def _label(_name: str, attributes: Mapping[str, Any]) -> str:
    task_id, title = str(attributes.get(sc.TASK_ID, "?")), str(attributes.get(sc.TASK_TITLE, ""))
    return title if _is_made_of(task_id, title) else f"{task_id}  {title}".rstrip()


def _is_made_of(task_id: str, title: str) -> bool:
    """Return whether the id of a thread says no more than the title that it was made of."""
    return bool(task_id) and re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") == task_id


THREAD = Kind("thread", (sc.INVOKE_AGENT,), _label)


class ThreadSpans(Spans):
    """Begins and ends the span of a reasoning thread."""

    __slots__ = ()

    def start(
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
        """Begin a thread's span. ``agent`` names it and has few values; ``id`` and ``title`` have many.

        Args:
            prompt: what it works on; content.
        """
        if declined(parent):
            return parent
        agent = agent or "thread"
        attributes: dict[str, AttributeValue] = {
            sc.OPERATION: sc.INVOKE_AGENT,
            sc.AGENT_NAME: agent,
            sc.TASK_ID: id,
            sc.TASK_DEPTH: depth,
        }
        if title and self._recorder.labels:
            attributes[sc.TASK_TITLE] = self._recorder.content.label(title)
        if depends_on:
            attributes[sc.DEPENDS_ON] = tuple(depends_on)
        span = self._recorder.start(parent, f"{sc.INVOKE_AGENT} {agent}", attributes)
        if span.is_recording():
            self._recorder.content.message(span, sc.INPUT_MESSAGES, "user", prompt)
        return span

    def end(self, span: Span, report: ThreadReport, error: BaseException | None = None) -> None:
        """End it in the thread's final state. ``error`` gives a failure its type."""
        if self._recorder.metrics is not None:
            labels: dict[str, str] = {sc.TASK_STATE: report.state}
            if report.cancel_reason is not None:
                labels[sc.CANCEL_REASON] = report.cancel_reason
            self._recorder.metrics.threads.add(1, labels)
            self._recorder.metrics.thread_seconds.record(report.seconds, {sc.TASK_STATE: report.state})
        if not span.is_recording():
            return
        span.set_attributes(of_report(report))
        if report.answer:
            self._recorder.content.text(span, sc.TASK_ANSWER, report.answer)
            self._recorder.content.message(span, sc.OUTPUT_MESSAGES, "assistant", report.answer)
        if report.state in ("failed", "timed_out"):
            self._recorder.failed(span, error, kind=report.state, message=report.error or "")
        span.end()


def of_report(report: ThreadReport) -> Attributes:
    """Return how a thread ended."""
    attributes: Attributes = {sc.TASK_STATE: report.state, sc.TASK_ATTEMPT: report.attempts}
    attributes.update(of_usage(report.usage))
    if report.cancel_reason is not None:
        attributes[sc.CANCEL_REASON] = report.cancel_reason
    return attributes
