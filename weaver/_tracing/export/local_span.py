"""Spans for the local store: a tenth of the SDK's cost, and next to a program's own spans.

A program that has set up OpenTelemetry gets its spans as before: each local span has the program's own
span inside and shares its ids.
"""

from __future__ import annotations

import random
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    TracerProvider,
)
from opentelemetry.util.types import AttributeValue

from weaver._tracing.record import semconv as sc
from weaver._tracing.record.recorder import ParentSpan
from weaver._tracing.store.span_record import EventRecord, LinkRecord, SpanRecord

_ids = random.Random()  # not the module's own, which a program may have seeded
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class Sink(Protocol):
    """Takes the spans of runs. Must not block."""

    def begin(self, root: SpanRecord) -> None:
        """Take the root of a run that has begun."""
        ...

    def end(self, span: LocalSpan) -> None:
        """Take a span that has ended; its ``record`` may be called later, in any thread."""
        ...


class LocalSpan(ParentSpan):
    """One span that is kept on this machine.

    Attributes:
        inner: the program's own span, which gets everything too; not recording where there is none.
        attributes: as they were set last.
        is_local_only: whether the trace is known on this machine alone.
    """

    def __init__(
        self,
        tracer: LocalTracer,
        inner: Span,
        name: str,
        *,
        parent: SpanContext,
        kind: SpanKind,
        attributes: Mapping[str, AttributeValue],
        links: Sequence[Link],
        start_ns: int,
    ) -> None:
        self.inner = inner
        self.attributes = dict(attributes)
        self._tracer = tracer
        self._name = name
        self._kind = kind
        self._links = links
        self._events: Sequence[EventRecord] = ()
        self._status = "unset"
        self._status_text = ""
        self._start_ns = start_ns
        self._end_ns: int | None = None
        context = inner.get_span_context()
        self.is_local_only = not context.is_valid
        if self.is_local_only:
            trace_id = parent.trace_id if parent.is_valid else _ids.getrandbits(128)
            context = SpanContext(trace_id, _ids.getrandbits(64), is_remote=False, trace_flags=_SAMPLED)
        elif not inner.is_recording():  # the program's sampler declined it: its decision travels on
            own_id = _ids.getrandbits(64)
            context = SpanContext(context.trace_id, own_id, False, context.trace_flags, context.trace_state)
        self._context = context
        self._parent = parent if parent.is_valid else None

    def get_span_context(self) -> SpanContext:
        return self._context

    def is_recording(self) -> bool:
        return self._end_ns is None

    def start_child(
        self, name: str, *, kind: SpanKind, attributes: Mapping[str, AttributeValue], links: Sequence[Link]
    ) -> Span:
        """Begin a span below this one, as `LocalTracer.start_span` does in a context that has this one."""
        return self._tracer.start_below(self, name, kind=kind, attributes=attributes, links=links)

    def set_attribute(self, key: str, value: Any) -> None:
        self.attributes[key] = value
        if self.inner.is_recording():
            self.inner.set_attribute(key, value)

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        self.attributes.update(attributes)
        if self.inner.is_recording():
            self.inner.set_attributes(attributes)

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        event = EventRecord(name, timestamp or time.time_ns(), attributes or {})
        if not isinstance(self._events, list):  # most spans have none
            self._events = []
        self._events.append(event)
        if self.inner.is_recording():
            self.inner.add_event(name, attributes, timestamp)

    def add_link(self, context: SpanContext, attributes: Any = None) -> None:
        if not isinstance(self._links, list):
            self._links = list(self._links)
        self._links.append(Link(context, attributes))
        if self.inner.is_recording():
            self.inner.add_link(context, attributes)

    def update_name(self, name: str) -> None:
        self._name = name
        self.inner.update_name(name)

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        code = status.status_code if isinstance(status, Status) else status
        text = status.description if isinstance(status, Status) else description
        self._status, self._status_text = code.name.lower(), text or ""
        if self.inner.is_recording():
            self.inner.set_status(status, description)

    def record_exception(
        self,
        exception: BaseException,
        attributes: Any = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        self.inner.record_exception(exception, attributes, timestamp, escaped)

    def end(self, end_time: int | None = None) -> None:
        if self._end_ns is None:
            self._end_ns = end_time or time.time_ns()
            if self.inner.is_recording():
                self.inner.end(end_time)
            self._tracer.sink.end(self)

    def record(self) -> SpanRecord:
        """This span as plain data."""
        return SpanRecord(
            trace_id=f"{self._context.trace_id:032x}",
            span_id=f"{self._context.span_id:016x}",
            parent_id=f"{self._parent.span_id:016x}" if self._parent is not None else None,
            name=self._name,
            start_ns=self._start_ns,
            end_ns=self._end_ns,
            kind=self._kind.name.lower(),
            status=self._status,
            status_text=self._status_text,
            attributes=self.attributes,
            events=self._events,
            links=[
                LinkRecord(f"{c.trace_id:032x}", f"{c.span_id:016x}", dict(link.attributes or {}))
                for link in self._links
                for c in (link.context,)
            ],
        )


class LocalTracer(Tracer):
    """Begins local spans, around those of the program's own tracer."""

    def __init__(self, sink: Sink, inner: Tracer) -> None:
        self.sink = sink
        self._inner = inner

    def start_span(  # noqa: PLR0917 - as in the API
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Any = None,
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> Span:
        above = trace.get_current_span(context)
        parent = above.get_span_context()
        if isinstance(above, LocalSpan) and not above.inner.is_recording():
            inner = above.inner  # declined, or there is none: nobody is asked again
        else:
            inner = self._inner.start_span(
                name, context, kind, attributes, links, start_time, record_exception, set_status_on_exception
            )
        if (
            not isinstance(above, LocalSpan)
            and not inner.is_recording()
            and inner.get_span_context() == parent
        ):
            inner = trace.INVALID_SPAN  # a tracer without a provider gives back the parent
        begin = start_time or time.time_ns()
        span = LocalSpan(
            self,
            inner,
            name,
            parent=parent,
            kind=kind,
            attributes=attributes or {},
            links=links or (),
            start_ns=begin,
        )
        if sc.RUN_ID in span.attributes:
            self.sink.begin(span.record())
        return span

    def start_below(
        self,
        above: LocalSpan,
        name: str,
        *,
        kind: SpanKind,
        attributes: Mapping[str, AttributeValue],
        links: Sequence[Link],
    ) -> Span:
        """Begin a span below ``above`` that is not the root of a run."""
        if above.inner.is_recording():
            context = trace.set_span_in_context(above)
            return self.start_span(name, context, kind, attributes, links)
        return LocalSpan(
            self,
            above.inner,
            name,
            parent=above.get_span_context(),
            kind=kind,
            attributes=attributes,
            links=links,
            start_ns=time.time_ns(),
        )

    @contextmanager
    def start_as_current_span(  # type: ignore[override]  # a context manager here, an agnostic one in the API
        self, name: str, context: Context | None = None, **options: Any
    ) -> Generator[Span]:
        span = self.start_span(name, context, **options)
        token = otel_context.attach(trace.set_span_in_context(span))
        try:
            yield span
        finally:
            otel_context.detach(token)
            span.end()


class LocalProvider(TracerProvider):
    """Makes tracers of local spans.

    Args:
        sink: where spans go.
        inner: the program's own provider; None takes the global one, whenever it is set.
    """

    def __init__(self, sink: Sink, inner: TracerProvider | None = None) -> None:
        self._sink = sink
        self._own = inner

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Any = None,
    ) -> Tracer:
        inner = trace.get_tracer(
            instrumenting_module_name, instrumenting_library_version, self._own, schema_url, attributes
        )
        return LocalTracer(self._sink, inner)
