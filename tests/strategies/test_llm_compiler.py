"""LLMCompiler: when calls start, references, failures, the joiner, replanning."""

from __future__ import annotations

import json

import anyio
import pytest

from weaver import Weaver, tool
from weaver._testing.scripted import text_of
from weaver.testing import Scripted, ScriptedModel

pytestmark = pytest.mark.anyio

PLAN, JOIN, LAST = "Write a plan of tool calls", "what they gave", "Give the best answer"
FINISH = json.dumps({"thought": "enough", "action": "finish", "answer": "done"})
called: list[tuple[float, str, object]] = []


@pytest.fixture(autouse=True)
def _forget():
    called.clear()


@tool
async def search(query: str) -> str:
    """Look something up."""
    called.append((anyio.current_time(), "search", query))
    await anyio.sleep(5 if "slow" in query else 1)
    return f"found {query}"


@tool
async def add(a: float, b: float) -> float:
    """Add two numbers."""
    called.append((anyio.current_time(), "add", (a, b)))
    return a + b


@tool
async def broken(what: str) -> str:
    """Never works."""
    raise ValueError(f"no {what}")


TOOLS = [search, add, broken]


def plan(*lines: str, when=PLAN, times: int | None = None) -> Scripted:
    return Scripted("\n".join((*lines, "join()<END_OF_PLAN>")), when=when, times=times)


async def run(model: ScriptedModel, **options):
    text = ":" + ",".join(f"{k}={v}" for k, v in options.items()) if options else ""
    return await Weaver(model, strategy=f"llm_compiler{text}").run("the task", tools=TOOLS)


async def test_calls_start_while_the_plan_is_still_being_written():
    lines = '1. search("one")\n2. search("two")\njoin()'
    model = ScriptedModel([Scripted(lines, when=PLAN, each=10), Scripted(FINISH, when=JOIN)])
    await run(model)
    planned = model.requests[0]
    assert [c[2] for c in called] == ["one", "two"]
    assert called[0][0] < planned.closed_at


async def test_a_call_starts_as_soon_as_what_it_refers_to_is_there():
    model = ScriptedModel(
        [
            plan('1. search("a")', '2. search("slow")', '3. search("$1 again")', '4. search("$3 and ${2}")'),
            Scripted(FINISH, when=JOIN),
        ]
    )
    result = await run(model)
    assert called == [
        (0, "search", "a"),
        (0, "search", "slow"),
        (1, "search", "found a again"),
        (5, "search", "found found a again and found slow"),
    ]
    assert result.answer == "done"
    assert [t.state for t in result.threads] == ["succeeded"] * 4


async def test_observations_become_numbers_where_numbers_are_needed():
    model = ScriptedModel([plan("1. add(17, 25)", "2. add($1, b=${1})"), Scripted(FINISH, when=JOIN)])
    await run(model)
    assert called[1][2] == (42.0, 42.0)


async def test_the_joiner_sees_all_results_as_data():
    model = ScriptedModel([plan('1. search("a")', "2. add(1, 2)"), Scripted(FINISH, when=JOIN)])
    await run(model)
    asked = text_of(model.requests[-1].request)
    assert '```call 1\n1. search(query="a")\nfound a\n```' in asked
    assert "```call 2\n2. add(a=1, b=2)\n3.0\n```" in asked


async def test_a_failed_call_is_data_and_calls_that_need_it_are_skipped():
    model = ScriptedModel(
        [plan('1. broken("x")', '2. search("$1")', '3. search("b")'), Scripted(FINISH, when=JOIN)]
    )
    result = await run(model)
    assert [t.state for t in result.threads] == ["failed", "skipped", "succeeded"]
    assert result.status == "complete"
    asked = text_of(model.requests[-1].request)
    assert "ValueError: no x" in asked
    assert "(skipped: It needs the finding of '$1 broken'" in asked


async def test_it_plans_again_at_most_so_often():
    replan = json.dumps({"thought": "need b", "action": "replan", "answer": ""})
    model = ScriptedModel(
        [
            Scripted('{"thought": "so be it", "answer": "last word"}', when=LAST),
            Scripted(replan, when=JOIN),
            plan('1. search("a")', times=1),
            plan('2. search("$1 b")', times=1),
            plan('3. search("c")', times=1),
        ]
    )
    result = await run(model, max_replans=2)
    assert result.answer == "last word"
    plans = [r.request for r in model.requests if PLAN in text_of(r.request)]
    assert len(plans) == 3
    again = text_of(plans[1])
    assert "Begin with number 2." in again
    assert '1. search(query="a")\nfound a' in again
    assert "```thought\nneed b\n```" in again
    assert called[1][2] == "found a b"  # results of earlier plans may be referred to


async def test_the_same_plan_again_is_not_run_again():
    replan = json.dumps({"thought": "hm", "action": "replan", "answer": ""})
    model = ScriptedModel(
        [
            Scripted('{"thought": "", "answer": "last word"}', when=LAST),
            Scripted(replan, when=JOIN),
            plan('1. search("a")', times=1),
            plan('2. search("a")'),
        ]
    )
    result = await run(model, max_replans=9)
    assert result.answer == "last word"
    assert len([r for r in model.requests if PLAN in text_of(r.request)]) == 2
    assert any("nothing new" in note for note in result.notes)


async def test_without_tools_the_calls_are_questions_to_threads():
    model = ScriptedModel(
        [
            plan('1. ask("What is 17 + 25?")', '2. ask("Double $1.")'),
            Scripted(FINISH, when=JOIN),
            Scripted("42", when="What is 17"),
            Scripted("84", when="Double $1."),
        ]
    )
    result = await Weaver(model, strategy="llm_compiler").run("the task")
    assert [t.answer for t in result.threads] == ["42", "84"]
    doubled = next(r.request for r in model.requests if "Double $1." in text_of(r.request))
    assert "```finding $1 ask\n42\n```" in text_of(doubled)


async def test_wrong_steps_are_left_out_and_noted():
    model = ScriptedModel(
        [
            plan(
                "Thought: I need a", '1. serch("a")', '2. search("$1")', "3. add(1, 2, 3)", '4. search("b")'
            ),
            Scripted(FINISH, when=JOIN),
        ]
    )
    result = await run(model)
    assert [c[2] for c in called] == ["b"]
    assert len(result.notes) == 3
    assert any("refers to $1, which was left out" in note for note in result.notes)
    assert any("no tool 'serch'" in note for note in result.notes)


async def test_questions_about_money_are_asked():
    model = ScriptedModel(
        [
            plan(
                '1. ask("What is $100 minus 20%?")',
                '2. ask("How many share $5?")',
                '3. ask("Divide: $1 by $2")',
            ),
            Scripted(FINISH, when=JOIN),
            Scripted("80", when="$100 minus"),
            Scripted("4", when="How many share $5"),
            Scripted("20", when="Divide"),
        ]
    )
    result = await Weaver(model, strategy="llm_compiler").run("the task")
    assert ([t.answer for t in result.threads], result.notes) == (["80", "4", "20"], ())


async def test_a_model_that_cannot_plan_answers_directly():
    model = ScriptedModel([Scripted("I would rather not.", when=PLAN), Scripted("direct")])
    result = await run(model)
    assert (result.answer, result.decision.by) == ("direct", "fallback")


async def test_a_plan_that_only_joins_goes_to_the_joiner():
    model = ScriptedModel([Scripted("join()", when=PLAN), Scripted(FINISH, when=JOIN)])
    result = await run(model)
    assert (result.answer, result.threads) == ("done", ())


async def test_a_planner_that_babbles_on_is_cut():
    text = '1. search("a")\njoin()\n' + "and so on " * 50
    model = ScriptedModel([Scripted(text, when=PLAN, each=1), Scripted(FINISH, when=JOIN)])
    await run(model)
    assert model.requests[0].closed == "cancelled"
    assert model.requests[0].words < 15


async def test_the_deadline_gives_the_results_so_far():
    model = ScriptedModel(
        [plan('1. search("a")', '2. search("slow")'), Scripted(FINISH, when=JOIN, first=60)]
    )
    result = await Weaver(model, strategy="llm_compiler", deadline=8).run("the task", tools=TOOLS)
    assert result.status == "partial"
    assert "found a" in result.answer
