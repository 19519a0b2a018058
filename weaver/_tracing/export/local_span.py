"""Spans for the local store: a tenth of the SDK's cost, and next to a program's own spans.

A program that has set up OpenTelemetry gets its spans as before: each local span has the program's own
span inside and shares its ids.
"""

from __future__ import annotations

import random
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

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

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.sampling import Sampler

_ids = random.Random()  # not the module's own, which a program may have seeded
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_DECLINED = TraceFlags(TraceFlags.DEFAULT)


class Sink(Protocol):
    """Takes the spans of runs. Must not block.

    Attributes:
        takes_declined: whether it wants those of traces that the sampler declined.
    """

    takes_declined: bool

    def begin(self, root: SpanRecord) -> None:
        """Take the root of a run that has begun."""
        ...

    def end(self, span: LocalSpan) -> None:
        """Take a span that has ended; its ``record`` may be called later, in any thread."""
        ...


class LocalSpan(ParentSpan):
    """One span that is kept on this machine, or sent from it.

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
        context: SpanContext,
        parent: SpanContext,
        is_local_only: bool,
        kind: SpanKind,
        attributes: Mapping[str, AttributeValue],
        links: Sequence[Link],
        start_ns: int,
    ) -> None:
        self.inner = inner
        self.attributes = dict(attributes)
        self._tracer = tracer
        self.name = name
        self.kind = kind
        self.links = links
        self.events: Sequence[EventRecord] = ()
        self.status = "unset"
        self.status_text = ""
        self.start_ns = start_ns
        self.end_ns: int | None = None
        self.context = context
        self.is_local_only = is_local_only
        self.parent = parent if parent.is_valid else None

    def get_span_context(self) -> SpanContext:
        return self.context

    def is_recording(self) -> bool:
        return self.end_ns is None

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
        if not isinstance(self.events, list):  # most spans have none
            self.events = []
        self.events.append(event)
        if self.inner.is_recording():
            self.inner.add_event(name, attributes, timestamp)

    def add_link(self, context: SpanContext, attributes: Any = None) -> None:
        if not isinstance(self.links, list):
            self.links = list(self.links)
        self.links.append(Link(context, attributes))
        if self.inner.is_recording():
            self.inner.add_link(context, attributes)

    def update_name(self, name: str) -> None:
        self.name = name
        self.inner.update_name(name)

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        code = status.status_code if isinstance(status, Status) else status
        text = status.description if isinstance(status, Status) else description
        self.status, self.status_text = code.name.lower(), text or ""
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
        if self.end_ns is None:
            self.end_ns = end_time or time.time_ns()
            if self.inner.is_recording():
                self.inner.end(end_time)
            self._tracer.sink.end(self)

    def record(self) -> SpanRecord:
        """This span as plain data."""
        return SpanRecord(
            trace_id=f"{self.context.trace_id:032x}",
            span_id=f"{self.context.span_id:016x}",
            parent_id=f"{self.parent.span_id:016x}" if self.parent is not None else None,
            name=self.name,
            start_ns=self.start_ns,
            end_ns=self.end_ns,
            kind=self.kind.name.lower(),
            status=self.status,
            status_text=self.status_text,
            attributes=self.attributes,
            events=self.events,
            links=[
                LinkRecord(f"{c.trace_id:032x}", f"{c.span_id:016x}", dict(link.attributes or {}))
                for link in self.links
                for c in (link.context,)
            ],
        )


class LocalTracer(Tracer):
    """Begins local spans, around those of the program's own tracer.

    Args:
        inner: the program's own tracer.
        sampler: decides for the root of a trace where there is no such tracer: whether its spans are sent.
    """

    def __init__(self, sink: Sink, inner: Tracer, sampler: Sampler | None = None) -> None:
        self.sink = sink
        self._inner = inner
        self._sampler = sampler

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
        attributes, links = attributes or dict[str, Any](), links or ()
        inner: Span = trace.INVALID_SPAN
        is_local_only = self._sampler is None
        if isinstance(above, LocalSpan) and not above.inner.is_recording():
            # Declined, or there is no other tracer: nobody is asked again.
            inner, own, is_local_only = above.inner, _below(parent), above.is_local_only
        elif self._sampler is not None:
            trace_id = parent.trace_id if parent.is_valid else _ids.getrandbits(128)
            answer = self._sampler.should_sample(context, trace_id, name, kind, attributes, links)
            flags = _SAMPLED if answer.decision.name == "RECORD_AND_SAMPLE" else _DECLINED
            own = SpanContext(trace_id, _ids.getrandbits(64), False, flags, answer.trace_state)
            if flags is _DECLINED and not self.sink.takes_declined:
                return trace.NonRecordingSpan(own)
            attributes = {**attributes, **answer.attributes}  # pyright: ignore[reportUnknownMemberType]
        else:
            inner = self._inner.start_span(
                name, context, kind, attributes, links, start_time, record_exception, set_status_on_exception
            )
            own = inner.get_span_context()
            if not isinstance(above, LocalSpan) and not inner.is_recording() and own == parent:
                inner = trace.INVALID_SPAN  # a tracer without a provider gives back the parent
                own = inner.get_span_context()
            is_local_only = not own.is_valid
            if is_local_only:
                trace_id = parent.trace_id if parent.is_valid else _ids.getrandbits(128)
                own = SpanContext(trace_id, _ids.getrandbits(64), is_remote=False, trace_flags=_SAMPLED)
            elif not inner.is_recording():  # the program's sampler declined it: its decision travels on
                own = _below(own)
        span = LocalSpan(
            self,
            inner,
            name,
            context=own,
            parent=parent,
            is_local_only=is_local_only,
            kind=kind,
            attributes=attributes,
            links=links,
            start_ns=start_time or time.time_ns(),
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
            return self.start_span(name, trace.set_span_in_context(above), kind, attributes, links)
        return LocalSpan(
            self,
            above.inner,
            name,
            context=_below(above.context),
            parent=above.context,
            is_local_only=above.is_local_only,
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


def _below(parent: SpanContext) -> SpanContext:
    """Return the context of a new span in the same trace, with the same decision of the sampler."""
    own_id = _ids.getrandbits(64)
    return SpanContext(parent.trace_id, own_id, False, parent.trace_flags, parent.trace_state)


class LocalProvider(TracerProvider):
    """Makes tracers of local spans.

    Args:
        sink: where spans go.
        inner: the program's own provider; None takes the global one, whenever it is set.
        sampler: as of `LocalTracer`; with one, ``inner`` is not asked.
    """

    def __init__(
        self, sink: Sink, inner: TracerProvider | None = None, *, sampler: Sampler | None = None
    ) -> None:
        self._sink = sink
        self._own = inner
        self._sampler = sampler

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
        return LocalTracer(self._sink, inner, self._sampler)
