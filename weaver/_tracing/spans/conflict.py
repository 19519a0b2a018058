"""The span of a conflict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import Span
from opentelemetry.util.types import AttributeValue

from weaver._tracing.record import semconv as sc
from weaver._tracing.record.kind import Kind
from weaver._tracing.record.messages import dumps
from weaver._tracing.record.recorder import Spans, declined
from weaver._tracing.spans.usage import Attributes

if TYPE_CHECKING:
    from weaver._data.result import Conflict


def _label(_name: str, attributes: Mapping[str, Any]) -> str:
    subject, attribute = attributes.get(sc.CONFLICT_SUBJECT, ""), attributes.get(sc.CONFLICT_ATTRIBUTE, "")
    return "conflict: " + (" / ".join(x for x in (subject, attribute) if x) or "answers")


CONFLICT = Kind("conflict", (sc.CONFLICT,), _label)


class ConflictSpans(Spans):
    """Begins and ends the span in which a conflict is settled."""

    __slots__ = ()

    def start(self, parent: Span, *, subject: str, attribute: str, threads: Sequence[str] = ()) -> Span:
        """Begin to settle one conflict."""
        if declined(parent):
            return parent
        attributes: dict[str, AttributeValue] = {
            sc.OPERATION: sc.CONFLICT,
            sc.CONFLICT_THREADS: tuple(threads),
        }
        if self._recorder.labels:
            attributes[sc.CONFLICT_SUBJECT] = self._recorder.content.label(subject)
            attributes[sc.CONFLICT_ATTRIBUTE] = self._recorder.content.label(attribute)
        return self._recorder.start(parent, sc.CONFLICT, attributes)

    def end(self, span: Span, conflict: Conflict) -> None:
        """End it: the conflict was settled, or stays open."""
        if self._recorder.metrics is not None:
            policy = conflict.resolution.policy if conflict.resolution else "unresolved"
            self._recorder.metrics.conflicts.add(1, {sc.CONFLICT_STRATEGY: policy})
        if not span.is_recording():
            return
        span.set_attributes(of_conflict(conflict))
        if self._recorder.content.is_wanted:
            values = [
                {"value": v.value, "threads": v.threads, "confidence": v.confidence} for v in conflict.values
            ]
            self._recorder.content.text(span, sc.CONFLICT_VALUES, dumps(values))
            if conflict.resolution is not None:
                self._recorder.content.text(span, sc.CONFLICT_VALUE, conflict.resolution.value)
                self._recorder.content.text(span, sc.CONFLICT_EVIDENCE, conflict.resolution.evidence)
        span.end()


def of_conflict(conflict: Conflict) -> Attributes:
    """Return how a conflict went: who disagreed, which policy settled it, and for whom; no values."""
    threads = dict.fromkeys(t for v in conflict.values for t in v.threads)
    attributes: Attributes = {
        sc.CONFLICT_THREADS: tuple(threads),
        sc.CONFLICT_COUNT: len(conflict.values),
        sc.CONFLICT_RESOLVED: conflict.resolution is not None,
    }
    if conflict.resolution is not None:
        chosen = conflict.resolution.value
        attributes[sc.CONFLICT_STRATEGY] = conflict.resolution.policy
        attributes[sc.CONFLICT_WINNERS] = tuple(
            t for v in conflict.values if v.value == chosen for t in v.threads
        )
    return attributes
