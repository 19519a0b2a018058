"""How runs of workflows end when something is missing: what is kept, and what the result says about it."""

from __future__ import annotations

import pytest

from tests.workflows.flows import flow, states
from weaver import Weaver
from weaver._workflows.validation.registry import unregister
from weaver.errors import BudgetExceededError, ServerError, StepError, WeaverError
from weaver.testing import Scripted, ScriptedModel, virtual_time
from weaver.workflows import Workflow, register

pytestmark = pytest.mark.anyio

DOWN = Scripted(error=ServerError("the server is down", model="m"), when="broken")
SLOW = Scripted("late", when="slow", first=60)
WORDS = Scripted("one two three four five six", when="drip", each=1.9)


@pytest.fixture
def anyio_backend():
    return virtual_time()


async def run(steps: str, *, head: str = "", replies=(), **changes):
    model = ScriptedModel(list(replies) or [DOWN, SLOW, WORDS, Scripted("Tokyo.")])
    return await flow(steps, head=head).run(weaver=Weaver(model), **changes)


# ---- outputs and conditions that cannot be worked out


async def test_an_output_that_cannot_be_worked_out_is_null_and_the_others_are_kept():
    result = await run(
        "good: {task: hi}\nlist: {task: broken, output: {properties: {n: integer}}}",
        head="outputs:\n  answer: ${{ steps.good.output }}\n  n: ${{ steps.list.output.n + 1 }}\n",
    )
    assert (result.status, result.answer) == ("partial", "Tokyo.")
    assert result.output == {"answer": "Tokyo.", "n": None}
    failed, unknown = result.notes
    assert failed == "Step list failed: the server is down."
    assert unknown == (
        "Output n cannot be worked out: steps.list.output.n + 1: null is not a number; "
        "step 'list' failed and has no output (default(x, y) is y for null)."
    )


async def test_without_any_output_the_run_has_failed_and_says_which():
    with pytest.raises(StepError, match=r"Nothing came out .* Output n cannot be .* step 'list' failed"):
        await run(
            "list: {task: broken, output: {properties: {n: integer}}}",
            head="outputs: {n: '${{ steps.list.output.n + 1 }}'}\n",
        )


async def test_a_condition_over_a_skipped_step_names_it():
    result = await run(
        "plan: {if: inputs.deep, task: plan, output: {properties: {n: integer}}}\n"
        "more: {if: steps.plan.output.n > 3, task: more}\nother: {task: other}",
        head="inputs: {deep: {type: boolean, default: false}}\n",
    )
    assert result.status == "partial"
    assert (
        "Step more failed: Step more: steps.plan.output.n > 3: null is not a number; "
        "step 'plan' was skipped and has no output (default(x, y) is y for null)."
    ) in result.notes


async def test_numbers_that_json_does_not_have_are_refused():
    register(_infinite, name="infinite")
    try:
        result = await run(
            "a: {task: a}\nf: {function: infinite, with: {}}",
            head="outputs:\n  a: ${{ steps.a.output }}\n  v: ${{ 1e308 * 10 }}\n  w: ${{ number('nan') }}\n",
        )
    finally:
        unregister("infinite")
    assert result.output == {"a": "Tokyo.", "v": None, "w": None}
    assert result.status == "partial"
    said = " ".join(result.notes)
    assert "Output v cannot be worked out: 1e308 * 10: inf is not a number that JSON has" in said
    assert "Step f failed: Infinity is not a number that JSON has" in said


async def test_a_number_of_a_model_is_finite():
    replies = [Scripted('{"value": 1e999}', times=1), Scripted('{"value": 2.5}')]
    result = await run("a: {task: a, output: number}", replies=replies)
    assert result.output == {"a": 2.5}


def _infinite() -> float:
    return float("inf")


# ---- every partial run says what is missing


@pytest.mark.parametrize(
    ("steps", "notes"),
    [
        (
            "a: {for_each: [1, 2, 3, 4, 5], task: 'x ${{ item }}', budget: {calls: 2}}",
            ["Step a: 3 of 5 items (3, 4, 5) were cancelled: Step 'a' may make 2 model calls"],
        ),
        ("a: {task: broken}\nb: {task: b}", ["Step a failed: the server is down."]),
        (
            "a: {task: broken, on_error: skip}\nb: {task: b}",
            ["Step a failed: the server is down; the rest went on without it."],
        ),
        (
            "a: {task: slow, timeout: 2s, on_timeout: fail}\nb: {task: b}",
            ["Step a timed out: It took longer than 2 s."],
        ),
        (
            "a: {for_each: [x, broken], task: '${{ item }}'}",
            ["Step a: item 2 of 2 failed: the server is down."],
        ),
        (
            "a: {for_each: [1, broken, 'broken 2'], task: '${{ item }}'}",
            ["Step a: 2 of 3 items (2, 3) failed: the server is down."],
        ),
        (
            "a: {task: drip, timeout: 2.5s}",
            ["Step a: it took longer than 2.5 s; what there was by then is used."],
        ),
    ],
)
async def test_what_is_missing_is_in_the_notes(steps, notes):
    result = await run(steps)
    assert len(result.notes) == len(notes)
    for said, expected in zip(result.notes, notes, strict=True):
        assert said.startswith(expected)


async def test_what_a_used_workflow_misses_reaches_the_notes(tmp_path):
    (tmp_path / "inner.yaml").write_text(
        "version: weaver/v1\nname: inner\ndefaults: {budget: {calls: 1}}\n"
        "steps: {a: {task: a}, b: {task: 'b ${{ steps.a.output }}'}}\n"
        "outputs: {a: '${{ steps.a.output }}', b: '${{ steps.b.output }}'}\n"
    )
    (tmp_path / "main.yaml").write_text(
        "version: weaver/v1\nname: main\nsteps: {x: {uses: ./inner.yaml}}\n"
        "outputs: {a: '${{ steps.x.output.a }}'}\n"
    )
    result = await Workflow.from_yaml(tmp_path / "main.yaml").run(weaver=Weaver(ScriptedModel("ok")))
    assert (result.status, result.output) == ("partial", {"a": "ok"})
    (note,) = result.notes
    assert note.startswith("Step x: step b was cancelled: Workflow 'inner' may make 1 model call")


async def test_every_repeat_is_noted():
    replies = [Scripted(error=ServerError("down", model="m"), times=2), Scripted("at last")]
    result = await run("a: {task: a, retry: 2}", replies=replies)
    assert result.notes == ("a is tried again: down (try 2 of 3)", "a is tried again: down (try 3 of 3)")


# ---- time


ITEMS = "a: {{for_each: [slow, quick, drip], task: '${{{{ item }}}}', deadline: 2.5s, {}}}"


@pytest.mark.parametrize(
    ("policy", "output", "ended", "note"),
    [
        (
            "on_timeout: partial",
            ["Tokyo.", "one two"],
            ["timed_out", "succeeded", "succeeded"],
            "Step a: item 3 of 3: the step's deadline of 2.5 s passed; what there was by then is used.",
        ),
        (
            "on_timeout: fail",
            ["Tokyo."],
            ["timed_out", "succeeded", "timed_out"],
            "Step a: 2 of 3 items (1, 3) timed out: The step's deadline of 2.5 s passed.",
        ),
        (
            "on_timeout: fallback, fallback: FB",
            ["FB", "Tokyo.", "FB"],
            ["succeeded"] * 3,
            "a/3: the step's deadline of 2.5 s passed; the fallback is used.",
        ),
    ],
)
async def test_items_that_the_deadline_of_the_step_cut_are_treated_by_on_timeout(policy, output, ended, note):
    result = await run(
        ITEMS.format(policy),
        head="outputs: {a: '${{ steps.a.output }}', s: '${{ [i.state for i in steps.a.items] }}'}\n",
    )
    assert result.output == {"a": output, "s": ended}
    assert note in result.notes
    assert result.metrics.wall_seconds == pytest.approx(2.5)


async def test_a_fallback_also_stands_for_items_that_the_deadline_left_no_time_for():
    steps = (
        "a: {for_each: [1, 2, 3, 4], max_parallel: 1, task: 'x ${{ item }}', deadline: 2.5s,\n"
        "    on_timeout: fallback, fallback: no time}"
    )
    model = ScriptedModel([Scripted("done", first=1)])
    result = await flow(steps).run(weaver=Weaver(model))
    assert result.output == {"a": ["done", "done", "no time", "no time"]}
    assert len(model.requests) == 3
    assert result.status == "complete"


async def test_a_deadline_of_a_step_ends_its_retries():
    steps = "a: {task: broken, retry: {times: 5, delay: 2s}, deadline: 3s}\nb: {task: b}"
    result = await run(steps)
    assert states(result)["a"] == "timed_out"
    assert result.metrics.wall_seconds == pytest.approx(3)


@pytest.mark.parametrize("where", ["defaults: {deadline: 2s}\n", ""])
async def test_a_used_workflow_that_is_out_of_time_answers_with_what_there_is(tmp_path, where):
    (tmp_path / "inner.yaml").write_text(
        f"version: weaver/v1\nname: inner\n{where}"
        "steps: {quick: {task: quick}, long: {task: slow}}\n"
        "outputs: {answer: '${{ steps.quick.output }}', slow: '${{ steps.long.output }}'}\n"
    )
    limit = "" if where else ", deadline: 2s"
    (tmp_path / "main.yaml").write_text(
        "version: weaver/v1\nname: main\nsteps:\n"
        f"  x: {{uses: ./inner.yaml{limit}}}\n  y: {{task: 'after ${{{{ steps.x.output.answer }}}}'}}\n"
    )
    model = ScriptedModel([SLOW, Scripted("Tokyo.", when="quick"), Scripted("end", when="after `Tokyo.`")])
    result = await Workflow.from_yaml(tmp_path / "main.yaml").run(weaver=Weaver(model))
    assert (result.status, result.answer) == ("partial", "end")
    said = " ".join(result.notes)
    assert "Step x: step long was cancelled: the deadline came first." in said
    assert ("workflow inner took longer than 2 s" if where else "the step's deadline of 2 s passed") in said
    assert result.metrics.wall_seconds == pytest.approx(2)


# ---- items and joins


async def test_items_are_there_also_when_all_of_them_failed():
    result = await run(
        "a: {for_each: [1, 2], task: 'broken ${{ item }}'}\nb: {if: steps.a.state == 'failed', task: other}",
        head="outputs: {b: '${{ steps.b.output }}', a: '${{ [i.error for i in steps.a.items] }}'}\n",
    )
    assert result.output == {"b": "Tokyo.", "a": ["the server is down"] * 2}


@pytest.mark.parametrize("items", ["[broken, slow, ok]", "[broken, 'broken 2', ok]", "[ok, ok, late broken]"])
async def test_a_quorum_that_cannot_be_met_fails_the_step_and_its_items_stay_readable(items):
    late = Scripted(error=ServerError("late", model="m"), when="late broken", first=5)
    result = await run(
        f"d: {{for_each: {items}, join: quorum(3), task: '${{{{ item }}}}'}}\nb: {{task: b}}",
        head="outputs:\n  b: ${{ steps.b.output }}\n  d: ${{ steps.d.output }}\n"
        "  state: ${{ steps.d.state }}\n  n: ${{ len(steps.d.items) }}\n",
        replies=(late, DOWN, SLOW, Scripted("Tokyo.")),
    )
    assert result.output == {"b": "Tokyo.", "d": None, "state": "failed", "n": 3}
    assert any("of the 3 threads that were needed succeeded" in note for note in result.notes)


async def test_a_quorum_of_steps_that_cannot_be_met_skips_the_step():
    result = await run(
        "a: {task: a}\nb: {task: broken}\nend: {needs: [a, b], join: quorum(2), task: end}",
        head="outputs: {a: '${{ steps.a.output }}', end: '${{ steps.end.output }}'}\n",
    )
    assert result.output == {"a": "Tokyo.", "end": None}
    assert any(n.startswith("Step end was skipped: 1 of the 2 threads that") for n in result.notes)


# ---- fail_fast


@pytest.mark.parametrize(
    "bad",
    [
        "task: broken",
        "task: slow, timeout: 2s, on_timeout: fail",
        "for_each: [broken], task: '${{ item }}'",
        "for_each: [slow], task: '${{ item }}', timeout: 2s, on_timeout: fail",
        "for_each: [1, 2], task: '${{ item }}', budget: {calls: 1}",
        "task: '${{ 1 // inputs.n }}'",
    ],
)
async def test_fail_fast_is_a_failed_run_also_when_something_was_finished(bad):
    with pytest.raises(WeaverError) as caught:
        await run(
            f"good: {{task: good}}\nbad: {{needs: good, on_error: fail_fast, {bad}}}",
            head="inputs: {n: {type: integer, default: 0}}\n",
        )
    result = caught.value.result
    assert result is not None
    assert not isinstance(caught.value, BudgetExceededError)
    assert (result.status, result.answer) == ("failed", "")
    assert any(note.endswith("and the workflow with it (on_error: fail_fast).") for note in result.notes)
    assert result.threads[0].answer == "Tokyo."
