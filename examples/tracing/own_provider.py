"""A program with a trace of its own: weaver's spans hang under the caller's, in the same provider.

    pip install "weaver-reasoning[otlp]"
    OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 python examples/tracing/own_provider.py "What is 2 + 2?"

Without a collector, set OTEL_TRACES_EXPORTER=console to see the spans.
"""

from __future__ import annotations

import asyncio
import os
import sys

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter

from weaver import Weaver


def exporter() -> SpanExporter:
    """Where this program sends its spans."""
    if os.environ.get("OTEL_TRACES_EXPORTER") == "console":
        return ConsoleSpanExporter()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


async def main(question: str) -> None:
    # A join links to every thread it waited for: allow more than the SDK's 128 links for wide runs.
    provider = TracerProvider(
        resource=Resource.create({"service.name": "my-program"}), span_limits=SpanLimits(max_links=4096)
    )
    provider.add_span_processor(BatchSpanProcessor(exporter()))
    tracer = provider.get_tracer("my-program")
    weaver = Weaver(tracer_provider=provider)  # or set the provider globally, and give weaver none
    with tracer.start_as_current_span("answer a customer"):
        result = await weaver.run(question)
    print(result.answer)
    print(f"trace {result.trace_id}", file=sys.stderr)
    provider.shutdown()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "What is the capital of Japan?"))
