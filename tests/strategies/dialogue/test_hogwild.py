"""Hogwild: the shared history, the check for redundant work, the first final answer."""

from __future__ import annotations

import pytest

from weaver import Weaver
from weaver._models.protocol import Capabilities
from weaver._testing.scripted import text_of
from weaver.testing import Scripted, ScriptedModel

pytestmark = pytest.mark.anyio


def of(name: str, step: int):
    return lambda r: r.messages[-1].content.startswith(f"{name} [{step}]: ")


def request_of(model: ScriptedModel, name: str, step: int):
    return next(r for r in model.requests if of(name, step)(r.request))


async def test_workers_share_one_history_in_the_order_steps_are_finished():
    model = ScriptedModel(
        [
            Scripted("I take the first half.", when=of("Alice", 1), first=2),
            Scripted("I take the second half.", when=of("Bob", 1), first=1),
            Scripted("Mine is 3, so with Alice's it is 7.\nFinal answer: 7", when=of("Bob", 2), first=3),
            Scripted("Mine is 4.", when=of("Alice", 2), first=1),
            Scripted("and", first=60),
        ]
    )
    result = await Weaver(model, strategy="hogwild").run("q")
    assert result.answer.endswith("Final answer: 7")
    # Bob's second step began when only his own first was finished; Alice's second saw both.
    assert "Alice [1]" not in text_of(request_of(model, "Bob", 2).request)
    shown = text_of(request_of(model, "Alice", 2).request)
    assert shown.index("```Bob [1]\nI take the second half.") < shown.index("```Alice [1]\nI take the first")
    assert {r.request.stop for r in model.requests} == {("\n\n", "\nAlice [", "\nBob [")}


async def test_unfinished_steps_are_visible_too():
    model = ScriptedModel(
        [
            Scripted("a b c d e f", when=of("Alice", 1), each=1),
            Scripted("quick", when=of("Bob", 1), first=2.5),
            Scripted("Final answer: 1"),
        ]
    )
    await Weaver(model, strategy="hogwild").run("q")
    assert "```Alice (writing)\na b c \n```" in text_of(request_of(model, "Bob", 2).request)


async def test_the_first_final_answer_ends_all():
    model = ScriptedModel(
        [
            Scripted("Final answer: 42", when=of("Alice", 1), first=1),
            Scripted("still thinking about it", when=of("Bob", 1), each=5),
        ]
    )
    result = await Weaver(model, strategy="hogwild").run("q")
    assert result.answer == "Final answer: 42"
    assert request_of(model, "Bob", 1).closed == "cancelled"
    assert result.threads[1].cancel_reason == "lost_race"
    assert len(model.requests) == 2


async def test_after_a_while_a_worker_is_asked_whether_its_work_is_redundant():
    model = ScriptedModel([*(["a b c d"] * 2), "no. Final answer: 1"])
    await Weaver(model, strategy="hogwild:agents=1,check_tokens=6").run("q")
    check = "Quick check: am I doing redundant work? (yes/no): "
    assert [r.request.messages[-1].content.endswith(check) for r in model.requests] == [False, False, True]


async def test_at_the_end_of_the_tokens_the_answer_is_asked_for():
    model = ScriptedModel([Scripted("Final answer: 9", when="Time is up"), Scripted("a b c d e")])
    result = await Weaver(model, strategy="hogwild:tokens=12,step_tokens=5").run("q")
    assert result.answer == "Final answer: 9"
    assert [r.request.max_tokens for r in model.requests if of("Alice", 3)(r.request)] == [2]
    asked = text_of(model.requests[-1].request)
    assert "Alice [1]: a b c d e" in asked
    assert "Bob [3]: a b" in asked


async def test_a_worker_that_says_nothing_twice_is_done():
    model = ScriptedModel(
        [Scripted("Final answer: 9", when="Time is up"), Scripted("a", times=1), Scripted("")]
    )
    result = await Weaver(model, strategy="hogwild:agents=1").run("q")
    assert result.answer == "Final answer: 9"
    assert len(model.requests) == 4


async def test_without_prefix_continuation_steps_are_asked_for():
    model = ScriptedModel([Scripted("Final answer: 1")], can=Capabilities())
    result = await Weaver(model, strategy="hogwild:agents=1").run("q")
    assert result.answer == "Final answer: 1"
    assert "Write your next step now" in text_of(model.requests[0].request)


async def test_a_deadline_leaves_time_for_an_answer():
    model = ScriptedModel([Scripted("Final answer: 9", when="Time is up"), Scripted("a b c " * 99, each=1)])
    result = await Weaver(model, strategy="hogwild", deadline=30).run("q")
    assert (result.status, result.answer) == ("complete", "Final answer: 9")
    assert "Alice" in text_of(model.requests[-1].request)
