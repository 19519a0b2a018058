"""``concat``: parts as they are, in order, told as they become complete."""

from __future__ import annotations

import json

import pytest

from weaver import Plan, Subtask, Weaver
from weaver.errors import ServerError, WeaverError
from weaver.events import AnswerDelta, AnswerStarted
from weaver.testing import Scripted, ScriptedModel, virtual_time

pytestmark = pytest.mark.anyio

TASK = "Describe apples, pears and plums."
TITLES = ("Apples", "Pears", "Plums")


@pytest.fixture
def anyio_backend():
    return virtual_time()


def plan() -> Plan:
    subtasks = tuple(Subtask(id=f"p{i}", title=t, prompt=f"On {t}.") for i, t in enumerate(TITLES, 1))
    return Plan(parallel=True, subtasks=subtasks)


async def told(model: ScriptedModel, strategy: str = "adaptive:merge=concat"):
    """The result, and what was told when: (seconds, text), a new start empties it."""
    import anyio

    heard: list[tuple[float, str]] = []
    begun = anyio.current_time()
    async with Weaver(model, strategy=strategy).stream(TASK, plan=plan()) as run:
        async for event in run:
            if isinstance(event, AnswerStarted):
                heard.clear()
            if isinstance(event, AnswerDelta):
                heard.append((anyio.current_time() - begun, event.text))
    return run.result, heard


async def test_short_parts_are_lines_and_long_ones_stand_under_headings():
    model = ScriptedModel(
        [
            Scripted("red and sweet", when="On Apples"),
            Scripted("green\nand soft", when="On Pears"),
            Scripted("**Plums**\n\nblue", when="On Plums"),
        ]
    )
    result, _ = await told(model)
    assert result.answer == "Apples: red and sweet\n\n## Pears\n\ngreen\nand soft\n\n**Plums**\n\nblue"
    assert result.status == "complete"
    assert len(model.requests) == 3


async def test_each_part_is_told_as_soon_as_those_before_it_are_complete():
    model = ScriptedModel(
        [
            Scripted("red", when="On Apples", first=2),
            Scripted("green", when="On Pears", first=1),
            Scripted("blue", when="On Plums", first=5),
        ]
    )
    result, heard = await told(model, "adaptive:merge=concat,hedge=false")
    assert [text for _, text in heard] == ["Apples: red\nPears: green", "\nPlums: blue"]
    assert [round(at) for at, _ in heard] == [2, 5]
    assert "".join(text for _, text in heard) == result.answer


async def test_a_lost_part_is_named_at_the_end():
    model = ScriptedModel(
        [
            Scripted("red", when="On Apples"),
            Scripted(error=ServerError("down"), when="On Pears"),
            Scripted("blue", when="On Plums"),
        ]
    )
    result, heard = await told(model, "adaptive:merge=concat,replans=0")
    assert result.answer.startswith("Apples: red\nPlums: blue\n\nMissing: Pears: failed")
    assert result.status == "partial"
    assert "".join(text for _, text in heard) == result.answer


def claims(value: str) -> str:
    claim = {"subject": "fruit", "attribute": "price", "value": value}
    return f"```claims\n{json.dumps([claim])}\n```"


async def test_only_the_part_that_is_wrong_is_corrected():
    model = ScriptedModel(
        [
            Scripted("At 5 euros, as agreed.", when="Correct a text"),
            Scripted(f"At 5 euros.\n{claims('5 euros')}", when="On Apples"),
            Scripted(f"At 9 euros, as agreed.\n{claims('9 euros')}", when="On Pears"),
            Scripted(f"Also 5 euros.\n{claims('5 euros')}", when="On Plums"),
        ]
    )
    result, heard = await told(model, "adaptive:merge=concat,conflicts=majority")
    assert result.answer == "Apples: At 5 euros.\nPears: At 5 euros, as agreed.\nPlums: Also 5 euros."
    asked = [r.request for r in model.requests if "Correct a text" in r.request.messages[0].content]
    assert len(asked) == 1
    assert "9 euros" in asked[0].messages[-1].content
    assert "Also" not in asked[0].messages[-1].content
    assert "".join(text for _, text in heard) == result.answer
    assert any("'Pears' was corrected" in note for note in result.notes)


async def test_a_correction_that_fails_leaves_the_text_and_says_so():
    model = ScriptedModel(
        [
            Scripted(error=ServerError("down"), when="Correct a text"),
            Scripted(f"At 5 euros.\n{claims('5 euros')}", when="On Apples"),
            Scripted(f"At 9 euros.\n{claims('9 euros')}", when="On Pears"),
            Scripted(f"5 euros.\n{claims('5 euros')}", when="On Plums"),
        ]
    )
    result, _ = await told(model, "adaptive:merge=concat,conflicts=majority")
    assert "Pears: At 9 euros." in result.answer
    assert any("could not be corrected" in note for note in result.notes)


async def test_objects_are_merges_and_unknown_names_are_refused():
    from functools import partial

    from weaver import Answer
    from weaver._strategies.planned.adaptive import adaptive

    async def count(run, task, parts):
        return Answer(f"{len(parts.findings)} parts")

    model = ScriptedModel("found")
    result = await Weaver(model, strategy=partial(adaptive, merge=count)).run(TASK, plan=plan())
    assert result.answer == "3 parts"
    with pytest.raises(WeaverError, match="nonsense"):
        await Weaver(model, strategy="adaptive:merge=nonsense").run(TASK)


@pytest.mark.parametrize("merge", ["write", "concat"])
async def test_listeners_hear_nothing_of_the_merges_of_threads(merge):
    inner = {
        "parallel": True,
        "subtasks": [
            {"id": "x", "title": "X", "prompt": "inner one"},
            {"id": "y", "title": "Y", "prompt": "inner two"},
        ],
    }
    subtasks = (
        Subtask(id="a", title="A", prompt="Compare the sums 1+1 and 2+2."),
        Subtask(id="b", title="B", prompt="outer"),
    )
    model = ScriptedModel(
        [
            Scripted("merged by write", when="Several workers", first=1),
            Scripted(json.dumps(inner), when="You decide how a task is worked on"),
            Scripted("secret", when="inner"),
            Scripted("outer text", when="outer", first=9),
        ]
    )
    starts, heard = 0, ""
    weaver = Weaver(model, strategy=f"adaptive:merge={merge},gate=off,conflicts=off,hedge=false")
    async with weaver.stream(TASK, plan=Plan(parallel=True, subtasks=subtasks)) as run:
        async for event in run:
            starts += isinstance(event, AnswerStarted)
            heard += event.text if isinstance(event, AnswerDelta) else ""
    assert len(run.result.threads) == 4
    assert starts == 1
    assert heard == run.result.answer


async def test_a_part_that_was_cut_stands_as_far_as_it_came_and_is_named():
    model = ScriptedModel(
        [
            Scripted("red", when="On Apples"),
            Scripted("word " * 200, when="On Pears", each=0.5),
            Scripted("blue", when="On Plums"),
        ]
    )
    weaver = Weaver(model, strategy="adaptive:merge=concat,hedge=false", deadline=20)
    result = await weaver.run(TASK, plan=plan())
    assert result.status == "partial"
    assert result.answer.startswith("Apples: red\n")
    assert result.answer.count("word") >= 20
    assert "Plums: blue" in result.answer
    assert "Missing: Pears: only a part was finished." in result.answer
    assert result.metrics.wall_seconds <= 20
