"""Local spans on their way to a collector, around the SDK's spans, which cost ten times as much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import SpanExportResult

from weaver._tracing.export.local_span import LocalSpan
from weaver._tracing.export.otlp_bytes import request_of, resource_of, scope_of
from weaver._tracing.record import semconv as sc

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan

    from weaver._tracing.export.otlp_exporter import Delivery
    from weaver._tracing.export.store_writer import StoreWriter
    from weaver._tracing.store.span_record import SpanRecord

# Variables that only the SDK's own spans obey.
_SDK_ONLY = ("_ATTRIBUTE_VALUE_LENGTH_LIMIT", "_COUNT_LIMIT", "OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED")


def exporter_of(endpoint: str, resource: Resource, environ: Mapping[str, str]) -> LocalSpanExporter | None:
    """Return an exporter of local spans, or None where only the SDK's own spans do what is wanted.

    That is where a variable limits what a span holds, and with an SDK that sends in another way.
    """
    if any(name.endswith(_SDK_ONLY) and value.strip() for name, value in environ.items()):
        return None
    exporter = LocalSpanExporter(endpoint, resource)
    return exporter if hasattr(exporter, "_client") else None


class LocalSpanExporter(OTLPSpanExporter):
    """The SDK's exporter, with its settings, connections and retries, for local spans.

    Args:
        endpoint: full URL.
        resource: what sends.
    """

    def __init__(self, endpoint: str, resource: Resource) -> None:
        super().__init__(endpoint=endpoint)
        from weaver import __version__

        self._head = resource_of(resource.attributes, resource.schema_url)
        self._scope = scope_of(sc.SCOPE, __version__, sc.SCHEMA_URL)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send `LocalSpan`s; the SDK's batches know no type for them."""
        if self._shutdown:
            return SpanExportResult.FAILURE
        body = request_of(cast("Sequence[LocalSpan]", spans), self._head, self._scope)
        return SpanExportResult.SUCCESS if self._client.export(body).success else SpanExportResult.FAILURE


class Sending:
    """Hands spans to a delivery, and to the local store as well where there is one."""

    def __init__(self, delivery: Delivery, store: StoreWriter | None) -> None:
        self._delivery = delivery
        self._store = store
        self.takes_declined = store is not None

    def begin(self, root: SpanRecord) -> None:
        """Announce a run to the store."""
        if self._store is not None:
            self._store.begin(root)

    def end(self, span: LocalSpan) -> None:
        """Queue an ended span."""
        if self._store is not None:
            self._store.end(span)
        self._delivery.on_end(cast("Any", span))
