"""What the adaptive strategy answers when threads, planners or time are lost."""

from __future__ import annotations

import re

import pytest

from tests.strategies.planned.plans import PLANNER, SURE, SYNTHESIZER, plan_text
from weaver import Weaver
from weaver.errors import ServerError, StreamInterruptedError
from weaver.testing import Scripted, ScriptedModel, virtual_time

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


async def test_a_failed_thread_is_missing_from_the_answer_and_said_so():
    model = ScriptedModel(
        [
            Scripted(plan_text("p one", "p two"), when=PLANNER),
            Scripted("merged", when=SYNTHESIZER),
            Scripted("found one", when="p one"),
            Scripted(when="p two", error=ServerError("500 from the server.")),
        ]
    )
    result = await Weaver(model).run(SURE)
    assert result.status == "partial"
    asked = model.requests[-1].request.messages[-1].content
    assert "found one" in asked
    assert "T2" in asked
    assert "missing" in asked
    assert result.threads[1].state == "failed"


async def test_when_every_thread_fails_the_task_is_answered_directly():
    model = ScriptedModel(
        [
            Scripted(plan_text("p one", "p two"), when=PLANNER),
            Scripted(when="p ", error=ServerError("500.")),
            Scripted("direct answer"),
        ]
    )
    result = await Weaver(model).run(SURE)
    assert result.answer == "direct answer"
    assert result.decision.by == "fallback"


async def test_a_deadline_leaves_the_synthesizer_its_share():
    model = ScriptedModel(
        [
            Scripted(plan_text("p quick", "p endless"), when=PLANNER),
            Scripted("merged in time", when=SYNTHESIZER, each=0.2),
            Scripted("found", when="p quick"),
            Scripted("on and on " * 1000, when="p endless", each=0.5),
        ]
    )
    result = await Weaver(model, deadline=10).run(SURE)
    assert result.answer == "merged in time"
    assert result.status == "partial"
    assert result.metrics.wall_seconds < 10
    endless = next(t for t in result.threads if t.id == "s2")
    assert endless.answer.startswith("on and on")


async def test_a_failing_synthesizer_leaves_the_findings():
    model = ScriptedModel(
        [
            Scripted(plan_text("p one", "p two"), when=PLANNER),
            Scripted("half a", when=SYNTHESIZER, error=StreamInterruptedError("cut."), error_after=1),
            Scripted("found", when="p "),
        ]
    )
    result = await Weaver(model).run(SURE)
    assert result.status == "partial"
    assert "T1: found" in result.answer
    assert any("synthesizer failed" in n for n in result.notes)


async def test_what_was_lost_is_planned_anew_with_the_story_so_far():
    model = ScriptedModel(
        [
            Scripted(plan_text("p one", "p two"), when=PLANNER, times=1),
            Scripted(plan_text("p one", "p other way"), when=re.compile("the plan so far(.|\n)*It broke")),
            Scripted("merged", when=SYNTHESIZER),
            Scripted("found one", when="p one"),
            Scripted(when="p two", error=ServerError("It broke.")),
            Scripted("found two", when="p other way"),
        ]
    )
    result = await Weaver(model).run(SURE)
    assert result.status == "complete"
    assert [(t.id, t.state) for t in result.threads] == [
        ("s1", "succeeded"),
        ("s2", "failed"),
        ("s2-again", "succeeded"),
    ]
    assert [s.id for s in result.plan.subtasks] == ["s1", "s2", "s2-again"]
    merged = model.requests[-1].request.messages[-1].content
    assert "found one" in merged
    assert "found two" in merged
    assert "could not be finished" not in merged


async def test_a_replan_that_repeats_the_old_plan_is_not_run():
    model = ScriptedModel(
        [
            Scripted(plan_text("p one", "p two"), when=PLANNER),
            Scripted("merged", when=SYNTHESIZER),
            Scripted("found one", when="p one"),
            Scripted(when="p two", error=ServerError("It broke.")),
        ]
    )
    result = await Weaver(model).run(SURE)
    assert result.status == "partial"
    assert len(result.threads) == 2
    assert any("nothing new" in n for n in result.notes)


async def test_under_a_deadline_a_planner_that_is_too_slow_leaves_the_direct_answer():
    model = ScriptedModel(
        [Scripted(plan_text("p one", "p two"), when=PLANNER, first=60), Scripted("straight to it", first=3)]
    )
    result = await Weaver(model, deadline=20).run(SURE)
    assert result.answer == "straight to it"
    assert result.metrics.wall_seconds == pytest.approx(8)
    assert result.decision.reason == "the planner took too long"


async def test_a_planner_that_is_cut_is_followed_as_far_as_it_had_written():
    model = ScriptedModel(
        [
            Scripted(plan_text("p one", "p two"), when=PLANNER, each=0.6),
            Scripted("merged", when=SYNTHESIZER),
            Scripted("found", when="p one"),
            Scripted("direct", first=15),
        ]
    )
    result = await Weaver(model, deadline=20).run(SURE)
    assert result.answer == "merged"
    assert result.status == "partial"
    assert {t.id: t.state for t in result.threads} == {"direct": "cancelled", "s1": "succeeded"}


async def test_a_deadline_never_hands_out_the_plan_itself():
    model = ScriptedModel([Scripted("word " * 50, when=PLANNER, each=1), Scripted("late", first=60)])
    from weaver.errors import DeadlineExceededError

    with pytest.raises(DeadlineExceededError):
        await Weaver(model, deadline=5).run(SURE)
