"""Tracing for a whole process, as the ``weaver`` command sets it up. Nothing global is set.

A program that has a `TracerProvider` of its own needs none of this: weaver uses the global one, or
``Weaver(tracing=Tracing(provider))``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextvars import Token
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from weaver._environment import plugins
from weaver._tracing.record.content import labels_wanted
from weaver._tracing.store.retention import Retention, store_wanted
from weaver._tracing.tracer import Tracing

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

    from weaver._tracing.export.otlp_exporter import Delivery, Overheard
    from weaver._tracing.export.store_writer import StoreWriter

EXPORTERS = "opentelemetry_traces_exporter"
"""The SDK's own entry points of exporters, for other names in OTEL_TRACES_EXPORTER."""
SERVICE = "weaver"
PIP = 'pip install "weaver-reasoning[otlp]"'
MAX_LINKS = 4096
_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_SAMPLERS = "opentelemetry.sdk.trace.sampling"


class Telemetry:
    """What `configure` set up. Use it as a context manager, or call `shutdown` at the end.

    Inside the block, a ``TRACEPARENT`` (and ``TRACESTATE``) of the environment is the current context, so
    that a run hangs under the trace of the program that started it.

    Attributes:
        tracing: to be given to `Weaver`.
        notes: what the user should know: an exporter that is missing, a setting that is not understood.
        store: keeps runs locally, or None.
        environ: the environment that it was set up from.
        deliveries: what sends spans to an exporter, one for each.
        direct: the delivery that takes weaver's own spans without the SDK's, or None.
        provider, meters: of the SDK, where something is exported; else None.
        overheard: what exporters log while this is open, or None.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.tracing = Tracing.off()
        self.notes: list[str] = []
        self.store: StoreWriter | None = None
        self._is_shut_down = False
        self.environ = environ
        self.deliveries: list[Delivery] = []
        self.direct: Delivery | None = None  # takes local spans, none of the SDK's
        self.provider: TracerProvider | None = None
        self.meters: MeterProvider | None = None
        self.overheard: Overheard | None = None
        self._token: Token[Context] | None = None

    def __enter__(self) -> Telemetry:
        carrier = {k: v for k in ("traceparent", "tracestate") if (v := self.environ.get(k.upper()))}
        if carrier:
            self._token = otel_context.attach(TraceContextTextMapPropagator().extract(carrier))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()
        if self._token is not None:
            otel_context.detach(self._token)
            self._token = None

    def flush(self, seconds: float) -> bool:
        """Write what the local store has not got yet. False when that takes longer than ``seconds``."""
        return self.store is None or self.store.flush(seconds)

    def shutdown(self) -> None:
        """Deliver what is left. Ends soon whatever the collector does; what was lost is in `notes`, once."""
        if self._is_shut_down:
            return
        self._is_shut_down = True
        if self.provider is not None:
            self.provider.shutdown()
        if self.store is not None:
            self.store.shutdown()
        if self.meters is not None:
            self._deliver_metrics(self.meters)
        for delivery in self.deliveries:
            if delivery.dropped:
                where = f" to {_shown(delivery.endpoint)}" if delivery.endpoint else ""
                why = delivery.trouble or (self.overheard.first if self.overheard else "")
                message = f"{delivery.dropped:,} of {delivery.ended:,} spans were not sent{where}"
                self.notes.append(f"{message}: {_shown(why)[:200]}." if why else f"{message}.")
        if self.store is not None and self.store.trouble:
            self.notes.append(f"{self.store.dropped:,} spans were not kept locally: {self.store.trouble}")
        if self.overheard is not None and not any(d.dropped for d in self.deliveries):
            self.overheard.end()  # otherwise an exporter may still complain, from its thread

    def _deliver_metrics(self, meters: MeterProvider) -> None:
        from weaver._tracing.export.otlp_exporter import STALLED_SECONDS, reachable, within

        endpoint = _endpoint(self.environ, "METRICS")
        message = f"Metrics were not sent to {_shown(endpoint)}"
        if "otlp" in _wanted(self.environ, "METRICS") and not reachable(endpoint):
            self.notes.append(f"{message}: nothing answers there.")
        elif not within(STALLED_SECONDS, meters.shutdown):
            self.notes.append(f"{message}: it does not answer in time.")


def configure(
    environ: Mapping[str, str] | None = None, *, processors: tuple[SpanProcessor, ...] = ()
) -> Telemetry:
    """Set tracing up as the environment says. Nothing global is touched.

    Spans are sent by OTLP over HTTP when ``OTEL_EXPORTER_OTLP_ENDPOINT``,
    ``OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`` or ``OTEL_TRACES_EXPORTER=otlp`` is set; metrics when
    ``OTEL_METRICS_EXPORTER=otlp`` or ``OTEL_EXPORTER_OTLP_METRICS_ENDPOINT`` is. Runs are kept in the local
    store unless ``WEAVER_TRACE_STORE=off``. ``OTEL_SDK_DISABLED=true`` switches everything off.

    Args:
        environ: for tests; the OpenTelemetry SDK itself always reads the process's environment.
        processors: further span processors, for example a live view.

    Raises:
        ConfigurationError: a setting of weaver's own is wrong.
    """
    environ = os.environ if environ is None else environ
    telemetry = Telemetry(environ)
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return telemetry
    keep = Retention.from_environment(environ)
    wanted_exporter = _wanted(environ, "TRACES")
    metrics = _wanted(environ, "METRICS")
    store = store_wanted(environ)
    if not (wanted_exporter or metrics or store or processors):
        return telemetry

    if store:
        from weaver._tracing.export.store_writer import StoreWriter
        from weaver._tracing.store.sqlite import Store

        telemetry.store = StoreWriter(Store(environ=environ), keep=keep)
    provider: Any = (
        _provider(telemetry, wanted_exporter, processors)
        if wanted_exporter or metrics or processors
        else None
    )
    if telemetry.direct is not None:
        from weaver._tracing.export.local_span import LocalProvider
        from weaver._tracing.export.sending import Sending

        sink = Sending(telemetry.direct, telemetry.store)
        provider = LocalProvider(sink, sampler=provider.sampler)
    elif telemetry.store is not None:
        from weaver._tracing.export.local_span import LocalProvider

        provider = LocalProvider(telemetry.store, provider)
    telemetry.tracing = Tracing(
        provider,
        telemetry.meters or _no_meters(),
        labels=labels_wanted(environ),
        texts=telemetry.store,
    )
    return telemetry


def _provider(
    telemetry: Telemetry, wanted: list[str], processors: tuple[SpanProcessor, ...]
) -> TracerProvider:
    """A provider of the SDK with ``processors`` and with the exporters that are ``wanted``."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanLimits, TracerProvider

    from weaver import __version__
    from weaver._tracing.export.otlp_exporter import Overheard

    environ = telemetry.environ
    telemetry.overheard = Overheard()
    telemetry.overheard.begin()
    named = "OTEL_SERVICE_NAME" in environ or "service.name=" in environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    about = {"service.version": __version__} | ({} if named else {"service.name": SERVICE})
    resource = Resource.create(about)
    links = None if "OTEL_SPAN_LINK_COUNT_LIMIT" in environ else MAX_LINKS
    provider = TracerProvider(
        resource=resource, span_limits=SpanLimits(max_links=links), shutdown_on_exit=False
    )
    telemetry.provider = provider
    for processor in processors:
        provider.add_span_processor(processor)
    # Samplers of the SDK decide for a whole trace at its root; others may look at each span.
    is_direct = wanted == ["otlp"] and not processors and type(provider.sampler).__module__ == _SAMPLERS
    for name in wanted:
        delivery = _delivery(name, environ, telemetry.notes, resource if is_direct else None)
        if delivery is not None:
            telemetry.deliveries.append(delivery)
            if delivery.takes_local_spans:
                telemetry.direct = delivery
            provider.add_span_processor(delivery)
    telemetry.meters = _meters(environ, resource, telemetry.notes)
    return provider


def _wanted(environ: Mapping[str, str], signal: str) -> list[str]:
    """Names of exporters for ``TRACES`` or ``METRICS``."""
    named = environ.get(f"OTEL_{signal}_EXPORTER", "").strip().lower()
    if named:
        return [n for part in named.split(",") if (n := part.strip()) and n != "none"]
    own = environ.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT", "").strip()
    # Jaeger takes no metrics, and an endpoint alone usually means Jaeger: metrics are asked for by name.
    general = environ.get(_ENDPOINT, "").strip() if signal == "TRACES" else ""
    return ["otlp"] if own or general else []


def _delivery(
    name: str, environ: Mapping[str, str], notes: list[str], resource: Resource | None
) -> Delivery | None:
    """Return where an exporter's spans go; with ``resource`` these are local spans if that can be."""
    from weaver._tracing.export.otlp_exporter import QUEUE, Delivery

    queue = None if "OTEL_BSP_MAX_QUEUE_SIZE" in environ else QUEUE
    if name == "console":
        import sys

        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return Delivery(ConsoleSpanExporter(out=sys.stderr), queue=queue)
    if (point := plugins.installed(EXPORTERS).get(name)) is not None and name != "otlp":
        with plugins.code_of(point, "trace exporter", "cannot be started"):
            return Delivery(plugins.load(point, "trace exporter")(), queue=queue)
    if not _can_send(name, environ, "TRACES", notes):
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    from weaver._tracing.export.sending import exporter_of

    endpoint = _endpoint(environ, "TRACES")
    local = exporter_of(endpoint, resource, environ) if resource is not None else None
    exporter = local or OTLPSpanExporter(endpoint=endpoint)
    return Delivery(exporter, endpoint=endpoint, queue=queue, takes_local_spans=local is not None)


def _meters(environ: Mapping[str, str], resource: Any, notes: list[str]) -> MeterProvider | None:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import (
        ConsoleMetricExporter,
        MetricReader,
        PeriodicExportingMetricReader,
    )

    readers: list[MetricReader] = []
    for name in _wanted(environ, "METRICS"):
        if name == "console":
            import sys

            readers.append(PeriodicExportingMetricReader(ConsoleMetricExporter(out=sys.stderr)))
        elif _can_send(name, environ, "METRICS", notes):
            from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

            exporter = OTLPMetricExporter(endpoint=_endpoint(environ, "METRICS"))
            readers.append(PeriodicExportingMetricReader(exporter))
    return MeterProvider(readers, resource=resource, shutdown_on_exit=False) if readers else None


def _no_meters() -> Any:
    from opentelemetry.metrics import NoOpMeterProvider

    return NoOpMeterProvider()


def _can_send(name: str, environ: Mapping[str, str], signal: str, notes: list[str]) -> bool:
    """Return True if the exporter ``name`` is known and installed; a note says why not."""
    label = signal.lower()
    if name != "otlp":
        notes.append(
            f"OTEL_{signal}_EXPORTER: there is no exporter {name!r} here; known: otlp, console, none."
        )
        return False
    if find_spec("opentelemetry.exporter.otlp.proto.http") is None:
        notes.append(f"No {label} are sent: the OTLP exporter is not installed. Get it with: {PIP}")
        return False
    protocol = environ.get(f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL") or environ.get(
        "OTEL_EXPORTER_OTLP_PROTOCOL"
    )
    if protocol and protocol.strip() != "http/protobuf":
        notes.append(
            f"{signal.capitalize()} are sent as http/protobuf; {protocol.strip()!r} is not supported."
        )
    if (port := _port(_endpoint(environ, signal))) == 4317:
        notes.append(f"Port {port} is usually OTLP over gRPC; over HTTP it is 4318.")
    return True


def _endpoint(environ: Mapping[str, str], signal: str) -> str:
    if own := environ.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT", "").strip():
        return own
    base = environ.get(_ENDPOINT, "").strip() or "http://localhost:4318"
    return f"{base.rstrip('/')}/v1/{signal.lower()}"


def _port(endpoint: str) -> int | None:
    from urllib.parse import urlsplit

    try:
        return urlsplit(endpoint).port
    except ValueError:
        return None


def _shown(endpoint: str) -> str:
    from weaver._tracing.record.redact import Redactor

    return Redactor()(endpoint)
