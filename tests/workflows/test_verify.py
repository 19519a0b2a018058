"""``verify`` of a step: its answer is checked, and repaired once."""

from __future__ import annotations

import pytest

from tests.workflows.flows import flow, prompts
from weaver import Result, Weaver
from weaver.errors import InvalidWorkflowError
from weaver.testing import Scripted, ScriptedModel, virtual_time
from weaver.workflows import Workflow

pytestmark = pytest.mark.anyio
BILL = """
bill: {task: What do 12 boxes of 3 make?, verify: arithmetic}
letter: {task: 'Write: ${{ steps.bill.output }}'}
"""


@pytest.fixture
def anyio_backend():
    return virtual_time()


def model(*bills: str) -> ScriptedModel:
    """Says a bill after the other, and copies it into the letter."""
    texts = [Scripted(text, when="12 boxes", times=1) for text in bills]
    return ScriptedModel([*texts, Scripted("Dear Ana", when="Write: ")])


async def ran(workflow: Workflow, scripted: ScriptedModel) -> Result[object]:
    return await workflow.run(weaver=Weaver(scripted))


async def test_an_answer_that_passes_goes_on():
    scripted = model("12 * 3 = 36")
    result = await ran(flow(BILL), scripted)
    assert (result.status, result.output) == ("complete", {"letter": "Dear Ana"})
    assert len(scripted.requests) == 2
    assert not result.notes
    assert result.verified is None
    assert result.rewards == ()


async def test_a_repaired_answer_is_what_later_steps_read():
    scripted = model("12 * 3 = 38", "12 * 3 = 36")
    result = await ran(flow(BILL), scripted)
    assert result.status == "complete"
    _, repair, letter = prompts(scripted)
    assert "36" in repair, "the check says what is right"
    assert "12 * 3 = 36" in letter
    assert "38" not in letter


async def test_an_answer_that_cannot_be_repaired_makes_the_result_partial():
    scripted = model("12 * 3 = 38", "12 * 3 = 37")
    result = await ran(flow(BILL), scripted)
    assert result.status == "partial"
    assert "12 * 3 = 38" in prompts(scripted)[-1]
    assert result.notes[0] == 'The answer of bill did not pass its check: "12 * 3 = 38 is wrong: it is 36."'
    assert result.rewards == (), "a step's verdict is not the run's reward"


async def test_each_item_is_checked_by_itself():
    steps = """
each:
  for_each: [2, 3]
  task: 'Twice ${{ item }}'
  verify: {type: object, required: [n]}
"""
    scripted = ScriptedModel(
        [
            Scripted('{"n": 4}', when="Twice 2"),
            Scripted("six", when="Twice 3", times=1),
            Scripted('{"n": 6}', when="Twice 3"),
        ]
    )
    result = await ran(flow(steps), scripted)
    assert (result.status, result.output) == ("complete", {"each": ['{"n": 4}', '{"n": 6}']})
    assert len(scripted.requests) == 3


async def test_a_typed_answer_is_checked_as_its_value():
    steps = """
total:
  task: Add up.
  output: {properties: {n: integer}}
  verify: {type: object, properties: {n: {minimum: 10}}}
"""
    scripted = ScriptedModel([Scripted('{"n": 4}', times=1), Scripted('{"n": 14}')])
    result = await ran(flow(steps), scripted)
    assert (result.status, result.output) == ("complete", {"total": {"n": 14}})


async def test_the_deadline_of_a_step_keeps_the_answer_that_was_not_repaired():
    steps = "bill: {task: What do 12 boxes of 3 make?, verify: arithmetic, deadline: 3s}"
    scripted = ScriptedModel(
        [Scripted("12 * 3 = 38", times=1), Scripted("12 * 3 = 36", first=60)],
    )
    result = await ran(flow(steps), scripted)
    assert (result.status, result.output) == ("partial", {"bill": "12 * 3 = 38"})


@pytest.mark.parametrize(
    ("verify", "why"),
    [
        ("arithmetik", "Did you mean 'arithmetic'"),
        ("'command: rm -r x'", "may name no command"),
        ("python:checks.py:passes", "no Python file"),
        ("{type: no such type}", "not a JSON Schema"),
        ("''", "no verifier named"),
        ("7", "a text is expected"),
    ],
)
def test_what_is_no_check_is_a_problem_of_the_file(verify: str, why: str):
    with pytest.raises(InvalidWorkflowError) as refused:
        flow(f"a: {{task: one, verify: {verify}}}").check()
    assert why in str(refused.value)
