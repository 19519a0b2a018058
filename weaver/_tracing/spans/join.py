"""The span of a join, with links to the threads that it waits for."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.trace import Link, Span
from opentelemetry.util.types import AttributeValue

from weaver._tracing.record import semconv as sc
from weaver._tracing.record.kind import Kind
from weaver._tracing.record.recorder import Spans, declined, stem

MAX_IDS = 4096
"""Most ids in one attribute; the links are all there as far as the provider's limits allow."""


def _label(_name: str, attributes: Mapping[str, Any]) -> str:
    return f"join {attributes.get(sc.JOIN_POLICY, '')}".rstrip()


JOIN = Kind("join", (sc.JOIN,), _label)


class JoinSpans(Spans):
    """Begins and ends the span of a join."""

    __slots__ = ()

    def start(
        self, parent: Span, *, rule: str, threads: Sequence[tuple[str, Span]], needed: int | None
    ) -> Span:
        """Begin to wait for threads, with a link to each. The link carries the id, and so does the span."""
        if declined(parent):
            return parent
        attributes: dict[str, AttributeValue] = {
            sc.OPERATION: sc.JOIN,
            sc.JOIN_POLICY: rule,
            sc.DEPENDS_ON: tuple(name for name, _ in threads[:MAX_IDS]),
        }
        if needed is not None:
            attributes[sc.JOIN_NEEDED] = needed
        links = [Link(span.get_span_context(), {sc.TASK_ID: name}) for name, span in threads]
        return self._recorder.start(parent, f"{sc.JOIN} {stem(rule)}", attributes, links=links)

    def end(
        self,
        span: Span,
        *,
        received: Sequence[str] | int,
        reason: str | None = None,
        later: Sequence[tuple[str, Span]] = (),
    ) -> None:
        """End a join that is settled.

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
            known: Mapping[str, Any] = getattr(span, "attributes", None) or {}
            before = known.get(sc.DEPENDS_ON, ())
            attributes[sc.DEPENDS_ON] = tuple(itertools.islice((*before, *(n for n, _ in later)), MAX_IDS))
        if isinstance(received, int):
            attributes[sc.JOIN_RECEIVED] = received
        else:
            attributes[sc.JOIN_RECEIVED] = len(received)
            attributes[sc.JOIN_RECEIVED_IDS] = tuple(received[:MAX_IDS])
        span.set_attributes(attributes)
        span.end()
