"""One run of one task by one strategy, and what it took."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from typing import Any

import anyio

from tests.benchmarks.forking.tasks import BenchmarkTask, grade
from weaver import Weaver, WeaverError
from weaver._data.usage import Usage
from weaver._models.protocol import Capabilities, Delta, Model, Prices, Request, Stream, UsageReport
from weaver._testing.scripted import text_of


@dataclass(slots=True)
class Calls:
    """Usage of the calls of one run, apart for the planner's."""

    planner: int = 0
    output: int = 0
    input: int = 0
    count: int = 0


_calls: ContextVar[Calls | None] = ContextVar("forking_benchmark_calls", default=None)


@dataclass
class CountingModel:
    """A model whose tokens are counted for the run that asks it."""

    inner: Model

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def provider(self) -> str:
        return self.inner.provider

    @property
    def endpoint(self) -> str:
        return self.inner.endpoint

    @property
    def prices(self) -> Prices | None:
        return self.inner.prices

    async def capabilities(self) -> Capabilities:
        return await self.inner.capabilities()

    async def aclose(self) -> None:
        await self.inner.aclose()

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[Stream]:
        calls = _calls.get()
        if calls is None:
            calls = Calls()
        calls.count += 1
        # The schema may have been refused; the instructions name the key in any case.
        plans = is_planning(request)
        async with self.inner.stream(request) as deltas:
            yield _counted(deltas, calls, plans)


def is_planning(request: Request) -> bool:
    """Tell the planner's requests, by the key that its instructions name."""
    return '"subtasks": [' in text_of(request)


async def _counted(deltas: Stream, calls: Calls, plans: bool) -> AsyncIterator[Delta]:
    usage: Usage | None = None
    async for delta in deltas:
        if isinstance(delta, UsageReport):
            usage = delta.usage
            if plans:
                calls.planner += usage.output_tokens
        yield delta


@dataclass(slots=True)
class Row:
    """What one run took and gave.

    Attributes:
        should_fork: the task has independent parts.
        forked: threads of a plan were started.
        plan_tokens: that the planner wrote; 0 where it was not asked or reported no usage.
        words: of the answer.
        predicted_seconds: for the way that was taken; None where nothing was predicted.
    """

    kind: str
    strategy: str
    should_fork: bool
    forked: bool = False
    by: str = ""
    reason: str = ""
    merge: str = ""
    status: str = "failed"
    plan_tokens: int = 0
    critical_tokens: int = 0
    total_tokens: int = 0
    input_tokens: int = 0
    calls: int = 0
    words: int = 0
    quality: float | None = None
    length: float | None = None
    seconds: float = 0.0
    predicted_seconds: float | None = None
    basis: str = ""
    question: str = ""
    answer: str = ""
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


async def measure(weaver: Weaver, task: BenchmarkTask, strategy: str) -> Row:
    """Run ``task`` and grade the answer. A run that fails is a row with the status ``failed``."""
    calls = Calls()
    token = _calls.set(calls)
    row = Row(task.kind, strategy, task.forks, question=task.question)
    began = anyio.current_time()
    try:
        result = await weaver.run(task.question, strategy=strategy)
    except WeaverError as error:
        row.notes = [error.message]
        row.seconds = anyio.current_time() - began
        return row
    finally:
        _calls.reset(token)
    decision, metrics = result.decision, result.metrics
    row.seconds = metrics.wall_seconds
    row.status, row.answer, row.notes = result.status, result.answer, list(result.notes)
    row.words = len(result.answer.split())
    row.plan_tokens = calls.planner
    row.critical_tokens, row.total_tokens = metrics.critical_path_tokens, metrics.total_output_tokens
    row.input_tokens, row.calls = result.usage.input_tokens, result.usage.calls
    if decision is not None:
        row.forked, row.by, row.reason = decision.parallel, decision.by, decision.reason
        if (forecast := decision.forecast) is not None:
            row.basis = forecast.basis
            row.predicted_seconds = forecast.fork_seconds if row.forked else forecast.direct_seconds
    if result.plan is not None:
        row.merge = result.plan.merge or ""
    grades = grade(task, result.answer)
    row.quality, row.length = grades.quality, grades.length
    return row


async def measure_all(
    weaver: Weaver,
    tasks: list[BenchmarkTask],
    strategies: list[str],
    *,
    concurrency: int,
    done: Callable[[Row], None],
) -> list[Row]:
    """Run every task by every strategy, at most ``concurrency`` at a time."""
    rows: list[Row] = []
    limiter = anyio.CapacityLimiter(concurrency)

    async def one(task: BenchmarkTask, strategy: str) -> None:
        async with limiter:
            row = await measure(weaver, task, strategy)
        rows.append(row)
        done(row)

    for strategy in strategies:  # one strategy after the other: none slows down another
        async with anyio.create_task_group() as group:
            for task in tasks:
                group.start_soon(one, task, strategy)
    return rows
