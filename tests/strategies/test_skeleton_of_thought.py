"""Skeleton-of-Thought: the router, the skeleton, points in order."""

from __future__ import annotations

import pytest

from weaver import Weaver
from weaver._models.protocol import Capabilities
from weaver._testing.scripted import text_of
from weaver.errors import ServerError
from weaver.events import AnswerDelta, AnswerStarted
from weaver.testing import Scripted, ScriptedModel

pytestmark = pytest.mark.anyio

ROUTE, ORGANISE, EXPAND = "A, B or C", "Write only the skeleton", "Write only point"
LIST = Scripted('{"organisation": "A"}', when=ROUTE)
SKELETON = Scripted(" Buy apples\n2. Peel them\n3.Bake\n2. Again", when=ORGANISE)


def point(number: int, text: str, **how: float) -> Scripted:
    return Scripted(text, when=f"{EXPAND} {number} ", **how)


async def test_points_are_written_at_the_same_time_and_joined_in_order():
    model = ScriptedModel(
        [LIST, SKELETON, point(1, "one", first=3), point(2, "two", first=2), point(3, "three")]
    )
    result = await Weaver(model, strategy="skeleton_of_thought").run("How do I make a pie?")
    assert result.answer == "1. Buy apples one\n2. Peel them two\n3. Bake three"
    assert len(model.requests) == 5  # nothing merges the points
    expansions = [r for r in model.requests if EXPAND in text_of(r.request)]
    assert [r.at for r in expansions] == [0, 0, 0]
    assert [r.request.messages[-1].content for r in expansions] == [
        "1. Buy apples",
        "2. Peel them",
        "3. Bake",
    ]
    assert all(
        "```skeleton\n1. Buy apples\n2. Peel them\n3. Bake\n```" in text_of(r.request) for r in expansions
    )
    assert result.decision.parallel
    assert model.requests[1].request.messages[-1].content == "1."


@pytest.mark.parametrize(("verdict", "why"), [("B", "build on each other"), ("C", "is not a list")])
async def test_the_router_sends_other_tasks_to_one_line(verdict, why):
    model = ScriptedModel([Scripted(f'{{"organisation": "{verdict}"}}', when=ROUTE), Scripted("direct")])
    result = await Weaver(model, strategy="skeleton_of_thought").run("Prove it.")
    assert result.answer == "direct"
    assert why in result.decision.reason
    assert result.threads == ()


async def test_without_a_router_every_task_gets_a_skeleton():
    model = ScriptedModel([SKELETON, Scripted("x", when=EXPAND)])
    result = await Weaver(model, strategy="skeleton_of_thought:router=false").run("q")
    assert len(result.threads) == 3


async def test_a_skeleton_without_a_list_is_answered_directly():
    model = ScriptedModel([LIST, Scripted("no list here", when=ORGANISE), Scripted("direct")])
    result = await Weaver(model, strategy="skeleton_of_thought").run("q")
    assert (result.answer, result.decision.reason) == ("direct", "there is no skeleton")


async def test_a_router_that_fails_is_noted():
    model = ScriptedModel([Scripted(error=ServerError("down"), when=ROUTE), Scripted("direct")])
    result = await Weaver(model, strategy="skeleton_of_thought").run("q")
    assert result.answer == "direct"
    assert any("The router failed (down)" in note for note in result.notes)


async def test_points_beyond_the_most_are_left_out():
    model = ScriptedModel([LIST, SKELETON, Scripted("x", when=EXPAND)])
    result = await Weaver(model, strategy="skeleton_of_thought:max_points=2").run("q")
    assert "a numbered list of 2 to 2 points" in text_of(model.requests[1].request)
    assert [t.title for t in result.threads] == ["Buy apples", "Peel them"]


async def test_a_lost_point_is_missing_and_the_others_stay():
    model = ScriptedModel(
        [LIST, SKELETON, point(2, "", error=ServerError("down")), Scripted("x", when=EXPAND)]
    )
    result = await Weaver(model, strategy="skeleton_of_thought").run("q")
    assert (result.status, result.answer) == ("partial", "1. Buy apples x\n3. Bake x")


async def test_the_answer_is_heard_in_order_as_points_are_finished():
    model = ScriptedModel(
        [LIST, SKELETON, point(1, "one", first=1), point(2, "two", first=9), point(3, "three")]
    )
    async with Weaver(model, strategy="skeleton_of_thought").stream("q") as run:
        told = [e async for e in run if isinstance(e, (AnswerStarted, AnswerDelta))]
    heard = [getattr(event, "text", "|") for event in told]
    assert heard == ["|", "1. Buy apples one\n", "2. Peel them two\n", "3. Bake three\n"]


async def test_without_prefix_continuation_the_points_are_asked_for_in_words():
    can = Capabilities(json_schema=True)
    model = ScriptedModel(
        [LIST, Scripted("1. One\n2. Two", when=ORGANISE), Scripted("x", when=EXPAND)], can=can
    )
    result = await Weaver(model, strategy="skeleton_of_thought").run("q")
    assert result.answer == "1. One x\n2. Two x"
    assert not any(r.request.prefill for r in model.requests)
