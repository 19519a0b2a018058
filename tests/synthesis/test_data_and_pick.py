"""``data`` puts typed parts together by code; ``pick`` takes one part as it is."""

from __future__ import annotations

from typing import Any

import pytest

from weaver import Plan, Subtask, Weaver
from weaver.testing import Scripted, ScriptedModel, virtual_time

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


def plan(*needs: tuple[str, ...]) -> Plan:
    return Plan(
        parallel=True,
        subtasks=tuple(
            Subtask(id=f"p{i}", title=f"T{i}", prompt=f"part {i}", depends_on=after)
            for i, after in enumerate(needs, 1)
        ),
    )


def model(*texts: str, **others: str) -> ScriptedModel:
    return ScriptedModel(
        [
            Scripted(others.get("merged", "merged"), when="Several workers"),
            Scripted(others.get("judged", "?"), when="Choose the best answer"),
            *(Scripted(text, when=f"part {i}") for i, text in enumerate(texts, 1)),
        ]
    )


@pytest.mark.parametrize(
    ("output", "texts", "whole"),
    [
        (list[int], ("[1, 2]", "[3]"), [1, 2, 3]),
        (list[int], ('{"value": [1, 2]}', '{"value": [3]}'), [1, 2, 3]),
        (dict[str, int], ('{"a": 1}', '{"b": 2}'), {"a": 1, "b": 2}),
        (int, ("40", "2"), 42),
        (float, ("0.5", "2"), 2.5),
    ],
)
async def test_typed_parts_are_put_together_without_a_call(output: Any, texts, whole):
    scripted = model(*texts)
    weaver = Weaver(scripted, strategy="adaptive:merge=data")
    result = await weaver.run("Do it.", output=output, plan=plan((), ()))
    assert result.output == whole
    assert result.status == "complete"
    assert len(scripted.requests) == 2


async def test_values_that_clash_are_written_with_a_note():
    scripted = model('{"a": 1}', '{"a": 2}', merged='{"a": 2}')
    weaver = Weaver(scripted, strategy="adaptive:merge=data,conflicts=off")
    result = await weaver.run("Do it.", output=dict[str, int], plan=plan((), ()))
    assert result.output == {"a": 2}
    assert any("not put together as data" in note for note in result.notes)


async def test_auto_takes_parts_that_are_data_and_writes_of_prose_without_a_note():
    scripted = model("[1]", "```json\n[2]\n```")
    result = await Weaver(scripted).run("Do it.", output=list[int], plan=plan((), ()))
    assert (result.output, len(scripted.requests)) == ([1, 2], 2)
    scripted = model("one", "two", merged="[1, 2]")
    result = await Weaver(scripted).run("Do it.", output=list[int], plan=plan((), ()))
    assert (result.output, result.notes) == ([1, 2], ())


async def test_pick_takes_the_part_that_needs_all_others():
    scripted = model("one", "two", "the whole")
    weaver = Weaver(scripted, strategy="adaptive:merge=pick,prune=off")
    result = await weaver.run("Do it.", plan=plan((), ("p1",), ("p2",)))
    assert result.answer == "the whole"
    assert len(scripted.requests) == 3


@pytest.mark.parametrize(
    ("texts", "judged", "answer", "calls"),
    [
        (("Paris.", "Rome", "paris"), "", "Paris.", 3),
        (("Paris", "Rome", "Oslo"), "2", "Rome", 4),
        (("Paris", "Rome", "Oslo"), "none of them", "Paris", 4),
        (("Paris", "Rome", "Oslo"), "17", "Paris", 4),
    ],
)
async def test_pick_votes_else_judges(texts, judged, answer, calls):
    scripted = model(*texts, judged=judged)
    weaver = Weaver(scripted, strategy="adaptive:merge=pick,conflicts=off,prune=off")
    result = await weaver.run("Do it.", plan=plan((), (), ()))
    assert result.answer == answer
    assert len(scripted.requests) == calls
