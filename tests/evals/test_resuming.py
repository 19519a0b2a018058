"""Going on with a comparison: what is kept, what may grow, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from weaver._data.task import Agent
from weaver._environment.file_locks import lock
from weaver._evals.comparing import Comparison, compare
from weaver._evals.graders import grader
from weaver._evals.items import Grade, Item, TaskSet
from weaver._evals.records import Record, RecordFile, read_records
from weaver._evals.report import markdown, tables, write
from weaver._evals.summary import summarize
from weaver._evals.tasks import load
from weaver._models.protocol import Prices
from weaver._settings.settings import Settings
from weaver.errors import ConfigurationError
from weaver.testing import Scripted, ScriptedModel, virtual_time

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


def right(request) -> str:
    """Adds up the sum that it is asked for."""
    line = request.messages[-1].content.splitlines()[0].removeprefix("What is ").removesuffix("?")
    return f"Answer: {sum(map(int, line.split('+')))}"


def model(**changes: Any) -> ScriptedModel:
    return ScriptedModel([Scripted(right)], **changes)


def sums(n: int = 3, **changes: Any) -> Comparison:
    given = {"models": [model()], "strategies": ["sequential"], "seed": 3, **changes}
    return Comparison(**{"tasks": [load("tree_sum:terms=3", n=n, seed=3)], **given})


def graded_by(function: Any, n: int = 3, **changes: Any) -> Comparison:
    task = load("tree_sum:terms=3", n=n, seed=3)
    items = tuple(replace(item, grader=grader(function)) for item in task.items)
    return sums(n, tasks=[replace(task, items=items)], **changes)


async def run(path: Path, comparison: Comparison, **options: Any) -> list[Record]:
    with RecordFile(path, comparison.header) as file:
        await compare(comparison, file, **options)
        return file.records


async def test_a_file_that_is_being_written_is_refused_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    with RecordFile(path, sums().header) as file:
        with pytest.raises(ConfigurationError, match="Another `weaver compare` is writing"):
            RecordFile(path, sums().header).__enter__()
        await compare(sums(), file)
        assert len(read_records(path)[1]) == 3  # reading is allowed
    assert len(read_records(path)[1]) == 3
    with RecordFile(path, sums().header) as file:
        assert len(file.records) == 3


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    code = f"""
from pathlib import Path
from weaver._evals.records import RecordFile
import sys
file = RecordFile(Path({str(path)!r}), {sums().header!r}).__enter__()
print("locked", flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(ConfigurationError, match="Another `weaver compare` is writing"):
            RecordFile(path, sums().header).__enter__()
        other.kill()
    with RecordFile(path, sums().header) as file:
        assert file.records == []


def test_locks_are_for_one_at_a_time(tmp_path: Path) -> None:
    with (tmp_path / "f").open("a+b") as one, (tmp_path / "f").open("a+b") as two:
        assert lock(one.fileno())
        assert not lock(two.fileno())


@pytest.mark.parametrize("torn", [b"", b'{"compar', b'{"comparison": 2, "tas'])
async def test_a_file_that_has_not_even_its_header_is_begun_again(tmp_path: Path, torn: bytes) -> None:
    (tmp_path / "r.jsonl").write_bytes(torn)
    await run(tmp_path / "r.jsonl", sums())
    assert len(read_records(tmp_path / "r.jsonl")[1]) == 3


@pytest.mark.parametrize("content", ["hello", "hello\nworld", "{}\n", "5\n", '["comparison"]\n'])
async def test_another_file_is_left_as_it_is(tmp_path: Path, content: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigurationError, match="is not a file of `weaver compare`"):
        RecordFile(path, sums().header).__enter__()
    assert path.read_text(encoding="utf-8") == content


async def test_a_damaged_line_is_named_and_can_be_deleted(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    await run(path, sums())
    lines = path.read_text(encoding="utf-8").splitlines()
    for damaged in ('{"task": "tree', "[1]", '{"task": "tree_sum"}', "\x00\x00"):
        path.write_text("\n".join([*lines[:2], damaged, *lines[3:]]) + "\n", encoding="utf-8")
        with pytest.raises(ConfigurationError, match=r"r\.jsonl:3: this line is damaged.*Delete the line"):
            RecordFile(path, sums().header).__enter__()
        with pytest.raises(ConfigurationError, match=r"r\.jsonl:3: this line is damaged"):
            read_records(path)
    path.write_text("\n".join([*lines[:2], *lines[3:]]) + "\n", encoding="utf-8")
    again = model()
    assert len(await run(path, sums(models=[again]))) == 3
    assert len(again.requests) == 1


async def test_a_place_that_cannot_be_written_is_the_users_error(tmp_path: Path) -> None:
    (tmp_path / "afile").write_text("", encoding="utf-8")
    for place in (tmp_path / "afile" / "x" / "runs.jsonl", tmp_path):
        with pytest.raises(ConfigurationError, match=r"cannot be written.*another --out"):
            RecordFile(place, sums().header).__enter__()
    await run(tmp_path / "r.jsonl", sums())
    header, records = read_records(tmp_path / "r.jsonl")
    with pytest.raises(ConfigurationError, match=r"reports cannot be written.*runs are kept"):
        write(tmp_path / "afile", header, records, summarize(records))


async def test_a_grader_that_fails_costs_no_run_and_stops_nothing(tmp_path: Path) -> None:
    path, broken = tmp_path / "r.jsonl", True

    async def mine(answer: str, item: Item) -> bool:
        if item.id == "1" and broken:
            raise KeyError("x")
        return f"Answer: {item.answer}" == answer

    first = model()
    records = await run(path, graded_by(mine, models=[first]))
    assert [(r.graded, r.correct) for r in records] == [(True, True), (False, False), (True, True)]
    assert records[1].why == "not graded: The grader mine raised KeyError for item '1': 'x'."
    assert len(first.requests) == 3

    [found] = summarize(read_records(path)[1])
    assert (found.accuracy, found.runs, found.items, found.ungraded, found.failed) == (1.0, 3, 3, 1, 0)
    text = markdown({}, records, [found])
    assert "left out of accuracy: sequential 1" in text
    assert "| not graded |" in text

    again = model()
    assert [r.graded for r in await run(path, graded_by(mine, models=[again]))].count(False) == 1
    broken = False
    told: list[Record] = []
    records = await run(path, graded_by(mine, models=[again]), on_record=told.append)
    assert [(r.item, r.graded, r.correct) for r in told] == [("1", True, True)]
    assert again.requests == []
    assert all(r.correct for r in records)
    assert all(r.correct for r in read_records(path)[1])


async def test_the_whole_answer_is_kept_until_it_is_graded(tmp_path: Path) -> None:
    path, broken = tmp_path / "r.jsonl", True
    long = "x" * 9000 + " Answer: 1"

    def mine(answer: str, item: Item) -> bool:
        if broken:
            raise ValueError("not now")
        return answer == long

    [record] = await run(path, graded_by(mine, n=1, models=[ScriptedModel(long)]))
    assert not record.graded
    broken = False
    [record] = await run(path, graded_by(mine, n=1))
    assert record.correct
    assert len(record.answer) == 4000


async def test_an_interruption_while_grading_keeps_the_answer(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"

    async def slow(answer: str, item: Item) -> bool:
        await anyio.sleep(10)
        return True

    with anyio.move_on_after(5):
        await run(path, graded_by(slow, n=1))
    [record] = read_records(path)[1]
    assert (record.graded, record.why) == (False, "not graded: interrupted")
    again = model()
    [record] = await run(path, graded_by(slow, n=1, models=[again]))
    assert record.correct
    assert again.requests == []


async def test_a_judge_without_a_verdict_is_named_with_its_item(tmp_path: Path) -> None:
    judge = ScriptedModel(["I think so."] * 3 + ['{"reason": "same", "correct": true}'] * 2, name="the/judge")
    task = load("tree_sum:terms=3,grader=judge", n=2, seed=3, judge=judge)
    records = await run(tmp_path / "r.jsonl", sums(tasks=[task]))
    assert [r.graded for r in records] == [False, True]
    assert records[0].why.startswith("not graded: The judge the/judge gave no verdict on item '0': ")
    records = await run(tmp_path / "r.jsonl", sums(tasks=[task]))
    assert all(r.correct for r in records)


async def test_where_nothing_was_graded_nothing_is_said_about_accuracy(tmp_path: Path) -> None:
    def mine(answer: str, item: Item) -> Grade:
        raise ValueError("no")

    comparison = graded_by(mine, strategies=["sequential", "self_consistency:samples=2"])
    records = await run(tmp_path / "r.jsonl", comparison)
    summaries = summarize(records)
    assert [s.accuracy for s in summaries] == [None, None]
    assert summaries[1].against is not None
    assert summaries[1].against.accuracy_gain is None
    assert summaries[1].against.p_value is None
    assert summaries[1].against.wall_speedup >= 0
    assert write(tmp_path / "out", comparison.header, records, summaries) == []
    assert "not graded" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert len(tables(summaries)) == 1


async def test_more_items_go_on_where_the_first_are_the_same(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    await run(path, sums(2))
    more = model()
    records = await run(path, sums(4, models=[more], concurrency=2))
    assert [r.item for r in records] == ["0", "1", "2", "3"]
    assert len(more.requests) == 2
    assert [r.concurrency for r in records] == [1, 1, 2, 2]
    header, _ = read_records(path)
    assert len(header["tasks"]["tree_sum:terms=3"]) == 4
    assert "1 to 2 at a time" in markdown(header, records, summarize(records))
    with pytest.raises(ConfigurationError, match=r"tree_sum:terms=3: 4 items there, 2 now"):
        RecordFile(path, sums(2).header).__enter__()


async def test_edited_items_are_another_comparison(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    items = [Item(str(i), f"q{i}", "1", grader("exact")) for i in range(3)]

    def task(*changed: Item) -> list[TaskSet]:
        return [TaskSet("mine.jsonl", changed)]

    header = sums(tasks=task(*items)).header
    RecordFile(path, header).__enter__().__exit__(None, None, None)
    edited = replace(items[1], answer="2")
    with pytest.raises(ConfigurationError, match=r"mine.jsonl: item 2 has another question, answer or"):
        RecordFile(path, sums(tasks=task(items[0], edited, items[2])).header).__enter__()
    with pytest.raises(ConfigurationError, match=r"item 1 and 2 more has another"):
        RecordFile(path, sums(tasks=task(items[1], items[2], items[0])).header).__enter__()
    with pytest.raises(ConfigurationError, match=r"tasks: mine.jsonl there, other.jsonl now"):
        RecordFile(path, sums(tasks=[TaskSet("other.jsonl", tuple(items))]).header).__enter__()


async def test_endpoints_and_agents_are_part_of_what_is_compared(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    secret = "http://me:hunter2@one.example:8080/v1?key=hunter3"
    one = model(name="m", endpoint=secret)
    agents = (Agent("a", "d", "be brief"),)
    settings = Settings(planner_model=model(name="p", endpoint=secret), agents=agents)
    await run(path, sums(1, models=[one], settings=settings))
    assert "hunter" not in path.read_text(encoding="utf-8")
    header, _ = read_records(path)
    assert header["models"] == {"m": "http://one.example:8080/v1"}
    assert header["roles"] == {"planner_model": "p at http://one.example:8080/v1"}

    def refused(**changes: Any) -> str:
        given = {"models": [one], "settings": settings, **changes}
        with pytest.raises(ConfigurationError) as info:
            RecordFile(path, sums(1, **given).header).__enter__()
        return info.value.message

    assert "model m: at 'http://one.example:8080/v1' there, at 'http://two/v1' now" in refused(
        models=[model(name="m", endpoint="http://two/v1")]
    )
    assert "agents: " in refused(settings=settings.changed(agents=(Agent("a", "d", "be long"),)))
    assert "roles: " in refused(settings=settings.changed(planner_model=model(name="p")))
    # Another model may be added, and the first is not forgotten.
    other = model(name="n", endpoint="http://two/v1")
    await run(path, sums(1, models=[other], settings=settings))
    assert len(read_records(path)[1]) == 2
    assert "model m: at" in refused(models=[model(name="m", endpoint="http://two/v1"), other])


async def test_a_file_of_an_earlier_version_can_be_reported_only(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    await run(path, sums())
    _, *lines = path.read_text(encoding="utf-8").splitlines()
    old = json.dumps({"comparison": 1, "tasks": {"tree_sum:terms=3": 3}, "concurrency": 1})
    path.write_text("\n".join([old, *lines]) + "\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"another version of weaver.*--report-only"):
        RecordFile(path, sums().header).__enter__()
    assert len(read_records(path)[1]) == 3


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"strategies": ["sequential", "sequential"]}, "The strategy 'sequential' is given twice"),
        ({"models": [model(), model()]}, "The model 'scripted' is given twice"),
        ({"tasks": [load("tree_sum", n=1, seed=0)] * 2}, "The task 'tree_sum' is given twice"),
        ({"settings": Settings(max_cost=1.0)}, "prices of scripted are unknown"),
        (
            {
                "models": [model(prices=Prices(1, 1))],
                "settings": Settings(max_cost=1.0, judge_model=model(name="judge")),
            },
            "prices of judge are unknown",
        ),
    ],
)
async def test_what_cannot_be_run_is_refused_before_anything_is_paid(
    tmp_path: Path, changes: dict[str, Any], match: str
) -> None:
    comparison = sums(1, **changes)
    with pytest.raises(ConfigurationError, match=match):
        await run(tmp_path / "r.jsonl", comparison)
    assert all(m.requests == [] for m in comparison.models)
