"""What traces say, as snapshots: a change of a span's name, attribute or place shows in the difference.

``WEAVER_UPDATE_GOLDEN=1 pytest tests/tracing/test_golden.py`` writes the files anew.
"""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan

from tests.coordination.telling import claimed
from tests.tracing.stories import Spans, planning_model, racing
from weaver import Answer, Run, Task, Weaver, events, tool
from weaver._coordination.conflicts.resolve import settle_conflicts
from weaver._data.result import Claim
from weaver._tracing.record import semconv as sc
from weaver.testing import Scripted, ScriptedModel, virtual_time
from weaver.workflows import Workflow, run_workflow

pytestmark = pytest.mark.anyio

FOLDER = Path(__file__).with_name("golden")
UPDATES = bool(os.environ.get("WEAVER_UPDATE_GOLDEN"))
MASKED = re.compile(
    r"(?:run\.id|conversation\.id|server\.port|version|decision\.log|decision\.reason)$|seconds|_ms$|usd|cost|predicted|first_chunk"
)
"""Attributes that differ from run to run, or with what an earlier run has learned of the endpoint."""

FLOW = """\
version: weaver/v1
name: report
inputs: {topics: {type: array, items: string, default: [tea, coffee]}}
steps:
  look: {for_each: '${{ inputs.topics }}', as: topic, task: 'About ${{ topic }}.'}
  sum_up: {task: 'Sum up: ${{ steps.look.output }}'}
outputs: {text: '${{ steps.sum_up.output }}'}
"""


@pytest.fixture
def anyio_backend() -> Any:
    return virtual_time()


@tool
def population(city: str) -> str:
    """How many people live in a city."""
    return f"{city}: 2,100,000"


async def planned(spans: Spans) -> None:
    await Weaver(planning_model(), tracer_provider=spans.provider).run("Compare the cities.")


async def race(spans: Spans) -> None:
    model = ScriptedModel(
        [
            Scripted("quick", when="quick"),
            Scripted("slow and long", when="slow", first=5.0),
            Scripted(error=TimeoutError("broken"), when="broken"),
        ]
    )
    await Weaver(model, strategy=racing, tracer_provider=spans.provider).run("Which?")


async def tools(spans: Spans) -> None:
    call = ("population", '{"city": "Paris"}')
    model = ScriptedModel([Scripted(tool_calls=(call,), times=1), Scripted("2,100,000")])
    await Weaver(model, strategy="sequential", tools=[population], tracer_provider=spans.provider).run(
        "Paris?"
    )


async def deadline(spans: Spans) -> None:
    model = ScriptedModel([Scripted("one two three four five six seven eight", each=1.0)])
    await Weaver(model, strategy="sequential", deadline=4, tracer_provider=spans.provider).run("Count.")


async def votes(spans: Spans) -> None:
    model = ScriptedModel([Scripted("Answer: 4", times=2), Scripted("Answer: 5", first=2.0)])
    strategy = "self_consistency:samples=3"
    await Weaver(model, strategy=strategy, seed=1, tracer_provider=spans.provider).run("What is 2 + 2?")


async def verified(spans: Spans) -> None:
    """The first answer does not pass its check, the repaired one does."""
    model = ScriptedModel(["2 + 2 = 5", "2 + 2 = 4"])
    weaver = Weaver(model, strategy="sequential", tracer_provider=spans.provider)
    await weaver.run("What is 2 + 2?", verify="arithmetic")


async def conflict(spans: Spans) -> None:
    """Three threads state two values; a model derives the right one again."""

    def claim(value: str) -> Claim:
        return Claim("tower", "height", value, "m")

    async def vote(run: Run, task: Task) -> Answer:
        threads = [claimed(f"s{i}", claim(height)) for i, height in enumerate(("330", "300", "330"), 1)]
        (resolved,) = await settle_conflicts(run, threads)
        return Answer(f"{task.question} {resolved.resolution}")

    model = ScriptedModel('{"value": 330, "unit": "m"}')
    await Weaver(model, strategy=vote, tracer_provider=spans.provider).run("How tall?")


async def cancelled_by_the_user(spans: Spans) -> None:
    model = ScriptedModel([Scripted("one two three four five six", each=1.0)])
    async with Weaver(model, strategy="sequential", tracer_provider=spans.provider).stream("Count.") as run:
        async for event in run:
            if isinstance(event, events.AnswerDelta):
                run.cancel()


async def workflow(spans: Spans) -> None:
    model = ScriptedModel(
        [Scripted("Tea is old.", when="tea"), Scripted("Coffee is not.", when="coffee"), "Both."]
    )
    weaver = Weaver(model, tracer_provider=spans.provider)
    await run_workflow(Workflow.from_yaml(FLOW), {}, weaver=weaver)


STORIES: dict[str, Callable[[Spans], Awaitable[None]]] = {
    story.__name__: story
    for story in (planned, race, tools, deadline, votes, verified, conflict, cancelled_by_the_user, workflow)
}


@pytest.mark.parametrize("name", STORIES)
async def test_a_trace_has_not_changed(name: str, spans: Spans) -> None:
    await STORIES[name](spans)
    written = drawn(spans.all)
    path = FOLDER / f"{name}.txt"
    if UPDATES:
        path.write_text(written, encoding="utf-8")
    assert written == path.read_text(encoding="utf-8"), "see this module's docstring"


async def test_a_trace_is_the_same_each_time() -> None:
    traces = []
    for _ in range(2):
        spans = Spans()
        await planned(spans)
        traces.append(drawn(spans.all))
    assert traces[0] == traces[1]


def drawn(spans: Sequence[ReadableSpan]) -> str:
    """The tree of spans, each with its kind, status, attributes, events and links."""
    children: dict[int | None, list[ReadableSpan]] = {}
    for span in spans:
        children.setdefault(span.parent.span_id if span.parent else None, []).append(span)
    names = {span.context.span_id: span.name for span in spans}
    lines: list[str] = []

    def draw(span: ReadableSpan, depth: int) -> None:
        indent = "  " * depth
        status = span.status.status_code.name.lower()
        lines.append(f"{indent}{span.name} [{span.kind.name.lower()}, {status}]")
        lines.extend(f"{indent}    {line}" for line in attributes(span.attributes))
        for event in span.events:
            lines.append(f"{indent}    event {event.name}")
            lines.extend(f"{indent}        {line}" for line in attributes(event.attributes))
        linked = [names.get(link.context.span_id, "another trace") for link in span.links]
        lines.extend(f"{indent}    link to {name}" for name in linked)
        for child in sorted(children.get(span.context.span_id, []), key=place):
            draw(child, depth + 1)

    for root in children[None]:
        draw(root, 0)
    return "\n".join(lines) + "\n"


def attributes(values: Any) -> list[str]:
    return [
        f"{name} = {'<masked>' if MASKED.search(name) else shown(value)}"
        for name, value in sorted((values or {}).items())
    ]


def shown(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else repr(value)


def place(span: ReadableSpan) -> tuple[str, ...]:
    """By name and what tells spans of one name apart: times differ between runs."""
    about = span.attributes or {}
    return span.name, *(str(about.get(name, "")) for name in (sc.TASK_ID, sc.CALL_NAME, sc.CALL_ROLE))
