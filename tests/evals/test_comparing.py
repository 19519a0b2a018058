"""Comparing from end to end: same items, resumable, honest about failures, every run with its ids."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import anyio
import pytest

from weaver import Answer, Run, Task
from weaver._evals.comparing import Comparison, compare
from weaver._evals.records import RecordFile, read_records
from weaver._evals.report import SIMULATED, markdown, tables, write
from weaver._evals.summary import summarize
from weaver._evals.tasks import load
from weaver._evals.tasks.world import StructuredWorld
from weaver._models.protocol import Capabilities
from weaver._settings.settings import Settings
from weaver._strategies.common.registry import strategy
from weaver.errors import (
    ConfigurationError,
    MissingCapabilityError,
    ModelConnectionError,
    ServerError,
    UnknownNameError,
)
from weaver.testing import Scripted, ScriptedModel, SimulatedModel, virtual_time

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


async def two_threads(run: Run, task: Task, *, wait: float = 0.0) -> Answer:
    """Two threads on the same question."""
    await anyio.sleep(wait)
    async with run.fork([task, task]) as threads:
        [first, *_] = await threads.join()
    assert first.answer is not None
    return first.answer


@pytest.fixture(autouse=True)
def known_by_name():
    """For these tests only, the strategy above is one of those that can be named."""
    strategy("two_threads_for_tests")(two_threads)


def right(request) -> str:
    """Adds up the sum that it is asked for."""
    line = request.messages[-1].content.splitlines()[0].removeprefix("What is ").removesuffix("?")
    return f"Answer: {sum(map(int, line.split('+')))}"


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def sums(n: int = 4, **changes) -> Comparison:
    model = changes.pop("model", None) or ScriptedModel([Scripted(right, each=0.1)])
    given = {"strategies": ["sequential", "two_threads_for_tests"], "seed": 3, **changes}
    return Comparison(tasks=[load("tree_sum:terms=3", n=n, seed=3)], models=[model], **given)


async def test_strategies_run_on_the_same_items_with_the_same_seeds(tmp_path: Path) -> None:
    comparison = sums()
    with RecordFile(tmp_path / "runs.jsonl", comparison.header) as file:
        await compare(comparison, file)
    header, records = read_records(tmp_path / "runs.jsonl")
    assert len(records) == comparison.size == 8
    assert {task: len(items) for task, items in header["tasks"].items()} == {"tree_sum:terms=3": 4}
    assert [r.strategy for r in records[:4]] == ["sequential", "two_threads_for_tests"] * 2
    by_item = {(r.item, r.strategy): r for r in records}
    for i in "0123":
        one, two = by_item[i, "sequential"], by_item[i, "two_threads_for_tests"]
        assert one.seed == two.seed
        assert one.correct
        assert two.correct
        assert (one.calls, two.calls, one.threads, two.threads) == (1, 2, 0, 2)
        assert (one.critical_steps, two.critical_steps) == (1, 1)
        assert two.total_output_tokens == 2 * two.critical_path_tokens == two.thread_tokens
        assert two.redundancy == 1.0
        assert one.run_id != two.run_id
        assert one.ideal_speedup == 1.0
        assert one.longest_context > 0
    assert len({r.seed for r in records}) == 4
    summaries = summarize(records)
    assert [s.accuracy for s in summaries] == [1.0, 1.0]
    assert summaries[1].activation_ratio == 1.0


async def test_a_comparison_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    seen = []
    with RecordFile(path, sums().header) as file, anyio.CancelScope() as scope:

        def stop(record) -> None:
            seen.append(record.key)
            if len(seen) == 3:
                scope.cancel()

        await compare(sums(), file, on_record=stop)
    with path.open("a", encoding="utf-8") as cut:
        cut.write('{"task": "tree_sum:te')  # a crash in the middle of a line
    model = ScriptedModel([Scripted(right)])
    with RecordFile(path, sums().header) as file:
        assert [r.key for r in file.records] == seen[: len(file.records)]
        before = len(file.records)
        await compare(sums(model=model), file)
    _, records = read_records(path)
    assert len(records) == len({r.key for r in records}) == 8
    assert before >= 3
    assert len(model.requests) == sum(r.calls for r in records[before:])


async def test_strategies_can_be_added_later_but_not_other_items(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    with RecordFile(path, sums(strategies=["sequential"]).header) as file:
        await compare(sums(strategies=["sequential"]), file)
    with RecordFile(path, sums().header) as file:
        await compare(sums(), file)
    assert len(read_records(path)[1]) == 8
    with pytest.raises(ConfigurationError, match=r"another comparison \(seed: 3 there, 4 now\)"):
        RecordFile(path, sums(seed=4).header).__enter__()
    (tmp_path / "other").write_text("hello\nworld\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="not a file of"):
        RecordFile(tmp_path / "other", sums().header).__enter__()


async def test_failed_runs_are_kept_and_may_be_tried_again(tmp_path: Path) -> None:
    broken = ScriptedModel([Scripted(error=ServerError("out of memory"), times=1), Scripted(right)])
    comparison = sums(n=2, model=broken, strategies=["sequential"])
    with RecordFile(tmp_path / "r.jsonl", comparison.header) as file:
        await compare(comparison, file)
        first = file.records[0]
        assert (first.status, first.correct, first.error) == ("failed", False, "out of memory")
        assert file.records[1].correct
        await compare(comparison, file)
        assert len(file.records) == 2
        await compare(comparison, file, retry_failed=True)
    _, records = read_records(tmp_path / "r.jsonl")
    assert [(r.item, r.correct) for r in records] == [("1", True), ("0", True)]


@pytest.mark.parametrize(
    ("strategy", "calls"),
    [("sequential", 1), ("self_consistency:samples=3", 3), ("debate:agents=2,rounds=1", 2)],
)
async def test_a_server_that_is_gone_stops_the_comparison_and_keeps_what_was_done(
    tmp_path: Path, strategy: str, calls: int
) -> None:
    gone = ScriptedModel(
        [Scripted(right, times=3 * calls), Scripted(error=ModelConnectionError("connection refused"))]
    )
    comparison = sums(model=gone, strategies=[strategy])
    with RecordFile(tmp_path / "r.jsonl", comparison.header) as file, pytest.raises(ModelConnectionError):
        await compare(comparison, file)
    assert len(read_records(tmp_path / "r.jsonl")[1]) == 3


async def test_a_strategy_that_is_for_other_tasks_fails_alone(tmp_path: Path) -> None:
    model = ScriptedModel([Scripted(right)], can=Capabilities(completions=True))
    comparison = sums(n=1, model=model, strategies=["apr", "sequential"])
    with RecordFile(tmp_path / "r.jsonl", comparison.header) as file:
        await compare(comparison, file)
        refused, answered = file.records
    assert (refused.status, refused.correct, refused.calls) == ("failed", False, 0)
    assert refused.error is not None
    assert "Countdown" in refused.error
    assert answered.correct


async def test_nothing_is_run_when_a_strategy_cannot_be(tmp_path: Path) -> None:
    model = ScriptedModel([Scripted(right)], can=Capabilities())
    for strategies, error in (
        (["sequential", "nope"], UnknownNameError),
        (["sequential", "threadweaver"], MissingCapabilityError),
        (["sequential", "sequential"], ConfigurationError),
    ):
        comparison = sums(model=model, strategies=strategies)
        with RecordFile(tmp_path / "r.jsonl", comparison.header) as file, pytest.raises(error):
            await compare(comparison, file)
    assert model.requests == []


async def test_concurrency_is_limited_and_the_limits_are_the_same_for_all(tmp_path: Path) -> None:
    model = ScriptedModel([Scripted(right, first=1.0)])
    settings = Settings.model_validate({"deadline": 0.5})
    comparison = sums(n=6, model=model, strategies=["sequential"], concurrency=3, settings=settings)
    with RecordFile(tmp_path / "r.jsonl", comparison.header) as file:
        await compare(comparison, file)
    assert model.max_in_flight == 3
    assert {r.status for r in file.records} == {"failed"}
    assert comparison.header["limits"] == {"deadline": 0.5}


async def test_reports_have_every_run_with_its_ids(tmp_path: Path) -> None:
    comparison = sums(strategies=["sequential", "two_threads_for_tests:wait=1"])
    with RecordFile(tmp_path / "r.jsonl", comparison.header) as file:
        await compare(comparison, file)
    header, records = read_records(tmp_path / "r.jsonl")
    summaries = summarize(records)
    assert write(tmp_path / "out", header, records, summaries) == []
    rows = read_csv(tmp_path / "out" / "runs.csv")
    assert [r["run_id"] for r in rows] == [r.run_id for r in records]
    whole = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert whole["summaries"][1]["against"]["baseline"] == "sequential"
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "two_threads_for_tests:wait=1" in text
    assert "SIMULATION" not in text
    assert (tmp_path / "out" / "plot.svg").read_text(encoding="utf-8").count("two_threads_for_tests") == 1
    assert (tmp_path / "out" / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert len(tables(summaries)) == 1


async def test_model_text_cannot_break_a_report(tmp_path: Path) -> None:
    model = ScriptedModel("=HYPERLINK(1) | `x` [bold]<b> Answer: 1")
    comparison = sums(n=1, model=model, strategies=["sequential"])
    with RecordFile(tmp_path / "r.jsonl", comparison.header) as file:
        await compare(comparison, file)
    header, records = read_records(tmp_path / "r.jsonl")
    write(tmp_path, header, records, summarize(records))
    rows = read_csv(tmp_path / "runs.csv")
    assert rows[0]["answer"].startswith("'=HYPERLINK")
    row = next(
        line for line in markdown(header, records, summarize(records)).splitlines() if "HYPERLINK" in line
    )
    assert "\\| \\`x\\` \\[bold\\]\\<b\\>" in row


async def test_a_simulation_plans_forks_and_says_that_it_is_one(tmp_path: Path) -> None:
    task = load("independent:parts=6,digits=3", n=12, seed=1)
    model = SimulatedModel(StructuredWorld(task.items), seed=1, slots=8)
    comparison = Comparison(
        tasks=[task], strategies=["sequential", "adaptive:gate=off"], models=[model], seed=1, simulated=True
    )
    with RecordFile(tmp_path / "r.jsonl", comparison.header) as file:
        await compare(comparison, file)
    base, adaptive = summarize(file.records)
    assert adaptive.activation_ratio > 0.5
    assert adaptive.against is not None
    assert adaptive.against.token_latency_speedup > 1
    assert SIMULATED in markdown(comparison.header, file.records, [base, adaptive])
    assert "SIMULATION" in str(tables([base, adaptive], simulated=True)[0].title)
