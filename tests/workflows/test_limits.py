"""Running workflows: failures, time, budgets."""

from __future__ import annotations

import pytest

from tests.workflows.flows import BROKEN, flow, prompts, says, states
from weaver import Weaver
from weaver._models.protocol import Prices
from weaver.errors import ServerError, StepError
from weaver.events import ThreadRestarted
from weaver.testing import Scripted, ScriptedModel, virtual_time
from weaver.workflows import stream_workflow

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


# ---- failures


async def test_keep_skips_what_needs_the_failed_step_and_lets_the_rest_go_on():
    workflow = flow("bad: {task: broken}\nafter: {task: after, needs: bad}\nother: {task: other}")
    result = await workflow.run(weaver=Weaver(ScriptedModel([BROKEN, Scripted("fine")])))
    assert states(result) == {"bad": "failed", "after": "skipped", "other": "succeeded"}
    assert result.status == "partial"
    assert result.threads[1].error == "It needs 'bad', which ended as failed."


async def test_skip_lets_what_needs_the_failed_step_go_on_without_it():
    workflow = flow(
        "bad: {task: broken, on_error: skip}\nafter: {task: 'after ${{ steps.bad.output == null }}'}"
    )
    model = ScriptedModel([BROKEN, Scripted("fine", when="after true")])
    result = await workflow.run(weaver=Weaver(model))
    assert (result.status, result.answer) == ("complete", "fine")


async def test_fail_fast_stops_everything_at_once():
    workflow = flow("bad: {task: broken, on_error: fail_fast}\nslow: {task: slow}")
    model = ScriptedModel([BROKEN, Scripted("slow done", first=60)])
    with pytest.raises(ServerError, match="the server is down") as caught:
        await workflow.run(weaver=Weaver(model))
    result = caught.value.result
    assert result is not None
    assert result.status == "failed"
    assert states(result)["slow"] == "cancelled"
    assert result.metrics.wall_seconds < 1
    assert model.requests[-1].closed == "cancelled"


async def test_a_failed_item_costs_its_siblings_nothing():
    workflow = flow("each: {for_each: [good, broken, fine], task: '${{ item }}'}")
    model = ScriptedModel([BROKEN, Scripted("yes")])
    result = await workflow.run(weaver=Weaver(model))
    assert result.output == {"each": ["yes", "yes"]}
    assert result.status == "partial"
    assert [t.state for t in result.threads] == ["succeeded", "succeeded", "failed", "succeeded"]


async def test_fail_fast_in_a_for_each_stops_the_other_items_and_starts_no_more():
    workflow = flow(
        "each: {for_each: [slow, broken, slow, slow, slow], max_parallel: 2, on_error: fail_fast,\n"
        "       task: '${{ item }}'}"
    )
    model = ScriptedModel([BROKEN, Scripted("yes", first=9)])
    with pytest.raises(ServerError):
        await workflow.run(weaver=Weaver(model))
    assert len(model.requests) == 2


async def test_all_items_failed_means_the_step_failed():
    workflow = flow("each: {for_each: [1, 2], task: 'broken ${{ item }}'}")
    with pytest.raises(StepError, match=r"Nothing came out .* each/1, each/2 failed \(ServerError") as caught:
        await workflow.run(weaver=Weaver(ScriptedModel([BROKEN])))
    assert caught.value.result is not None
    assert caught.value.result.usage.calls == 2


async def test_retry_waits_longer_each_time_and_is_seen():
    workflow = flow("a: {task: flaky, retry: {times: 3, delay: 1s, backoff: 3}}")
    model = ScriptedModel([Scripted(error=ServerError("down", model="m"), times=2), Scripted("at last")])
    async with await stream_workflow(workflow, weaver=Weaver(model)) as run:
        events = [event async for event in run]
    result = run.result
    assert result is not None
    assert result.answer == "at last"
    assert [recorded.at for recorded in model.requests] == [0, 1, 4]
    assert result.threads[0].attempts == 3
    assert sum(isinstance(event, ThreadRestarted) for event in events) == 2
    assert any("is tried again: down" in note for note in result.notes)


async def test_no_retry_for_what_cannot_get_better():
    workflow = flow("a: {task: a, retry: 5, budget: {calls: 1}}\nb: {task: b}")
    model = ScriptedModel([Scripted(error=ServerError("down", model="m"), when="a"), Scripted("fine")])
    result = await workflow.run(weaver=Weaver(model))
    assert states(result) == {"a": "cancelled", "b": "succeeded"}
    assert len(model.requests) == 2


# ---- time


@pytest.mark.parametrize(
    ("policy", "state", "output"),
    [
        ("on_timeout: partial", "succeeded", "one two"),
        ("on_timeout: fail", "timed_out", None),
        ("on_timeout: fallback, fallback: nothing", "succeeded", "nothing"),
    ],
)
async def test_a_timeout_is_what_the_file_says(policy, state, output):
    workflow = flow(f"slow: {{task: slow, timeout: 2.5s, {policy}}}\nother: {{task: other}}")
    words = Scripted("one two three four five", when="slow", each=1.9)
    result = await workflow.run(weaver=Weaver(ScriptedModel([words, Scripted("ok")])))
    assert states(result)["slow"] == state
    assert result.output["slow"] == output
    assert result.threads[0].seconds == pytest.approx(2.5)


async def test_each_try_has_its_own_timeout():
    workflow = flow("a: {task: a, timeout: 2s, retry: {times: 1, delay: 1s}, on_timeout: fail}")
    model = ScriptedModel([Scripted("late", first=60, times=1), Scripted("in time", first=1)])
    result = await workflow.run(weaver=Weaver(model))
    assert result.answer == "in time"
    assert [recorded.at for recorded in model.requests] == [0, 3]


async def test_a_deadline_of_a_step_holds_for_all_its_items_and_keeps_what_is_done():
    workflow = flow(
        "each: {for_each: [1, 2, 3, 4], max_parallel: 1, deadline: 2.5s, task: 'item ${{ item }}'}\n"
        "end: {task: 'end ${{ len(steps.each.output) }}'}"
    )
    model = ScriptedModel([Scripted("done", when="item", first=1), Scripted("it", when="end")])
    result = await workflow.run(weaver=Weaver(model))
    assert prompts(model)[-1] == "end 2"
    assert result.status == "partial"
    assert result.metrics.wall_seconds == pytest.approx(2.5)


async def test_the_deadline_of_the_run_gives_what_there_is():
    workflow = flow(
        "quick: {task: quick}\nslow: {task: slow}",
        head="defaults: {deadline: 3s}\n"
        "outputs:\n  answer: ${{ steps.quick.output }}\n  slow: ${{ steps.slow.output }}\n",
    )
    result = await workflow.run(weaver=Weaver(says(quick=1, slow=60)))
    assert result.status == "partial"
    assert result.output == {"answer": "quick done", "slow": None}
    assert result.metrics.wall_seconds == pytest.approx(3, abs=0.2)


async def test_settings_for_one_run_beat_the_file():
    workflow = flow("slow: {task: slow}\nquick: {task: quick}", head="defaults: {deadline: 60s}\n")
    result = await workflow.run(weaver=Weaver(says(slow=9, quick=0)), deadline=1)
    assert result.metrics.wall_seconds == pytest.approx(1, abs=0.2)


# ---- budgets


async def test_the_budget_of_the_run_holds_across_steps():
    workflow = flow(
        "each: {for_each: [1, 2, 3, 4, 5], task: 'item ${{ item }}'}", head="defaults: {budget: {calls: 3}}\n"
    )
    model = ScriptedModel("ok")
    result = await workflow.run(weaver=Weaver(model))
    assert len(model.requests) == 3
    assert result.status == "partial"
    assert result.output == {"each": ["ok"] * 3}


async def test_a_step_has_a_budget_of_its_own_within_the_run():
    workflow = flow(
        "small: {for_each: [1, 2, 3], task: 'small ${{ item }}', budget: {calls: 2}}\n"
        "big: {for_each: [1, 2, 3], task: 'big ${{ item }}'}"
    )
    model = ScriptedModel("ok")
    result = await workflow.run(weaver=Weaver(model))
    assert result.output == {"small": ["ok", "ok"], "big": ["ok", "ok", "ok"]}
    assert any("Step 'small' may make 2 model calls" in (t.error or "") for t in result.threads)
    assert "Raise calls in its budget." in " ".join(result.notes)


async def test_a_budget_in_dollars():
    workflow = flow(
        "each: {for_each: [1, 2, 3, 4], task: 'item ${{ item }}', max_parallel: 1, max_tokens: 100}",
        head="defaults: {budget: $0.00025}\n",
    )
    model = ScriptedModel("ok", prices=Prices(0, 1))
    result = await workflow.run(weaver=Weaver(model))
    assert result.usage.cost_usd <= 0.00025
    assert result.status in ("partial", "complete")
    assert len(model.requests) >= 2


async def test_more_items_than_threads_allowed():
    workflow = flow(
        "each: {for_each: [1, 2, 3, 4], task: 'item ${{ item }}'}", head="defaults: {budget: {threads: 3}}\n"
    )
    result = await workflow.run(weaver=Weaver(ScriptedModel("ok")))
    assert result.output == {"each": ["ok", "ok"]}
    assert result.status == "partial"
    started = "The run may start 3 threads and has started them all. Raise max_threads."
    assert result.notes == (f"Step each: 2 of 4 items (3, 4) were not started: {started}",)
