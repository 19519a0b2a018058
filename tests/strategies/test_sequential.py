"""The baseline, and budget forcing."""

from __future__ import annotations

import pytest

from weaver import Task, Weaver
from weaver._models.protocol import Capabilities
from weaver._strategies.common import registry
from weaver._testing.scripted import text_of
from weaver.errors import MissingCapabilityError
from weaver.events import AnswerDelta, AnswerStarted
from weaver.testing import Scripted, ScriptedModel

pytestmark = pytest.mark.anyio


def last(request) -> str:
    return request.messages[-1].content


async def test_one_call():
    model = ScriptedModel("forty-two")
    result = await Weaver(model, strategy="sequential").run("q")
    assert (result.answer, len(model.requests), result.threads) == ("forty-two", 1, ())
    assert not result.decision.parallel


async def test_thinking_is_prolonged_by_putting_wait_in_the_place_of_its_end():
    model = ScriptedModel(["It is 4.", "no, 5.", "indeed 5.", "The answer is 5."])
    result = await Weaver(model, strategy="sequential:wait=2").run("q")
    assert result.answer == "The answer is 5."
    sent = [r.request for r in model.requests]
    assert all(r.prefill for r in sent)
    assert [r.stop for r in sent] == [("</think>",)] * 3 + [()]
    assert [last(r) for r in sent] == [
        "<think>\n",
        "<think>\nIt is 4.\nWait",
        "<think>\nIt is 4.\nWaitno, 5.\nWait",
        "<think>\nIt is 4.\nWaitno, 5.\nWaitindeed 5.\n</think>\n\n",
    ]


async def test_thinking_is_ended_at_its_budget():
    model = ScriptedModel([Scripted("a b c d e f g", times=1), Scripted("so 7.")])
    result = await Weaver(model, strategy="sequential:think_tokens=4,wait=3").run("q")
    assert [r.request.max_tokens for r in model.requests] == [4, None]
    assert last(model.requests[1].request) == "<think>\na b c d\n</think>\n\nFinal Answer:"
    assert result.answer == "so 7."


async def test_the_budget_is_for_all_thinking_together():
    model = ScriptedModel(["a b c", "d e f", "so 7."])
    await Weaver(model, strategy="sequential:think_tokens=5,wait=3").run("q")
    assert [r.request.max_tokens for r in model.requests] == [5, 2, None]


async def test_a_typed_task_is_answered_with_the_thoughts_in_view():
    model = ScriptedModel(["It is 4.", '{"value": 4}'])
    result = await Weaver(model, strategy="sequential:think_tokens=50").run(Task("q", output=int))
    assert result.output == 4
    assert "```thoughts on the task\nIt is 4.\n```" in text_of(model.requests[1].request)


async def test_budget_forcing_needs_an_endpoint_that_continues_messages():
    model = ScriptedModel(can=Capabilities(tools=True))
    with pytest.raises(MissingCapabilityError, match="Option wait of strategy 'sequential' needs prefill"):
        await Weaver(model, strategy="sequential:wait=1").run("q")
    assert (await Weaver(model, strategy="sequential").run("q")).answer == "ok"


def test_what_only_an_option_needs_is_known_before_a_call():
    found, options = registry.find("sequential:wait=0,think_tokens=9")
    assert found.option_needs == {"wait": ["prefill"], "think_tokens": ["prefill"]}
    with pytest.raises(
        MissingCapabilityError, match=r"Option think_tokens .* needs prefill, which 100%m does not"
    ):
        found.check(Capabilities(), "100%m", options)
    found.check(Capabilities(), "m", {"wait": 0})
    found.check(Capabilities(prefill=True), "m", options)


async def test_listeners_hear_the_answer_and_not_the_thinking():
    model = ScriptedModel(["hmm hmm", "It is four."])
    heard = []
    async with Weaver(model, strategy="sequential:think_tokens=50").stream("q") as run:
        async for event in run:
            if isinstance(event, AnswerStarted):
                heard.append("|")
            elif isinstance(event, AnswerDelta):
                heard.append(event.text)
    assert "".join(heard) == "|It is four."


async def test_a_deadline_in_the_conclusion_leaves_all_that_was_said():
    model = ScriptedModel(
        [Scripted("I think it is late", when="out of room", each=1), Scripted("one two three " * 9, each=1)]
    )
    result = await Weaver(model, strategy="sequential", deadline=10).run("q")
    assert result.status == "partial"
    assert result.answer.startswith("one two three one two")
    assert result.answer.endswith("I think")


async def test_a_conclusion_is_put_under_what_was_said():
    model = ScriptedModel([Scripted("it is 4", when="out of room"), Scripted("one two three " * 9, each=1)])
    result = await Weaver(model, strategy="sequential", deadline=10).run("q")
    assert result.answer.startswith("one two three one two three")
    assert result.answer.endswith("\n\nit is 4")
    assert result.status == "partial"


async def test_a_pleasantry_never_replaces_what_was_said():
    model = ScriptedModel(
        [
            Scripted("Thank you for your time.", when="out of room"),
            Scripted("".join(f"word{i} " for i in range(600)), each=0.1),
        ]
    )
    result = await Weaver(model, strategy="sequential", deadline=50).run("q")
    assert len(result.answer.split()) > 380
    assert result.status == "partial"
    assert any("asked to conclude" in note for note in result.notes)


async def test_an_answer_written_again_replaces_what_was_cut():
    again = "the whole answer in other words " * 3
    model = ScriptedModel([Scripted(again, when="out of room"), Scripted("one two three " * 9, each=1)])
    result = await Weaver(model, strategy="sequential", deadline=10).run("q")
    assert result.answer == again.strip()
    assert result.status == "partial"
