"""Spans as OTLP in JSON, and back."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import pytest

from weaver._tracing.store.otlp_json import export_request, span_from_otlp, span_to_otlp
from weaver._tracing.store.span_record import EventRecord, LinkRecord, SpanRecord

ROOT = SpanRecord("ab" * 16, "cd" * 8, None, "run", 1_700_000_000_000_000_001)
VALUES: dict[str, Any] = {
    "text": "ü\x00\ud800",
    "empty": "",
    "yes": True,
    "no": False,
    "zero": 0,
    "large": 2**63 - 1,
    "negative": -1,
    "number": 0.1,
    "whole": 2.0,
    "words": ["a", "b"],
    "numbers": [1, 2],
    "none": [],
}


def not_json(name: str) -> None:
    raise ValueError(name)


def again(span: SpanRecord) -> SpanRecord:
    return span_from_otlp(json.loads(span_to_otlp(span), parse_constant=not_json))


def test_a_span_comes_back_as_it_was() -> None:
    span = SpanRecord(
        ROOT.trace_id, "01" * 8, ROOT.span_id, "chat m", ROOT.start_ns, ROOT.start_ns + 7, "client", "error",
        "no", VALUES, [EventRecord("e", 3, VALUES)], [LinkRecord("12" * 16, "34" * 8, VALUES)],
    )  # fmt: skip

    assert again(span) == span
    assert {k: type(v) for k, v in again(span).attributes.items()} == {k: type(v) for k, v in VALUES.items()}


def test_subclasses_are_written_as_what_they_are() -> None:
    class Number(float):
        def __repr__(self) -> str:
            return "Number(0.5)"

    span = replace(ROOT, attributes={"n": Number(0.5), "status": HTTPStatus.OK})

    assert again(span).attributes == {"n": 0.5, "status": 200}


def test_an_open_span_stays_open() -> None:
    assert again(ROOT) == replace(ROOT, events=[], links=[])
    assert "endTimeUnixNano" not in span_to_otlp(ROOT)


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_numbers_that_json_does_not_have(number: float) -> None:
    span = SpanRecord("t", "s", None, "x", 1, 2, attributes={"n": number})

    assert str(again(span).attributes["n"]) == str(number)


def test_what_other_programs_write_is_read() -> None:
    span = span_from_otlp(
        {
            "traceId": "t",
            "spanId": "s",
            "parentSpanId": "",
            "name": "GET",
            "kind": 99,
            "startTimeUnixNano": 5,
            "endTimeUnixNano": "0",
            "flags": 257,
            "status": {},
            "attributes": [
                {
                    "key": "map",
                    "value": {"kvlistValue": {"values": [{"key": "a", "value": {"intValue": 1}}]}},
                },
                {"key": "list", "value": {"arrayValue": {}}},
                {"key": "nothing", "value": {}},
            ],
        }
    )

    assert (span.parent_id, span.kind, span.status, span.start_ns, span.end_ns) == (
        None, "internal", "unset", 5, None,
    )  # fmt: skip
    assert span.attributes == {"map": {"a": 1}, "list": [], "nothing": None}


def test_protobuf_reads_what_is_written() -> None:
    """The field names and types are those of OTLP's own definition."""
    json_format = pytest.importorskip("google.protobuf.json_format")
    service = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
    text = {**VALUES, "text": "ü"}
    span = SpanRecord("00" * 15 + "ab", "00" * 7 + "cd", None, "x", 1, 2, "client", "error", "no", text)
    # Protobuf's own JSON has bytes in base64, where OTLP has hexadecimal ids.
    written = export_request([span]).replace(span.trace_id, "AA==").replace(span.span_id, "AQ==")
    request = json_format.ParseDict(json.loads(written), service.ExportTraceServiceRequest())
    [message] = request.resource_spans[0].scope_spans[0].spans

    assert (message.name, message.kind, message.status.code, message.end_time_unix_nano) == ("x", 3, 2, 2)
    assert {a.key: a.value.WhichOneof("value") for a in message.attributes}["large"] == "int_value"
