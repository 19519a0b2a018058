"""One run of one task, and what it took."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, TypeVar

import anyio

from tests.benchmarks.evidence.baselines import part_by_part, truncation
from tests.benchmarks.evidence.long_tasks import LongTask
from tests.benchmarks.evidence.puzzles import Puzzle, puzzles
from tests.benchmarks.forking.tasks import BenchmarkTask, grade
from weaver import Weaver, WeaverError
from weaver._evals.items import Item
from weaver.evals import load

T = TypeVar("T")

LONG = ("map_reduce", "part_by_part", "truncation", "explore:steps=4,asks=0")
CODE = ("sequential", "best_of_n:samples=4")
PUZZLES = (
    "sequential",
    "self_consistency:samples=4",
    "best_of_n:samples=4",
    "tree_of_thoughts:steps=3,n_generate=3,n_evaluate=1,breadth=2",
)


@dataclass(slots=True)
class Row:
    """What one run took and gave; ``score`` is 1 for a right answer.

    Attributes:
        should_fork: the task has independent parts.
        forked: threads of a plan were started.
        length: share of the lengths asked for that were kept; None where no length was asked for.
        machine: where it was measured.
    """

    part: str
    kind: str
    strategy: str
    size: int = 0
    score: float = 0.0
    seconds: float = 0.0
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    critical_tokens: int = 0
    cancelled: int = 0
    should_fork: bool = False
    forked: bool = False
    length: float | None = None
    question: str = ""
    machine: str = ""
    status: str = "failed"
    answer: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def is_right(self) -> bool:
        return self.score >= 1

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


async def measure_long(
    weaver: Weaver,
    tasks: Sequence[LongTask],
    strategies: Sequence[str],
    done: Callable[[Row], None],
    at_once: int = 1,
) -> list[Row]:
    """Each task by each strategy; `part_by_part` gets the time that `map_reduce` took."""

    async def measure(task: LongTask, name: str, earlier: Sequence[Row]) -> Row:
        row = Row("long", task.kind, name.partition(":")[0], task.size)
        chosen: Any = name
        if name == "part_by_part":
            seconds = next((r.seconds for r in earlier if r.strategy == "map_reduce"), 60.0)
            chosen = partial(part_by_part, seconds=max(1.0, seconds))
        elif name == "truncation":
            chosen = truncation
        answer = await _run(weaver, row, task.question, strategy=chosen, documents=task.documents)
        row.score = task.grade(answer)
        return row

    return await _rows(tasks, strategies, measure, done, at_once)


async def measure_code(
    weaver: Weaver,
    seed: int,
    count: int,
    strategies: Sequence[str],
    done: Callable[[Row], None],
    at_once: int = 1,
) -> list[Row]:
    """HumanEval: one answer, and the best of four by the tests."""
    task = load("human_eval", n=count, seed=seed)

    async def measure(item: Item, name: str, _: Sequence[Row]) -> Row:
        row = Row("code", "human_eval", name)
        answer = await _run(weaver, row, task.asked(item), strategy=name)
        row.score = (await item.grader(item, answer)).score
        return row

    return await _rows(task.items, strategies, measure, done, at_once)


async def measure_puzzles(
    weaver: Weaver,
    seed: int,
    count: int,
    strategies: Sequence[str],
    done: Callable[[Row], None],
    at_once: int = 1,
) -> list[Row]:
    """Game of 24: one answer, votes, the best of four by arithmetic, and a search."""

    async def measure(puzzle: Puzzle, name: str, _: Sequence[Row]) -> Row:
        row = Row("puzzles", "game24", name.partition(":")[0])
        row.score = puzzle.grade(await _run(weaver, row, puzzle.task, strategy=name))
        return row

    return await _rows(list(puzzles(seed, count)), strategies, measure, done, at_once)


async def measure_mix(
    weaver: Weaver,
    tasks: Sequence[BenchmarkTask],
    arms: Sequence[str],
    done: Callable[[Row], None],
    at_once: int = 1,
) -> list[Row]:
    """Each task by each arm; the score is 1 where nothing can be graded but an answer is there."""

    async def measure(task: BenchmarkTask, name: str, _: Sequence[Row]) -> Row:
        row = Row("mix", task.kind, name, should_fork=task.forks)
        answer = await _run(weaver, row, task.question, strategy=name)
        grades = grade(task, answer)
        row.score = float(bool(answer)) if grades.quality is None else grades.quality
        row.length = grades.length
        return row

    return await _rows(tasks, arms, measure, done, at_once)


async def _rows(
    items: Sequence[T],
    strategies: Sequence[str],
    measure: Callable[[T, str, Sequence[Row]], Awaitable[Row]],
    done: Callable[[Row], None],
    at_once: int,
) -> list[Row]:
    """Measure ``at_once`` items at the same time, each by all strategies in turn.

    Args:
        measure: one item by one strategy; it also gets the item's earlier rows.

    Returns:
        The rows in the order of the items.
    """
    by_item: list[list[Row]] = [[] for _ in items]
    limiter = anyio.CapacityLimiter(at_once)

    async def work(item: T, rows: list[Row]) -> None:
        async with limiter:
            for name in strategies:
                row = await measure(item, name, rows)
                rows.append(row)
                done(row)

    async with anyio.create_task_group() as group:
        for item, rows in zip(items, by_item, strict=True):
            group.start_soon(work, item, rows)
    return [row for rows in by_item for row in rows]


async def _run(weaver: Weaver, row: Row, task: Any, **options: Any) -> str:
    began = anyio.current_time()
    row.question = task if isinstance(task, str) else task.question
    try:
        result = await weaver.run(task, **options)
    except WeaverError as error:
        row.notes = [str(error)]
        row.seconds = anyio.current_time() - began
        return ""
    row.seconds, row.status, row.answer = result.metrics.wall_seconds, result.status, result.answer
    row.calls, row.notes = result.usage.calls, list(result.notes)
    row.input_tokens, row.output_tokens = result.usage.input_tokens, result.usage.output_tokens
    row.critical_tokens = result.metrics.critical_path_tokens
    row.forked = result.decision is not None and result.decision.parallel
    row.cancelled = result.metrics.cancelled_threads
    return result.answer
