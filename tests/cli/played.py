"""A stand-in for the façade: it plays given events, so that the command line is tested alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import anyio
import anyio.lowlevel

from weaver import events
from weaver._data.plan import Plan, Subtask
from weaver._data.result import Conflict, ConflictValue, Decision, ErrorReport, Metrics, Result, ThreadReport
from weaver._data.usage import Usage

USAGE = Usage(calls=4, input_tokens=100, output_tokens=50, cost_usd=0.0123)
PLAN = Plan(
    parallel=True,
    reason="two look-ups",
    subtasks=(
        Subtask(id="a", title="Kyoto", prompt="What is Kyoto like?"),
        Subtask(id="b", title="Oslo", prompt="What is Oslo like?"),
        Subtask(id="c", title="Choose", prompt="Which one?", depends_on=("a", "b"), max_tokens=900),
    ),
)
RESULT: Result[Any] = Result(
    run_id="r1",
    status="complete",
    answer="Kyoto, because of the gardens.",
    strategy="adaptive",
    model="scripted",
    decision=Decision(True, "planner", "two look-ups"),
    plan=PLAN,
    threads=(
        ThreadReport("a", None, "Kyoto", 1, "succeeded", answer="Gardens.", usage=USAGE, seconds=1.0),
        ThreadReport("b", None, "Oslo", 1, "cancelled", cancel_reason="settled"),
    ),
    usage=USAGE,
    metrics=Metrics(wall_seconds=2.5),
    notes=("the planner was repaired once",),
    trace_id="ab" * 16,
)
STORY: tuple[Any, ...] = (
    events.RunStarted("r1", "Kyoto or Oslo?", "adaptive", "scripted"),
    events.Decided(Decision(True, "planner", "two look-ups")),
    *(events.SubtaskPlanned(subtask) for subtask in PLAN.subtasks),
    events.Planned(PLAN),
    events.ThreadStarted("a", None, "Kyoto", 1),
    events.ThreadStarted("b", None, "Oslo", 1),
    events.ThreadDelta("a", "Gardens."),
    events.CallRetried("b", "429 too many requests", 2.0),
    events.ThreadFinished("a", "succeeded", None, "Gardens.", USAGE, 1.0),
    events.ThreadFinished("b", "cancelled", "settled", None, Usage(), 1.5),
    events.Noted("the planner was repaired once"),
    events.ConflictFound(
        Conflict("Oslo", "rain", (ConflictValue("80 mm", ("a",)), ConflictValue("8 mm", ("b",))))
    ),
    events.AnswerStarted("synthesis"),
    events.AnswerDelta("Kyoto, because of "),
    events.AnswerDelta("the gardens."),
    events.RunFinished(RESULT),
)


@dataclass
class PlayedStream:
    """Plays events; ``hang`` waits for `cancel` after them."""

    story: Sequence[Any]
    hang: bool
    result: Result[Any] = RESULT
    cancelled: anyio.Event = field(default_factory=anyio.Event)

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._play()

    async def _play(self) -> AsyncIterator[Any]:
        for event in self.story:
            await anyio.lowlevel.checkpoint()
            yield event
        if self.hang:
            await self.cancelled.wait()
            self.result = replace(
                RESULT,
                status="failed",
                answer="",
                error=ErrorReport("RunCancelled", "The user stopped the run."),
            )
            yield events.RunFinished(self.result)

    def cancel(self, reason: str = "user") -> None:
        assert reason == "user"
        self.cancelled.set()


@dataclass
class PlayedWeaver:
    """The part of the façade that the command line uses."""

    story: Sequence[Any] = STORY
    result: Result[Any] = RESULT
    hang: bool = False
    closed: int = 0

    @asynccontextmanager
    async def stream(self, task: Any) -> AsyncIterator[PlayedStream]:
        try:
            yield PlayedStream(self.story, self.hang, self.result)
        finally:
            self.closed += 1
