"""Usage and cost of a result are exactly those of its model-call spans, whatever happened to the calls."""

from __future__ import annotations

import json
import math

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from weaver import Weaver
from weaver._models.layers.retry import Retrying
from weaver._models.protocol import Prices
from weaver.errors import RateLimitError, ServerError, StreamInterruptedError
from weaver.testing import Scripted, ScriptedModel, virtual_time

pytestmark = pytest.mark.anyio
PLAN = {
    "parallel": True,
    "subtasks": [{"id": n, "prompt": f"part {n}"} for n in ("good", "busy", "breaks", "dies")],
}


@pytest.fixture
def anyio_backend():
    return virtual_time()


async def test_usage_and_cost_are_the_sum_over_call_spans():
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    model = ScriptedModel(
        [
            Scripted(json.dumps(PLAN), when="You decide how", times=1),
            Scripted('{"parallel": false, "subtasks": []}', when="You decide how"),
            Scripted("merged", when="Several workers"),
            Scripted("found it", when="part good"),
            Scripted(when="part busy", times=2, error=RateLimitError("429.", retry_after=1)),
            Scripted("found at last", when="part busy"),
            Scripted("a b c d", when="part breaks", error=StreamInterruptedError("cut."), error_after=2),
            Scripted(when="part dies", error=ServerError("500.")),
            Scripted("w " * 100, each=1),
        ],
        prices=Prices(input=0.37, output=1.13, cached=0.1),
    )
    weaver = Weaver(Retrying(model), strategy="adaptive:hedge=false", tracer_provider=provider)
    result = await weaver.run(
        "Explain how a bicycle stays upright and why it matters for the front fork of it"
    )

    calls = [s.attributes for s in exporter.get_finished_spans() if s.name.startswith("chat ")]
    assert result.usage.calls == len(calls)
    assert result.usage.input_tokens == sum(c["gen_ai.usage.input_tokens"] for c in calls)
    assert result.usage.output_tokens == sum(c["gen_ai.usage.output_tokens"] for c in calls)
    assert result.usage.cost_usd == math.fsum(c["gen_ai.usage.cost.amount"] for c in calls)
    ended = [s for s in exporter.get_finished_spans() if s.name.startswith("chat ")]
    assert sum(s.status.status_code is StatusCode.ERROR for s in ended) == 3, "two cuts and one 500"
    assert sum("weaver.cancel.reason" in s.attributes for s in ended) >= 1
    assert len(model.requests) > len(calls), "retries belong to one call"
    assert result.status == "partial"
