"""Running workflows: joins, conflicts, approval."""

from __future__ import annotations

import json

import pytest

from tests.workflows.flows import BROKEN, GATE, flow, prompts, says, states
from weaver import Weaver
from weaver.testing import Scripted, ScriptedModel, virtual_time
from weaver.workflows import Reply, run_workflow

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


# ---- joins


async def test_a_quorum_of_items_cancels_the_rest():
    workflow = flow("each: {for_each: [3, 1, 2], join: quorum(2), task: 'item ${{ item }}'}")
    model = ScriptedModel([Scripted(f"did {n}", when=f"item {n}", first=n) for n in (1, 2, 3)])
    result = await workflow.run(weaver=Weaver(model))
    assert result.output == {"each": ["did 1", "did 2"]}
    slow = next(t for t in result.threads if t.id == "each/1")
    assert (slow.state, slow.cancel_reason) == ("cancelled", "quorum_met")
    assert result.metrics.wall_seconds == pytest.approx(2)
    assert result.status == "complete"


async def test_first_hands_up_one_output_and_starts_no_further_item():
    workflow = flow("each: {for_each: [2, 1, 3, 4], join: first, max_parallel: 2, task: 'item ${{ item }}'}")
    model = ScriptedModel([Scripted(f"did {n}", when=f"item {n}", first=n) for n in (1, 2, 3, 4)])
    result = await workflow.run(weaver=Weaver(model))
    assert result.output == {"each": "did 1"}
    assert len(model.requests) == 2


async def test_best_asks_the_judge():
    workflow = flow("each: {for_each: [1, 2], join: best, task: 'item ${{ item }}'}")
    threads = ScriptedModel([Scripted("poor", when="item 1"), Scripted("rich", when="item 2")])
    judge = ScriptedModel(
        [
            Scripted('{"reason": "", "score": 2}', when="poor"),
            Scripted('{"reason": "", "score": 9}', when="rich"),
        ]
    )
    result = await workflow.run(weaver=Weaver(threads, judge_model=judge))
    assert result.output == {"each": "rich"}


async def test_until_is_a_condition_over_what_is_done():
    workflow = flow(
        "each: {for_each: [1, 2, 3], task: 'item ${{ item }}', output: integer, join: until(sum(done) > 2)}"
    )
    model = ScriptedModel([Scripted(f'{{"value": {n}}}', when=f"item {n}", first=n) for n in (1, 2, 3)])
    result = await workflow.run(weaver=Weaver(model))
    assert result.output == {"each": [1, 2]}


async def test_a_race_between_steps_cancels_the_loser():
    workflow = flow(
        """
fast: {task: fast}
slow: {task: slow}
end: {needs: [fast, slow], join: first, task: "end ${{ default(steps.fast.output, steps.slow.output) }}"}
"""
    )
    model = says(fast=1, slow=9, end=1)
    result = await workflow.run(weaver=Weaver(model))
    slow = next(t for t in result.threads if t.id == "slow")
    assert (slow.state, slow.cancel_reason) == ("cancelled", "lost_race")
    assert next(t for t in result.threads if t.id == "end").started_at == pytest.approx(1)
    assert result.metrics.wall_seconds == pytest.approx(2)
    assert result.status == "complete"


async def test_a_loser_that_somebody_else_needs_goes_on():
    workflow = flow(
        """
fast: {task: fast}
slow: {task: slow}
end: {needs: [fast, slow], join: first, task: end}
other: {task: other, needs: slow}
"""
    )
    result = await workflow.run(weaver=Weaver(says(fast=1, slow=5, end=1, other=1)))
    assert set(states(result).values()) == {"succeeded"}


async def test_a_join_that_nobody_wins_skips_the_step_and_says_so():
    workflow = flow(
        "a: {task: broken a}\nb: {task: broken b}\nother: {task: other}\n"
        "end: {needs: [a, b], join: first, task: end}"
    )
    result = await workflow.run(weaver=Weaver(ScriptedModel([BROKEN, Scripted("fine")])))
    assert result.status == "partial"
    assert result.output == {"other": "fine", "end": None}
    assert any("0 of the 1 threads" in note for note in result.notes)


# ---- conflicts


def claims(year: str) -> str:
    claim = {"subject": "Tower", "attribute": "year", "value": year}
    return f"Built in {year}.\n```claims\n{json.dumps([claim])}\n```"


async def test_conflicts_of_items_are_settled_and_later_prompts_are_told():
    workflow = flow(
        """
read: {for_each: [1, 2, 3], task: 'source ${{ item }}', conflicts: majority}
end: {task: 'write ${{ steps.read.output }}'}
"""
    )
    model = ScriptedModel(
        [Scripted(claims(year), when=f"source {n}") for n, year in ((1, "1889"), (2, "1889"), (3, "1999"))]
        + [Scripted("In 1889.", when="write")]
    )
    result = await workflow.run(weaver=Weaver(model))
    (conflict,) = result.conflicts
    assert conflict.resolution is not None
    assert (conflict.resolution.policy, conflict.resolution.value) == ("majority", "1889")
    assert "Settled value: 1889" in prompts(model)[-1]
    assert "claims" not in str(result.output)


async def test_conflicts_between_needed_steps():
    workflow = flow(
        """
a: {task: source a}
b: {task: source b}
end: {task: write, needs: [a, b], conflicts: ask}
"""
    )
    model = ScriptedModel(
        [
            Scripted(claims("1889"), when="source a"),
            Scripted(claims("1999"), when="source b"),
            Scripted("done", when="write"),
        ]
    )
    result = await run_workflow(workflow, weaver=Weaver(model), ask=lambda conflict: "1889")
    (conflict,) = result.conflicts
    assert conflict.resolution is not None
    assert conflict.resolution.policy == "ask"
    assert "Settled value: 1889" in prompts(model)[-1]


# ---- approval


@pytest.mark.parametrize("said", [True, Reply(True, "go"), False, Reply(False, "not yet")])
async def test_a_person_decides(said):
    asked = []

    async def approve(question):
        asked.append((question.workflow, question.step, question.message))
        return said

    result = await run_workflow(flow(GATE), weaver=Weaver(says(draft=0, publish=0, after=0)), approve=approve)
    assert asked == [("test", "publish", "Publish draft done?")]
    yes = said.approved if isinstance(said, Reply) else said
    ended = "succeeded" if yes else "skipped"
    assert states(result) == {"draft": "succeeded", "publish": ended, "after": ended}
    assert result.status == "complete"
    assert yes or result.answer.startswith("There was nothing to do. publish: It was not approved.")


async def test_nobody_to_ask_means_what_the_file_says():
    head = "outputs: {x: '${{ steps.draft.output }}'}\n"
    result = await flow(GATE, head=head).run(weaver=Weaver(says(draft=0, publish=0, after=0)))
    assert states(result)["publish"] == "skipped"
    assert (
        "Step publish: nobody could be asked, so it counts as not approved "
        "(the default; `otherwise` is what changes it)."
    ) in result.notes
    allowed = GATE.replace(
        "approve: 'Publish ${{ steps.draft.output }}?'", "approve: {message: Publish?, otherwise: approve}"
    )
    assert (
        states(await flow(allowed).run(weaver=Weaver(says(draft=0, publish=0, after=0))))["publish"]
        == "succeeded"
    )


async def test_an_approval_that_takes_too_long():
    import anyio

    async def approve(question):
        await anyio.sleep(3600)
        return True

    gate = "go: {approve: {message: Go?, timeout: 5s}}\nother: {task: other}"
    result = await run_workflow(flow(gate), weaver=Weaver(says(other=0)), approve=approve)
    assert states(result)["go"] == "skipped"
    assert result.metrics.wall_seconds == pytest.approx(5)
