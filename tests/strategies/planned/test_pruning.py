"""Parts of a plan that a finding has made unnecessary, and parts that are put together."""

from __future__ import annotations

import re

import pytest

from tests.strategies.planned.plans import PLANNER, SURE, SYNTHESIZER, plan_given, plan_text
from weaver import Weaver
from weaver.testing import Scripted, ScriptedModel, virtual_time

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


async def test_a_subtask_that_repeats_a_finished_one_is_pruned_and_not_missed():
    model = ScriptedModel(
        [
            Scripted("merged", when=SYNTHESIZER),
            Scripted("found", when="p one", first=1),
            Scripted("found", when="p two", first=9),
        ]
    )
    result = await Weaver(model).run(SURE, plan=plan_given("p one", "p two", "P  one", s3=["s2"]))
    assert result.status == "complete"
    assert [(t.state, t.cancel_reason) for t in result.threads] == [
        ("succeeded", None),
        ("succeeded", None),
        ("cancelled", "pruned"),
    ]


async def test_what_is_left_of_several_subtasks_is_merged_into_an_answer_to_the_task():
    model = ScriptedModel(
        [
            Scripted("Both flips gave heads.", when=SYNTHESIZER),
            Scripted("heads", when="flip a coin", first=1),
            Scripted("never", when="Flip a  coin", first=90),
        ]
    )
    result = await Weaver(model).run(SURE, plan=plan_given("flip a coin", "Flip a  coin"))
    assert [t.cancel_reason for t in result.threads] == [None, "pruned"]
    assert result.answer == "Both flips gave heads."


async def test_a_judge_may_prune_what_a_finding_has_answered():
    model = ScriptedModel(
        [
            Scripted(plan_text("p one", "p two"), when=PLANNER),
            Scripted('{"unnecessary": ["s2", "nonsense"]}', when="have become unnecessary"),
            Scripted("merged", when=SYNTHESIZER),
            Scripted("found both", when="p one", first=1),
            Scripted("never", when="p two", first=90),
        ]
    )
    result = await Weaver(model, strategy="adaptive:prune=judge").run(SURE)
    assert result.metrics.wall_seconds < 3
    assert [t.cancel_reason for t in result.threads] == [None, "pruned"]
    assert result.status == "complete"


async def test_a_plan_with_more_parts_than_threads_is_put_together_and_never_cut():
    model = ScriptedModel(
        [
            Scripted(plan_text("first part", "second part", "third part"), when=PLANNER, each=1),
            Scripted("merged", when=SYNTHESIZER),
            Scripted("found all", when=re.compile("first part(.|\n)*second part"), first=1),
            Scripted("found one", when="third part", first=1),
            Scripted("never", when="part", first=90),
        ]
    )
    result = await Weaver(model, strategy="adaptive:max_subtasks=2").run(SURE)
    assert (result.status, result.answer) == ("complete", "merged")
    assert len(result.plan.subtasks) == 2
    assert any("3 parts, and at most 2 threads" in note for note in result.notes)
    assert sum(PLANNER in r.request.messages[0].content for r in model.requests) == 1
    merging = next(r.request for r in model.requests if SYNTHESIZER in r.request.messages[0].content)
    assert "found all" in merging.messages[-1].content
    assert "found one" in merging.messages[-1].content
