"""Runs as a real Jaeger shows them: OTLP in, its query API out."""

from __future__ import annotations

import json
import urllib.request
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.tracing.export.jaeger import BINARY, Jaeger, jaeger
from tests.tracing.stories import MARK, planning_model, quorum_story
from weaver import Answer, Task, Weaver
from weaver._data.result import Conflict, ConflictValue, Resolution
from weaver._tracing.export.setup import configure
from weaver._tracing.record import semconv as sc
from weaver._tracing.store.otlp_json import export_request
from weaver._tracing.store.sqlite import Store
from weaver.errors import ServerError
from weaver.testing import Scripted, ScriptedModel

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.heavy,
    pytest.mark.skipif(not BINARY.exists(), reason=f"no Jaeger at {BINARY}"),
]

BRANCHES, LEAVES = 8, 16


@pytest.fixture(scope="module")
def server() -> Iterator[Jaeger]:
    with jaeger() as running:
        yield running


@pytest.fixture
def _sent(server: Jaeger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.otlp)


async def tree(run: Any, task: Task, **_: Any) -> Answer:
    """Branches that fork again; leaves fail here and there, one branch loses a race, two threads disagree."""

    async def branch(run: Any, task: Task) -> Answer:
        asked = [Task(prompt="fail" if i % 8 == 3 else "answer", title=f"leaf {i}") for i in range(LEAVES)]
        async with run.fork(asked, name="leaf") as leaves:
            await leaves.join()
        return Answer("done")

    tasks = [Task(prompt="branch", title=f"branch {i}") for i in range(BRANCHES)]
    async with run.fork(tasks, body=branch, name="b") as branches:
        await branches.join()
    async with run.fork([Task(prompt="quick"), Task(prompt="slow")], name="race") as racers:
        async for racer in racers.as_finished():
            racers.cancel("lost_race")
            if racer.state == "succeeded":
                break
    context = run.context
    tracing = context.state.tracing
    conflict = tracing.conflicts.start(
        context.span, subject="Paris", attribute="people", threads=("b1", "b2")
    )
    values = (ConflictValue("2", ("b1",)), ConflictValue("3", ("b2",)))
    tracing.conflicts.end(conflict, Conflict("Paris", "people", values, Resolution("evidence", "2")))
    return Answer("all done")


def model() -> ScriptedModel:
    return ScriptedModel(
        [
            Scripted(when="fail", error=ServerError("HTTP 500")),
            Scripted("late", when="slow", first=30),
            Scripted("fine"),
        ]
    )


def tags(span: dict[str, Any]) -> dict[str, Any]:
    return {t["key"]: t["value"] for t in span["tags"]}


def parent(span: dict[str, Any]) -> str | None:
    found = [r["spanID"] for r in span["references"] if r["refType"] == "CHILD_OF"]
    assert len(found) <= 1
    return found[0] if found else None


@pytest.mark.usefixtures("_sent")
async def test_a_large_tree_comes_back_whole_and_is_found_by_its_tags(server: Jaeger) -> None:
    telemetry = configure()
    with telemetry:
        weaver = Weaver(model(), strategy=tree, tracing=telemetry.tracing)
        result = await weaver.run("q", max_threads=1000)
    assert telemetry.notes == []
    assert len(result.threads) == BRANCHES * (LEAVES + 1) + 2 > 100

    kept = Store().spans(Store().find(result.run_id))
    trace = server.trace(result.trace_id, spans=len(kept))
    spans = {s["spanID"]: s for s in trace["spans"]}
    # Every span, each under the parent that it had here.
    assert {i: (s["operationName"], parent(s)) for i, s in spans.items()} == {
        s.span_id: (s.name, s.parent_id) for s in kept
    }
    assert [s["operationName"] for s in spans.values() if parent(s) is None] == ["invoke_workflow tree"]
    assert all(parent(s) in spans for s in spans.values() if parent(s) is not None)
    assert not any(s["warnings"] for s in spans.values())

    threads = [s for s in spans.values() if tags(s)[sc.OPERATION] == "invoke_agent"]
    states = Counter(tags(s)[sc.TASK_STATE] for s in threads)
    assert states == Counter(t.state for t in result.threads)
    assert states["failed"] == 16
    assert states["cancelled"] == 1
    # Red is what failed, and nothing else.
    red = {s["spanID"] for s in spans.values() if tags(s).get("error")}
    assert red == {i for i, s in spans.items() if tags(s).get(sc.TASK_STATE) == "failed"}
    [lost] = [s for s in threads if tags(s)[sc.TASK_STATE] == "cancelled"]
    assert tags(lost)[sc.CANCEL_REASON] == "lost_race"

    by_id = {tags(s)[sc.TASK_ID]: s for s in threads}
    joins = [s for s in spans.values() if tags(s)[sc.OPERATION] == "join"]
    assert len(joins) == BRANCHES + 1
    for join in joins:
        linked = {r["spanID"] for r in join["references"] if r["refType"] == "FOLLOWS_FROM"}
        inside = {
            s["spanID"] for s in threads if parent(s) == parent(join) and "race" not in tags(s)[sc.TASK_ID]
        }
        assert linked == inside
        assert {by_id[name]["spanID"] for name in _listed(tags(join)[sc.DEPENDS_ON])} == inside

    tokens = sum(tags(s).get(sc.USAGE_OUTPUT, 0) for s in spans.values())
    assert tokens == result.usage.output_tokens

    assert server.search(weaver__run__id=result.run_id) == [result.trace_id]
    assert result.trace_id in server.search(
        weaver__task__state="cancelled", weaver__cancel__reason="lost_race"
    )
    assert result.trace_id in server.search(weaver__conflict__strategy="evidence")
    assert server.search(weaver__run__id="another") == []
    # The drop-down of operations stays short, however many threads there are.
    operations = server.get("operations", service="weaver")
    assert len(operations) < 15


def _listed(value: Any) -> list[str]:
    """A list as Jaeger keeps it: JSON text."""
    return json.loads(value) if isinstance(value, str) else list(value)


@pytest.mark.usefixtures("_sent")
async def test_a_planned_run_with_content(server: Jaeger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(sc.CAPTURE_ENV, "SPAN_ONLY")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "with-content")
    quick = planning_model()
    for reply in quick._script:
        reply.first = reply.each = 0.0
    telemetry = configure()
    with telemetry:
        result = await Weaver(quick, tracing=telemetry.tracing).run(f"Compare. {MARK} " + "very " * 5000)

    kept = Store().spans(Store().find(result.run_id))
    trace = server.trace(result.trace_id, spans=len(kept))
    assert trace["processes"]["p1"]["serviceName"] == "with-content"
    calls = [tags(s) for s in trace["spans"] if tags(s)[sc.OPERATION] == "chat"]
    assert any(MARK in c[sc.OUTPUT_MESSAGES] for c in calls)
    assert all(len(c[sc.INPUT_MESSAGES]) <= 4096 for c in calls)
    assert any(c.get(sc.CONTENT_REF) for c in calls)


@pytest.mark.usefixtures("_sent")
async def test_a_run_under_the_callers_trace(server: Jaeger, monkeypatch: pytest.MonkeyPatch) -> None:
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    monkeypatch.setenv("TRACEPARENT", f"00-{trace_id}-b7ad6b7169203331-01")
    with configure() as telemetry:
        result = await Weaver(ScriptedModel("ok"), strategy="sequential", tracing=telemetry.tracing).run("q")

    assert result.trace_id == trace_id
    trace = server.trace(trace_id, spans=2)
    assert {parent(s) for s in trace["spans"]} >= {"b7ad6b7169203331"}


def test_what_was_exported_can_be_uploaded(server: Jaeger) -> None:
    """`weaver trace export` speaks the JSON of OTLP: a collector takes it."""
    story = quorum_story()
    body = export_request(story.spans, service="uploaded").encode()
    request = urllib.request.Request(
        f"{server.otlp}/v1/traces", data=body, headers={"Content-Type": "application/json"}
    )
    urllib.request.urlopen(request, timeout=10).close()

    trace = server.trace("ab" * 16, spans=len(story.spans))
    assert trace["processes"]["p1"]["serviceName"] == "uploaded"
    [cut] = [s for s in trace["spans"] if tags(s).get(sc.TASK_ID) == "c"]
    assert (cut["duration"], tags(cut)[sc.CANCEL_REASON]) == (3_000_000, "quorum_met")
    [join] = [s for s in trace["spans"] if tags(s)[sc.OPERATION] == "join"]
    assert tags(join)[sc.JOIN_NEEDED] == 2
    assert len(join["references"]) == 5
