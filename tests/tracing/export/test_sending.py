"""Local spans sent by OTLP: they mean the same as the SDK's, and samplers decide the same."""

from __future__ import annotations

import random
from importlib.metadata import version
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from tests.tracing.export.collector import Collector
from weaver import Weaver
from weaver._tracing.export import local_span
from weaver._tracing.export.local_span import LocalProvider, LocalSpan
from weaver._tracing.export.otlp_bytes import request_of, resource_of, scope_of
from weaver._tracing.export.setup import Telemetry, configure
from weaver.testing import ScriptedModel

SDK = tuple(map(int, version("opentelemetry-sdk").split(".")[:2]))

TEXTS = st.text(max_size=100)
VALUES = (
    TEXTS
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.lists(TEXTS, max_size=3).map(tuple)
    | st.lists(st.integers(0, 5), max_size=3).map(tuple)
)
ATTRIBUTES = st.dictionaries(st.text(min_size=1, max_size=20), VALUES, max_size=6)
TIMES = st.integers(1, 2**63)
CONTEXTS = st.builds(
    SpanContext,
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.booleans(),
    st.just(TraceFlags(1)),
    st.sampled_from([TraceState(), TraceState([("vendor", "x"), ("other", "y")])]),
)
SPANS = st.fixed_dictionaries(
    {
        "name": TEXTS,
        "kind": st.sampled_from(list(SpanKind)),
        "attributes": ATTRIBUTES,
        "parent": st.none() | CONTEXTS,
        "start": TIMES,
        "end": TIMES,
        "events": st.lists(st.tuples(st.text(min_size=1, max_size=20), ATTRIBUTES, TIMES), max_size=4),
        "links": st.lists(st.tuples(CONTEXTS, ATTRIBUTES), max_size=4),
        "status": st.none() | st.tuples(st.sampled_from([StatusCode.OK, StatusCode.ERROR]), TEXTS),
    }
)


class Ended(list[LocalSpan]):
    """Takes local spans."""

    takes_declined = False

    def begin(self, root: Any) -> None:
        pass

    def end(self, span: LocalSpan) -> None:
        self.append(span)


class Ids(IdGenerator):
    """The ids that local spans get."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def generate_trace_id(self) -> int:
        return self._random.getrandbits(128)

    def generate_span_id(self) -> int:
        return self._random.getrandbits(64)


def make(tracer: trace.Tracer, about: dict[str, Any]) -> None:
    """A span as ``about`` says."""
    parent = about["parent"]
    context = trace.set_span_in_context(trace.NonRecordingSpan(parent)) if parent else trace.Context()
    links = [Link(context, attributes) for context, attributes in about["links"]]
    span = tracer.start_span(
        about["name"], context, about["kind"], about["attributes"], links, about["start"]
    )
    for name, attributes, at in about["events"]:
        span.add_event(name, attributes, at)
    if about["status"] is not None:
        code, text = about["status"]
        span.set_status(Status(code, text if code is StatusCode.ERROR else None))
    span.end(about["end"])


def both(abouts: list[dict[str, Any]]) -> tuple[Any, Any]:
    """The same spans by the SDK and by weaver, as requests."""
    resource = Resource({"service.name": "weaver", "n": 3}, "https://resource")
    provider = TracerProvider(resource=resource, id_generator=Ids(1), span_limits=SpanLimits(max_links=4096))
    exporter, ended = InMemorySpanExporter(), Ended()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    local_span._ids.seed(1)
    local = LocalProvider(ended, sampler=provider.sampler)
    for about in abouts:
        make(provider.get_tracer("weaver", "1.0", schema_url="https://schema"), about)
        make(local.get_tracer("weaver", "1.0", schema_url="https://schema"), about)
    local_span._ids.seed()
    own = request_of(
        ended,
        resource_of(resource.attributes, resource.schema_url),
        scope_of("weaver", "1.0", "https://schema"),
    )
    return encode_spans(exporter.get_finished_spans()), ExportTraceServiceRequest.FromString(own)


@given(st.lists(SPANS, min_size=1, max_size=3))
def test_spans_are_encoded_as_the_sdk_does(abouts: list[dict[str, Any]]) -> None:
    theirs, own = both(abouts)

    assert own == theirs


def test_more_events_and_links_than_the_sdk_keeps() -> None:
    other = SpanContext(1, 2, is_remote=False)
    about = {
        "name": "span", "kind": SpanKind.CLIENT, "attributes": {}, "parent": None, "start": 1, "end": 2,
        "status": None, "events": [("event", {"n": n}, n + 1) for n in range(300)],
        "links": [(other, {"n": n}) for n in range(4200)],
    }  # fmt: skip
    theirs, own = both([about])

    assert own == theirs
    [span] = own.resource_spans[0].scope_spans[0].spans
    assert (span.dropped_events_count, span.dropped_links_count) == (172, 104)


def test_values_that_are_equal_in_python_keep_their_types() -> None:
    about = {
        "name": "span", "kind": SpanKind.INTERNAL, "parent": None, "start": 1, "end": 2, "status": None,
        "events": [], "links": [],
    }  # fmt: skip
    theirs, own = both([{**about, "attributes": {"a": value}} for value in (True, 1, 1.0, "1")])

    assert own == theirs


def test_lone_surrogates_are_replaced() -> None:
    ended = Ended()
    LocalProvider(ended, sampler=TracerProvider().sampler).get_tracer("t").start_span(
        "a\ud800", attributes={"key": "b\ud800"}
    ).end()
    request = ExportTraceServiceRequest.FromString(request_of(ended, (b"", b""), (b"", b"")))
    [span] = request.resource_spans[0].scope_spans[0].spans

    assert (span.name, span.attributes[0].value.string_value) == ("a?", "b?")


# Set up by the environment


async def run(telemetry: Telemetry) -> None:
    with telemetry:
        model = ScriptedModel(["one", "two"])
        await Weaver(model, strategy="sequential", tracing=telemetry.tracing).run("What now?")


@pytest.mark.skipif(SDK < (1, 45), reason="older exporters have no client apart, and get the SDK's own spans")
@pytest.mark.anyio
async def test_an_endpoint_gets_local_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    with Collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        telemetry = configure()
        assert telemetry.direct is not None  # the SDK that is installed can send them
        await run(telemetry)

    assert collector.spans
    assert telemetry.notes == []
    assert collector.resource["service.name"] == "weaver"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "2"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "10"),
        ("OTEL_TRACES_EXPORTER", "otlp,console"),
    ],
)
@pytest.mark.anyio
async def test_the_sdks_own_spans_are_made_where_only_they_do_what_is_wanted(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    with Collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv(variable, value)
        telemetry = configure()
        assert telemetry.direct is None
        await run(telemetry)

    assert collector.spans


@pytest.mark.parametrize(
    ("sampler", "argument", "are_sent"),
    [
        ("always_on", "", True),
        ("always_off", "", False),
        ("traceidratio", "0.0", False),
        ("parentbased_traceidratio", "1.0", True),
    ],
)
@pytest.mark.parametrize("store", ["on", "off"])
@pytest.mark.anyio
async def test_the_sampler_decides_what_is_sent_and_not_what_is_kept(
    monkeypatch: pytest.MonkeyPatch, sampler: str, argument: str, store: str, are_sent: bool
) -> None:
    with Collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
        monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", argument)
        monkeypatch.setenv("WEAVER_TRACE_STORE", store)
        telemetry = configure()
        await run(telemetry)

    assert bool(collector.bodies) is are_sent
    assert telemetry.notes == []
    if telemetry.store is not None:
        assert telemetry.store.store.spans(telemetry.store.store.find())


@pytest.mark.anyio
async def test_a_parent_that_was_not_sampled_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    with Collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("TRACEPARENT", f"00-{'ab' * 16}-{'cd' * 8}-00")
        telemetry = configure()
        await run(telemetry)

    assert collector.bodies == []


@pytest.mark.anyio
async def test_requests_carry_the_trace_that_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    with Collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("TRACEPARENT", f"00-{'ab' * 16}-{'cd' * 8}-01")
        monkeypatch.setenv("TRACESTATE", "vendor=x")
        with configure() as telemetry:
            root = telemetry.tracing.runs.start(run_id="r", strategy="s", model="m", question="q")
            step = telemetry.tracing.steps.start(root, "look")
            headers = telemetry.tracing.headers(step)
            step.end()
            root.end()

    context = step.get_span_context()
    assert headers == {"traceparent": f"00-{'ab' * 16}-{context.span_id:016x}-01", "tracestate": "vendor=x"}
    assert {span.trace_state for span in collector.spans} == {"vendor=x"}
    assert len(collector.spans) == 2
