"""Spans as OTLP in protobuf, encoded by hand, which takes a tenth of the time of the protobuf library.

Most attributes of a run's spans are the same in all of them: what they encode to is remembered. The numbers
are those of ``opentelemetry/proto/trace/v1/trace.proto``; a test compares the bytes with the SDK's encoder.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from opentelemetry.trace import SpanContext, SpanKind

from weaver._json_reading.json_types import JsonLike
from weaver._tracing.export.local_span import LocalSpan

MAX_EVENTS = 128
MAX_LINKS = 4096
MAX_REMEMBERED = 4096
SHORT = 64
"""Most characters of a text whose encoding is remembered."""
_MAX_INT = 2**63
_KINDS = {kind: bytes((0x30, kind.value + 1)) for kind in SpanKind}
_STATUS = {"unset": b"", "ok": b"\x18\x01", "error": b"\x18\x02"}
# Flags of a span's parent or of a link: 0x100 says that it is known whether that is remote, 0x200 that it is.
_FLAGS = {remote: struct.pack("<I", 0x100 | (0x200 if remote else 0)) for remote in (False, True)}
_TIMES = struct.Struct("<cQcQ").pack
_DOUBLE = struct.Struct("<d").pack


def resource_of(attributes: Mapping[str, Any], schema_url: str) -> tuple[bytes, bytes]:
    """Return the parts of a request's resource that stand before and after its spans."""
    resource = _field(b"\x0a", _attributes(b"\x0a", attributes))
    return resource, _field(b"\x1a", schema_url.encode()) if schema_url else b""


def scope_of(name: str, version: str, schema_url: str) -> tuple[bytes, bytes]:
    """Return the parts of the instrumentation's scope that stand before and after its spans."""
    scope = _field(b"\x0a", name.encode()) + _field(b"\x12", version.encode())
    return _field(b"\x0a", scope), _field(b"\x1a", schema_url.encode())


def request_of(
    spans: Iterable[LocalSpan], resource: tuple[bytes, bytes], scope: tuple[bytes, bytes]
) -> bytes:
    """Return the bytes of an ``ExportTraceServiceRequest``, given `resource_of` and `scope_of`."""
    body = b"".join([scope[0], *(_field(b"\x12", _span(span)) for span in spans), scope[1]])
    return _field(b"\x0a", resource[0] + _field(b"\x12", body) + resource[1])


def _span(span: LocalSpan) -> bytes:
    context, parent = span.context, span.parent
    parts = [_ids(context)]
    if context.trace_state:
        parts.append(_field(b"\x1a", context.trace_state.to_header().encode()))
    if parent is not None:
        parts += (b"\x22\x08", parent.span_id.to_bytes(8, "big"))
    parts += (
        _field(b"\x2a", _bytes(span.name)),
        _KINDS[span.kind],
        _TIMES(b"\x39", span.start_ns, b"\x41", span.end_ns or span.start_ns),
        _attributes(b"\x4a", span.attributes),
    )
    if span.events:
        for event in span.events[-MAX_EVENTS:]:
            at = b"\x09" + event.at_ns.to_bytes(8, "little")
            body = at + _field(b"\x12", _bytes(event.name)) + _attributes(b"\x1a", event.attributes)
            parts.append(_field(b"\x5a", body))
        parts.append(_dropped(b"\x60", span.events, MAX_EVENTS))
    if span.links:
        for link in span.links[-MAX_LINKS:]:
            parts.append(_field(b"\x6a", _link(link.context, link.attributes or {})))
        parts.append(_dropped(b"\x70", span.links, MAX_LINKS))
    text = _field(b"\x12", _bytes(span.status_text)) if span.status_text else b""
    is_remote = parent is not None and parent.is_remote
    parts += (_field(b"\x7a", text + _STATUS[span.status]), b"\x85\x01", _FLAGS[is_remote])
    return b"".join(parts)


def _link(context: SpanContext, attributes: Mapping[str, Any]) -> bytes:
    return _ids(context) + _attributes(b"\x22", attributes) + b"\x35" + _FLAGS[context.is_remote]


def _ids(context: SpanContext) -> bytes:
    trace_id, span_id = context.trace_id.to_bytes(16, "big"), context.span_id.to_bytes(8, "big")
    return b"".join((b"\x0a\x10", trace_id, b"\x12\x08", span_id))


def _dropped(tag: bytes, items: Sequence[object], limit: int) -> bytes:
    return tag + _varint(len(items) - limit) if len(items) > limit else b""


_remembered: dict[tuple[bytes, str, type, Any], bytes] = {}


def _attributes(tag: bytes, attributes: Mapping[str, Any]) -> bytes:
    """Return attributes, each as a field ``tag`` with a ``KeyValue``."""
    parts: list[bytes] = []
    for key, value in attributes.items():
        kind = type(value)  # pyright: ignore[reportUnknownVariableType]
        if kind is bool or kind is int or (kind is str and len(value) <= SHORT):
            known = (tag, key, kind, value)
            pair = _remembered.get(known)
            if pair is None:
                if len(_remembered) >= MAX_REMEMBERED:
                    _remembered.clear()
                pair = _remembered[known] = _pair(tag, key, value)
            parts.append(pair)
        else:
            parts.append(_pair(tag, key, value))
    return b"".join(parts)


def _pair(tag: bytes, key: str, value: Any) -> bytes:
    return _field(tag, _field(b"\x0a", _bytes(key)) + _field(b"\x12", _value(value)))


def _value(value: JsonLike) -> bytes:
    """Return an ``AnyValue``."""
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, int) and -_MAX_INT <= value < _MAX_INT:
        return b"\x18" + _varint(value if value >= 0 else value + 2 * _MAX_INT)
    if isinstance(value, float):
        return b"\x21" + _DOUBLE(value)
    if isinstance(value, (list, tuple)):
        return _field(b"\x2a", b"".join([_field(b"\x0a", _value(item)) for item in value]))
    return _field(b"\x0a", _bytes(str(value)))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _field(tag: bytes, body: bytes) -> bytes:
    size = len(body)
    return tag + (_SIZES[size] if size < 128 else _varint(size)) + body


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    parts.append(number)
    return bytes(parts)


_SIZES = tuple(bytes([size]) for size in range(128))
