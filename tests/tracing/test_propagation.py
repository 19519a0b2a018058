"""Trace context in requests, by OpenTelemetry's propagators."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.propagate import get_global_textmap, set_global_textmap
from opentelemetry.propagators.textmap import TextMapPropagator

from tests.tracing.stories import Spans, planning_model
from weaver import Weaver
from weaver.testing import virtual_time

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


class Short(TextMapPropagator):
    """Trace context in one header of its own."""

    def inject(self, carrier: Any, context: Any = None, setter: Any = None) -> None:
        carrier["x-short"] = f"{trace.get_current_span(context).get_span_context().span_id:016x}"

    def extract(self, carrier: Any, context: Any = None, getter: Any = None) -> Any:
        return context

    @property
    def fields(self) -> set[str]:
        return {"x-short"}


@pytest.fixture
def short() -> Iterator[None]:
    before = get_global_textmap()
    set_global_textmap(Short())
    yield
    set_global_textmap(before)


async def test_requests_carry_the_formats_that_the_program_has_chosen(short: None, spans: Spans) -> None:
    model = planning_model()
    await Weaver(model, tracer_provider=spans.provider).run("Compare.")

    assert all("traceparent" not in r.request.headers for r in model.requests)
    sent = {r.request.headers["x-short"] for r in model.requests}
    assert sent == {f"{s.context.span_id:016x}" for s in spans.of("chat")}


SCRIPT = """
import logging
from opentelemetry.sdk.trace import TracerProvider
from weaver import Weaver
from weaver.testing import ScriptedModel
logging.basicConfig()
model = ScriptedModel("fine")
Weaver(model, strategy="sequential", tracer_provider=TracerProvider()).run_sync("Well?")
print(model.requests[0].request.headers)
"""


def test_a_propagator_that_is_not_installed_is_replaced_with_a_warning() -> None:
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={"OTEL_PROPAGATORS": "nosuch", "PATH": "", "HOME": "/nonexistent", "WEAVER_TRACE_STORE": "off"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert "'traceparent': '00-" in process.stdout
    assert "OTEL_PROPAGATORS cannot be used: Propagator nosuch not found" in process.stderr
    assert "Traceback" not in process.stderr
