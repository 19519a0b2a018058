"""Results, plans and runs as a line, as Markdown, on a terminal: short, and safe whatever a model wrote."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from tests.cli.played import PLAN, RESULT
from weaver import Plan, Run, Subtask, Task, Weaver
from weaver._data.result import Answer, ErrorReport, Result
from weaver.testing import Scripted, ScriptedModel, virtual_time

NASTY = "a | b\n# head\n\x1b[31mred <script>alert(1)</script> `x` [l](http://x) [bold]y[/bold]" + "z" * 5000


@pytest.fixture
def anyio_backend():
    return virtual_time()


def printed(value: object, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(value)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_result_in_a_line():
    assert repr(RESULT) == (
        "<Result complete: 'Kyoto, because of the gardens.' "
        "(2 threads · 4 calls · 150 tokens · $0.0123 · 2.5 s · 1 note)>"
    )
    failed = Result("r", "failed", "", "s", "m", error=ErrorReport("NoAnswerError", "Every thread failed."))
    assert repr(failed).startswith("<Result failed: Every thread failed. (0 threads")
    assert len(repr(replace(RESULT, answer=NASTY))) < 250
    assert "\x1b" not in repr(replace(RESULT, answer=NASTY))


def test_a_plan_in_a_line():
    assert repr(PLAN) == str(PLAN) == "<Plan of 3 subtasks: a; b; c after a, b>"
    assert repr(Plan(parallel=False, reason="one call")) == "<Plan: answer directly (one call)>"
    assert repr(PLAN.subtasks[2]) == str(PLAN.subtasks[2]) == "<Subtask c after a, b: 'Which one?'>"
    many = Plan(parallel=True, subtasks=tuple(Subtask(id=f"s{i}", prompt=NASTY) for i in range(30)))
    assert len(repr(many)) < 250
    assert "and 22 more" in repr(many)


def test_a_weaver_in_a_line():
    weaver = Weaver(
        "openai/gpt-5-mini",
        api_key="sk-secret",
        headers={"X-Key": "hidden"},
        deadline=30,
        base_url="http://u:pw@h/v1",
    )
    assert repr(weaver) == "<Weaver openai/gpt-5-mini: deadline=30.0>"
    assert repr(Weaver(ScriptedModel(), strategy="fixed:k=2")) == "<Weaver scripted: strategy=fixed:k=2>"


@pytest.mark.anyio
async def test_what_a_strategy_holds_in_a_line():
    seen = {}

    async def method(run: Run, task: Task) -> Answer:
        async with run.fork([Task("one"), Task("two")]) as threads:
            seen["threads"], seen["thread"] = repr(threads), repr(threads.all[0])
            await threads.join()
            seen["joined"], seen["done"] = repr(threads), repr(threads.all[0])
        async with run.call("hello") as call:
            seen["call"] = repr(call)
        seen["run"] = repr(run)
        return threads.all[0].result

    model = ScriptedModel([Scripted("It is 42.", first=2)])
    run = Weaver(model, strategy=method).stream("What is 6 x 7?", run_id="r1")
    assert repr(run) == "<RunStream not begun>"
    async with run:
        assert repr(run) == "<RunStream running>"
        await run.wait()
    assert repr(run).startswith("<RunStream finished: <Result complete: 'It is 42.' (2 threads")
    assert "It is 42." in run._repr_markdown_()
    assert seen == {
        "threads": "<Threads: 2 waiting>",
        "thread": "<Thread t1: 'one' waiting>",
        "joined": "<Threads: 2 succeeded>",
        "done": "<Thread t1: 'one' succeeded in 2.0 s>",
        "call": "<Call call/0 to scripted: open, ''>",
        "run": "<Run r1 at its root: 'What is 6 x 7?'>",
    }


def test_a_result_as_markdown():
    text = RESULT._repr_markdown_()
    assert text.startswith("Kyoto, because of the gardens.\n\n*complete · adaptive · scripted · 2 threads")
    assert "| a | Kyoto | succeeded | 1.0 s |" in text
    assert "- the planner was repaired once" in text


def test_a_plan_as_markdown():
    text = PLAN._repr_markdown_()
    assert "| c | Choose | a, b |  | Which one? |" in text
    assert text.endswith("*two look-ups*")
    assert Plan(parallel=False)._repr_markdown_() == "*Answer directly*"


def test_names_and_prompts_stay_in_their_cells():
    plan = Plan(parallel=True, reason=NASTY, subtasks=(Subtask(id="a", title=NASTY[:400], prompt=NASTY),))
    rows = [line for line in plan._repr_markdown_().splitlines() if line.startswith("|")]
    assert len(rows) == 3
    assert "<script>" not in rows[2].replace("\\<", "")
    assert "\x1b" not in plan._repr_markdown_()
    assert len(rows[2]) < 1200
    threads = (replace(RESULT.threads[0], title=NASTY),)
    assert "\x1b" not in replace(RESULT, threads=threads, answer=NASTY)._repr_markdown_()


@pytest.mark.parametrize("width", [20, 100])
def test_on_a_terminal(width: int):
    text = printed(RESULT, width)
    for word in ("Kyoto", "succeeded", "(settled)", "repaired"):
        assert word in " ".join(text.split()) or width == 20
    assert "Which one?" in printed(PLAN)
    threads = (replace(RESULT.threads[0], title=NASTY),)
    nasty = replace(RESULT, answer=NASTY, notes=(NASTY,), threads=threads)
    for value in (
        nasty,
        Plan(parallel=True, subtasks=(Subtask(id="a", prompt=NASTY),)),
        Plan(parallel=False),
    ):
        shown = printed(value, width)
        assert "\x1b" not in shown
    assert "[bold]" in printed(Plan(parallel=False, reason="[bold]y[/bold]"))
