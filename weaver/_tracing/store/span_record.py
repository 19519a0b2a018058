"""A span as plain data: what the local store keeps and what the views draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from weaver._tracing.record import semconv as sc

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan


@dataclass(frozen=True, slots=True)
class EventRecord:
    """Something that happened at ``at_ns`` (Unix time)."""

    name: str
    at_ns: int
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LinkRecord:
    """A link to another span."""

    trace_id: str
    span_id: str
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SpanRecord:
    """One span. Ids are hex, times are Unix nanoseconds; ``end_ns`` is None while it is open.

    Attributes:
        kind: ``internal``, ``client``, ...
        status: ``unset``, ``ok`` or ``error``; ``status_text`` says more about an error.
    """

    trace_id: str
    span_id: str
    parent_id: str | None
    name: str
    start_ns: int
    end_ns: int | None = None
    kind: str = "internal"
    status: str = "unset"
    status_text: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    events: Sequence[EventRecord] = ()
    links: Sequence[LinkRecord] = ()

    @property
    def operation(self) -> str:
        """The span's operation (``chat``, ``join``, ...), or "" for a span that is not weaver's."""
        return str(self.attributes.get(sc.OPERATION, ""))


def record_of(span: ReadableSpan) -> SpanRecord:
    """A span of the SDK as plain data; it may still be open."""
    context = span.get_span_context()
    return SpanRecord(
        trace_id=f"{context.trace_id:032x}" if context else "",
        span_id=f"{context.span_id:016x}" if context else "",
        parent_id=f"{span.parent.span_id:016x}" if span.parent else None,
        name=span.name,
        start_ns=span.start_time or 0,
        end_ns=span.end_time,
        kind=span.kind.name.lower(),
        status=span.status.status_code.name.lower(),
        status_text=span.status.description or "",
        attributes=dict(span.attributes or {}),
        events=[EventRecord(e.name, e.timestamp, dict(e.attributes or {})) for e in span.events],
        links=[
            LinkRecord(f"{k.context.trace_id:032x}", f"{k.context.span_id:016x}", dict(k.attributes or {}))
            for k in span.links
        ],
    )
