"""Runs to look at: real ones by scripted models, and invented ones with exact times."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from weaver import Answer, Task
from weaver._models.protocol import Prices, Request
from weaver._tracing.record import semconv as sc
from weaver._tracing.store.span_record import LinkRecord, SpanRecord
from weaver.testing import Scripted, ScriptedModel

MARK = "PRIVATE-WORDS"
SECRET = "sk-proj-abcdefghijklmnopqrstuvwxyz0123"

PLAN = {
    "parallel": True,
    "reason": f"two look-ups {MARK}",
    "subtasks": [
        {"id": "a", "title": "People", "prompt": f"How many people? {MARK}"},
        {"id": "b", "title": "Area", "prompt": f"How large? {MARK}"},
        {"id": "c", "title": "Density", "prompt": "Divide.", "depends_on": ["a", "b"]},
    ],
}


def plans(request: Request) -> bool:
    """Whether the planner asks."""
    return request.output is not None and request.output.name == "plan"


def planning_model() -> ScriptedModel:
    """Plans three subtasks, works on them, and merges."""
    return ScriptedModel(
        [
            Scripted(json.dumps(PLAN), when=plans, first=1.0, each=0.01),
            Scripted(f"Two million. {MARK}", when="How many people", first=1.0),
            Scripted(f"105 km2. {MARK}", when="How large", first=3.0),
            Scripted(f"20,000 per km2. {MARK}", when="Divide", first=1.0),
            Scripted(f"All together. {MARK}", first=1.0),
        ],
        name="openai/gpt-test",
        provider="openai",
        endpoint="http://localhost:8080/v1",
        prices=Prices(1.0, 4.0),
    )


async def racing(run: Any, task: Task, **_: Any) -> Answer:
    """Three threads, of which the first to answer wins; one fails, one is cancelled."""
    tasks = [Task(prompt=p, title=p.split()[0]) for p in ("quick one", "slow one", "broken one")]
    async with run.fork(tasks, name="s") as threads:
        async for thread in threads.as_finished():
            if thread.state == "succeeded":
                threads.cancel("lost_race")
                break
    return Answer("the quick one")


class Spans:
    """A provider that remembers its spans."""

    def __init__(self, **options: Any) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False, **options)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    @property
    def all(self) -> Sequence[ReadableSpan]:
        return self.exporter.get_finished_spans()

    def of(self, operation: str) -> list[ReadableSpan]:
        return [s for s in self.all if (s.attributes or {}).get(sc.OPERATION) == operation]

    def one(self, operation: str, **attributes: Any) -> ReadableSpan:
        found = [
            s
            for s in self.of(operation)
            if all((s.attributes or {}).get(getattr(sc, k)) == v for k, v in attributes.items())
        ]
        assert len(found) == 1, [s.name for s in found]
        return found[0]

    def text(self) -> str:
        """Everything that the spans hold, as text."""
        return "\n".join(s.to_json() for s in self.all)


def about(span: ReadableSpan) -> dict[str, Any]:
    """A span's attributes."""
    return dict(span.attributes or {})


def assert_one_tree(spans: Sequence[ReadableSpan]) -> None:
    """One root, no orphans, one trace, and children inside the trace of their parents."""
    ids = {s.context.span_id for s in spans}
    assert len(ids) == len(spans)
    assert len({s.context.trace_id for s in spans}) == 1
    roots = [s for s in spans if s.parent is None]
    assert [r.name.split()[0] for r in roots] == ["invoke_workflow"]
    orphans = [s.name for s in spans if s.parent is not None and s.parent.span_id not in ids]
    assert orphans == []


# Invented runs ----------------------------------------------------------------------------------------


class Story:
    """Spans with exact times in seconds; ids are their names, padded."""

    def __init__(self) -> None:
        self.spans: list[SpanRecord] = []

    def add(
        self,
        name: str,
        operation: str,
        start: float,
        end: float | None,
        parent: str | None = "run",
        *,
        links: Sequence[str] = (),
        status: str = "unset",
        status_text: str = "",
        **attributes: Any,
    ) -> Story:
        self.spans.append(
            SpanRecord(
                trace_id="ab" * 16,
                span_id=identity(name),
                parent_id=identity(parent) if parent else None,
                name=f"{operation} x",
                start_ns=1_700_000_000_000_000_000 + round(start * 1e9),
                end_ns=None if end is None else 1_700_000_000_000_000_000 + round(end * 1e9),
                status=status,
                status_text=status_text,
                attributes={sc.OPERATION: operation}
                | {getattr(sc, key): value for key, value in attributes.items()},
                links=[LinkRecord("ab" * 16, identity(link), {sc.TASK_ID: link}) for link in links],
            )
        )
        return self

    def thread(self, name: str, start: float, end: float | None, parent: str = "run", **more: Any) -> Story:
        more = {"TASK_STATE": "succeeded", **more} if end is not None else more
        return self.add(name, sc.INVOKE_AGENT, start, end, parent, TASK_ID=name, **more)

    def call(self, name: str, start: float, end: float, parent: str, **more: Any) -> Story:
        more = {
            "REQUEST_MODEL": "m", "CALL_ROLE": "thread", "USAGE_INPUT": 10, "USAGE_OUTPUT": 5,
            "COST_AMOUNT": 0.5, "TASK_STATE": "succeeded", **more,
        }  # fmt: skip
        return self.add(name, sc.CHAT, start, end, parent, **more)


def identity(name: str) -> str:
    """A span id made of a name."""
    return name.encode().hex().rjust(16, "0")[:16]


def quorum_story() -> Story:
    """A plan, five threads of which a quorum of two is waited for, a conflict, a synthesis: 10 s."""
    story = Story()
    story.add(
        "run", sc.INVOKE_WORKFLOW, 0, 10, None,
        RUN_ID="r1", WORKFLOW_NAME="adaptive", RUN_MODEL="m", RUN_STATUS="complete",
        RUN_NOTES=("took a detour",),
    )  # fmt: skip
    story.add("plan", sc.PLAN, 0, 2, PLAN_IDS=("a", "b", "c"), PLAN_EDGES=("a->c",))
    story.call("plancall", 0, 2, "plan", CALL_ROLE="planner")
    story.thread("a", 1, 4, TASK_TITLE="Alpha").call("acall", 1, 4, "a", RESPONSE_FIRST_CHUNK=1.0)
    story.thread("b", 2, 7).call("bcall", 2, 7, "b", QUEUE_WAIT_MS=500.0, COST_AMOUNT=0.25)
    story.thread("c", 4, 7, TASK_STATE="cancelled", CANCEL_REASON="quorum_met")
    story.call("ccall", 4, 7, "c", TASK_STATE="cancelled", CANCEL_REASON="quorum_met")
    story.thread("d", 2, 3, TASK_STATE="failed", status="error", status_text="HTTP 500")
    story.add(
        "join", sc.JOIN, 2, 7, JOIN_POLICY="quorum(2)", JOIN_NEEDED=2, JOIN_RECEIVED=2,
        JOIN_RECEIVED_IDS=("a", "b"), DEPENDS_ON=("a", "b", "c", "d"), links=("a", "b", "c", "d"),
    )  # fmt: skip
    story.add(
        "conflict", sc.CONFLICT, 7, 7.5, CONFLICT_SUBJECT="Paris", CONFLICT_ATTRIBUTE="people",
        CONFLICT_THREADS=("a", "b"), CONFLICT_RESOLVED=True, CONFLICT_STRATEGY="evidence",
        CONFLICT_WINNERS=("b",),
    )  # fmt: skip
    story.add("synthesis", sc.SYNTHESIS, 7.5, 10).call(
        "syncall", 7.5, 10, "synthesis", CALL_ROLE="synthesizer"
    )
    return story
