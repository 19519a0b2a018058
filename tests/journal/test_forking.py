"""A new run from the middle of another one: what cannot depend on the step is taken over."""

from __future__ import annotations

import pytest

from weaver import Answer, Run, Task, Weaver
from weaver._journal.forking import fork_run
from weaver._journal.memory import MemoryJournal
from weaver.errors import UnknownNameError
from weaver.testing import Scripted, ScriptedModel, virtual_time

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


async def two_and_one(run: Run, task: Task) -> Answer:
    """A plan, two threads, and a last call that sees both."""
    plan = await run.think("plan it")
    async with run.fork([Task(f"left of {plan.text}"), Task(f"right of {plan.text}")]) as threads:
        sides = sorted(await threads.join(), key=lambda thread: thread.id)
    return Answer((await run.think("join " + " and ".join(t.text for t in sides))).text)


def model(says: str) -> ScriptedModel:
    return ScriptedModel(
        [
            Scripted(f"P{says}", when="plan it", first=1.0),
            Scripted(f"L{says}", when="left", first=1.0),
            Scripted(f"R{says}", when="right", first=5.0),
            Scripted(lambda request: request.messages[-1].text, when="join", first=1.0),
        ]
    )


async def forked(step: str, **options: str):
    journal, other = MemoryJournal(), model("2")
    await Weaver(model("1"), strategy=two_and_one, journal=journal).run("q", run_id="r")
    before = list(await journal.entries("r"))
    await fork_run(journal, "r", step, "new", about={"question": "q"}, **options)
    result = await Weaver(other, strategy=two_and_one, journal=journal).run("q", run_id="new")
    assert list(await journal.entries("r")) == before
    again = await Weaver(model("3"), strategy=two_and_one, journal=journal).run("q", run_id="new")
    assert again.answer == result.answer
    assert result.usage.calls == len(other.requests)
    return result.answer, [r.request.messages[-1].text.split()[0] for r in other.requests]


@pytest.mark.parametrize(
    ("step", "answer", "asked"),
    [
        ("call/0", "join L2 and R2", ["plan", "left", "right", "join"]),
        ("t1", "join L2 and R1", ["left", "join"]),
        ("t1/call/0", "join L2 and R1", ["left", "join"]),
        ("t2", "join L1 and R2", ["right", "join"]),
        ("call/1", "join L1 and R1", ["join"]),
    ],
)
async def test_the_step_and_what_came_after_it_are_done_again(step, answer, asked):
    assert await forked(step) == (answer, asked)


async def test_a_step_can_have_answered_something_else():
    assert await forked("call/0", reply="mine") == ("join L2 and R2", ["left", "right", "join"])
    assert await forked("t2/call/0", reply="mine") == ("join L1 and mine", ["join"])


async def test_steps_that_are_not_there_are_named():
    with pytest.raises(UnknownNameError, match=r"no finished step named 't3/call/0'(?s:.*)t2/call/0"):
        await forked("t3/call/0")
    with pytest.raises(UnknownNameError, match="no model call named 't1'"):
        await forked("t1", reply="x")
