"""Spans as OTLP in JSON, the form that Jaeger's upload button and collectors read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from weaver._tracing.record import semconv as sc
from weaver._tracing.store.span_record import SpanRecord

_KINDS = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}
_STATUS = {"unset": 0, "ok": 1, "error": 2}


def otlp_json(spans: Sequence[SpanRecord], *, service: str = "weaver") -> dict[str, Any]:
    """An ``ExportTraceServiceRequest`` as JSON; times are strings, as OTLP wants 64-bit numbers."""
    from weaver import __version__

    return {
        "resourceSpans": [
            {
                "resource": {"attributes": _attributes({"service.name": service})},
                "scopeSpans": [
                    {
                        "scope": {"name": sc.SCOPE, "version": __version__},
                        "schemaUrl": sc.SCHEMA_URL,
                        "spans": [_span(span) for span in spans],
                    }
                ],
            }
        ]
    }


def _span(span: SpanRecord) -> dict[str, Any]:
    record: dict[str, Any] = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "name": span.name,
        "kind": _KINDS.get(span.kind, 1),
        "startTimeUnixNano": str(span.start_ns),
        "endTimeUnixNano": str(span.end_ns or span.start_ns),
        "attributes": _attributes(span.attributes),
        "status": {"code": _STATUS.get(span.status, 0), "message": span.status_text},
    }
    if span.parent_id:
        record["parentSpanId"] = span.parent_id
    if span.events:
        record["events"] = [
            {"name": e.name, "timeUnixNano": str(e.at_ns), "attributes": _attributes(e.attributes)}
            for e in span.events
        ]
    if span.links:
        record["links"] = [
            {"traceId": k.trace_id, "spanId": k.span_id, "attributes": _attributes(k.attributes)}
            for k in span.links
        ]
    return record


def _attributes(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in attributes.items()]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, (list, tuple)):
        return {"arrayValue": {"values": [_value(v) for v in value]}}
    return {"stringValue": str(value)}
