"""Spans as OTLP in JSON: what the local store keeps, and what Jaeger's upload button and collectors read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from math import isfinite, isnan
from typing import Any

from weaver._json_reading.json_types import JsonLike
from weaver._tracing.record import semconv as sc
from weaver._tracing.store.span_record import EventRecord, LinkRecord, SpanRecord

_KINDS = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}
_STATUS = {"unset": 0, "ok": 1, "error": 2}
_quote = json.JSONEncoder().encode
_KIND_NAMES = {number: name for name, number in _KINDS.items()}
_STATUS_NAMES = {number: name for name, number in _STATUS.items()}


def export_request(spans: Sequence[SpanRecord], *, service: str = "weaver") -> str:
    """Return an ``ExportTraceServiceRequest`` as JSON: one line of an OTLP file."""
    from weaver import __version__

    scope = f'{{"name":"{sc.SCOPE}","version":"{__version__}"}}'
    return (
        f'{{"resourceSpans":[{{"resource":{{"attributes":{_attributes({"service.name": service})}}},'
        f'"scopeSpans":[{{"scope":{scope},"schemaUrl":"{sc.SCHEMA_URL}",'
        f'"spans":[{",".join(map(span_to_otlp, spans))}]}}]}}]}}'
    )


def span_to_otlp(span: SpanRecord) -> str:
    """Return a span as JSON text. Times and integers are strings, as OTLP wants 64-bit numbers in JSON.

    Tuples become lists; an open span has no end.
    """
    # Written as text: `json.dumps` of a dictionary for each attribute takes almost five times as long.
    text = (
        f'{{"traceId":"{span.trace_id}","spanId":"{span.span_id}","name":{_quote(span.name)},'
        f'"kind":{_KINDS.get(span.kind, 1)},"startTimeUnixNano":"{span.start_ns}"'
    )
    if span.parent_id:
        text += f',"parentSpanId":"{span.parent_id}"'
    if span.end_ns is not None:
        text += f',"endTimeUnixNano":"{span.end_ns}"'
    text += f',"attributes":{_attributes(span.attributes)}'
    if span.status != "unset":
        text += f',"status":{{"code":{_STATUS.get(span.status, 0)},"message":{_quote(span.status_text)}}}'
    if span.events:
        events = (
            f'{{"name":{_quote(e.name)},"timeUnixNano":"{e.at_ns}","attributes":{_attributes(e.attributes)}}}'
            for e in span.events
        )
        text += f',"events":[{",".join(events)}]'
    if span.links:
        links = (
            f'{{"traceId":"{k.trace_id}","spanId":"{k.span_id}","attributes":{_attributes(k.attributes)}}}'
            for k in span.links
        )
        text += f',"links":[{",".join(links)}]'
    return text + "}"


def span_from_otlp(value: Mapping[str, Any]) -> SpanRecord:
    """Return the span that `span_to_otlp`, or another program, wrote.

    Raises:
        KeyError, ValueError, TypeError: it is not a span in OTLP's JSON.
    """
    status = value.get("status", {})
    end = int(value.get("endTimeUnixNano", 0))
    return SpanRecord(
        trace_id=value["traceId"],
        span_id=value["spanId"],
        parent_id=value.get("parentSpanId") or None,
        name=value["name"],
        start_ns=int(value["startTimeUnixNano"]),
        end_ns=end or None,
        kind=_KIND_NAMES.get(value.get("kind", 1), "internal"),
        status=_STATUS_NAMES.get(status.get("code", 0), "unset"),
        status_text=status.get("message", ""),
        attributes=_from_attributes(value.get("attributes", ())),
        events=[
            EventRecord(e["name"], int(e["timeUnixNano"]), _from_attributes(e.get("attributes", ())))
            for e in value.get("events", ())
        ],
        links=[
            LinkRecord(k["traceId"], k["spanId"], _from_attributes(k.get("attributes", ())))
            for k in value.get("links", ())
        ],
    )


def _attributes(attributes: Mapping[str, Any]) -> str:
    return f"[{','.join([f'{_key(key)}{_value(value)}}}' for key, value in attributes.items()])}]"


@lru_cache(maxsize=512)
def _key(key: str) -> str:
    return f'{{"key":{_quote(key)},"value":'


def _value(value: JsonLike) -> str:
    if isinstance(value, str):
        return f'{{"stringValue":{_quote(value)}}}'
    if isinstance(value, bool):
        return '{"boolValue":true}' if value else '{"boolValue":false}'
    if isinstance(value, int):
        return f'{{"intValue":"{value}"}}'
    if isinstance(value, float):
        # Not `repr`, which subclasses change.
        return f'{{"doubleValue":{float.__repr__(value) if isfinite(value) else _non_finite(value)}}}'
    if isinstance(value, (list, tuple)):
        return f'{{"arrayValue":{{"values":[{",".join(map(_value, value))}]}}}}'
    return f'{{"stringValue":{_quote(str(value))}}}'


def _non_finite(value: float) -> str:
    """Return the name that JSON of protobuf has for a number that JSON has none for."""
    return '"NaN"' if isnan(value) else '"Infinity"' if value > 0 else '"-Infinity"'


def _from_attributes(attributes: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {item["key"]: _from_value(item["value"]) for item in attributes}


def _from_value(value: Mapping[str, Any]) -> Any:
    for name, content in value.items():
        match name:
            case "intValue":
                return int(content)
            case "doubleValue":
                return float(content)
            case "arrayValue":
                return [_from_value(v) for v in content.get("values", ())]
            case "kvlistValue":
                return _from_attributes(content.get("values", ()))
            case _:  # strings, booleans, and bytes in base64
                return content
    return None
