"""``reference``: a written frame, in which the parts stand as they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weaver import Plan, Subtask, Weaver
from weaver._synthesis.reference import Frame
from weaver.errors import ServerError
from weaver.events import AnswerDelta, AnswerStarted
from weaver.testing import Scripted, ScriptedModel, virtual_time

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


def plan() -> Plan:
    subtasks = tuple(Subtask(id=f"p{i}", title=f"T{i}", prompt=f"part {i}") for i in (1, 2))
    return Plan(parallel=True, subtasks=subtasks)


async def merged(frame: str | Scripted):
    if isinstance(frame, str):
        frame = Scripted(frame, when="Write the frame of the answer:", each=0.1)
    model = ScriptedModel(
        [frame, Scripted("the first [[2]]", when="part 1"), Scripted("the second", when="part 2")]
    )
    heard = ""
    async with Weaver(model, strategy="adaptive:merge=reference,conflicts=off").stream(
        "Compare.", plan=plan()
    ) as run:
        async for event in run:
            if isinstance(event, AnswerStarted):
                heard = ""
            if isinstance(event, AnswerDelta):
                heard += event.text
    assert heard.strip() == run.result.answer.strip()
    return run.result


async def test_parts_stand_at_their_marks_and_their_own_marks_are_text():
    result = await merged("Two things. [[2]] and then [[1]] , so it is.")
    assert result.answer == "Two things. the second and then the first [[2]] , so it is."
    assert (result.status, result.notes) == ("complete", ())


async def test_marks_of_no_part_are_left_out_and_unused_parts_are_added():
    result = await merged("Intro. [[2]] [[7]] [[2]] End.")
    assert result.answer.startswith("Intro. the second")
    assert result.answer.endswith("End.\n\nthe first [[2]]")
    assert "[[7]]" not in result.answer
    assert any("[[7]]" in note for note in result.notes)
    assert any("more than once" in note for note in result.notes)


async def test_a_synthesizer_that_fails_leaves_the_parts():
    result = await merged(Scripted(when="Write the frame of the answer:", error=ServerError("down")))
    assert result.answer.strip() == "the first [[2]]\n\nthe second"
    assert result.status == "partial"
    assert any("synthesizer failed" in note for note in result.notes)


@given(st.lists(st.sampled_from(["[", "[[", "]", "]]", "1", "2", "99", " ", "text"]), max_size=30))
def test_the_pieces_in_which_a_frame_comes_do_not_matter(pieces: list[str]):
    at_once, bit_by_bit = Frame(["first", "[[1]]"]), Frame(["first", "[[1]]"])
    whole = at_once.add("".join(pieces)) + at_once.rest()
    assert "".join(map(bit_by_bit.add, pieces)) + bit_by_bit.rest() == whole
    assert at_once.unknown == bit_by_bit.unknown
    assert "first" in whole
