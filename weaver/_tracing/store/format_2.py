"""Reads the spans of stores of format 2, which had JSON of another form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weaver._tracing.store.span_record import EventRecord, LinkRecord, SpanRecord


def span_from_format_2(value: Mapping[str, Any]) -> SpanRecord:
    """Return a span of a store of format 2."""
    return SpanRecord(
        trace_id=value["trace"],
        span_id=value["id"],
        parent_id=value["parent"],
        name=value["name"],
        start_ns=value["start"],
        end_ns=value["end"],
        kind=value["kind"],
        status=value["status"],
        status_text=value.get("status_text", ""),
        attributes=value["attributes"],
        events=[EventRecord(*event) for event in value.get("events", ())],
        links=[LinkRecord(*link) for link in value.get("links", ())],
    )
