"""Limits of a part of a run, and bodies that end their thread without an answer."""

from __future__ import annotations

import pytest

from weaver import Answer, Run, Task, Weaver
from weaver.budget import Limits
from weaver.errors import BudgetExceeded
from weaver.messages import user
from weaver.models.protocol import Request
from weaver.runtime.budget_ledger import Ledger
from weaver.runtime.thread_runner import Ending
from weaver.testing import Scripted, ScriptedModel, virtual_time
from weaver.usage import Usage

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


def test_a_reservation_counts_at_every_ledger_around_it_and_goes_back_to_each():
    run = Ledger(Limits(tokens=1000, calls=3))
    part = Ledger(Limits(tokens=100), outer=run, whose="Step 'a'")
    reservation = part.reserve(20, None)
    assert reservation.max_tokens == 80
    assert (part.tokens_left, run.tokens_left, part.calls_left) == (0, 900, 2)
    part.settle(reservation, Usage(calls=1, input_tokens=20, output_tokens=30))
    assert (part.tokens_left, run.tokens_left) == (50, 950)
    assert run.spent.total_tokens == 50


def test_the_tighter_ledger_decides_and_a_refusal_leaves_nothing_reserved():
    run = Ledger(Limits(tokens=60))
    part = Ledger(Limits(tokens=1000), outer=run, whose="Step 'a'")
    assert part.reserve(20, 500).max_tokens == 40
    assert part.tokens_left == 0
    with pytest.raises(BudgetExceeded, match="The run's budget of 60 tokens"):
        part.reserve(20, 10)
    assert part.limits.tokens is not None
    assert part.reserved_tokens == 60
    tight = Ledger(Limits(calls=0), outer=Ledger(Limits()), whose="Step 'b'")
    with pytest.raises(BudgetExceeded, match="Step 'b' may make 0 model calls"):
        tight.reserve(1, 10)
    assert tight.outer is not None
    assert tight.outer.reserved_calls == 0


async def test_a_high_cap_of_one_thread_leaves_its_siblings_a_fair_share_of_the_budget():
    model = ScriptedModel([Scripted("fine", each=1.0)])

    async def body(run: Run, task: Task) -> Answer:
        return Answer((await run.think(Request((user(task.prompt),), max_tokens=100_000))).text)

    async def method(run: Run, task: Task) -> Answer:
        async with run.fork([Task(letter) for letter in "abcd"], body=body) as threads:
            return Answer(",".join([t.state async for t in threads.as_finished()]))

    result = await Weaver(model, strategy=method, max_tokens=6000).run("go")
    assert result.answer == "succeeded,succeeded,succeeded,succeeded"
    caps = [seen.request.max_tokens or 0 for seen in model.requests]
    assert min(caps) > 6000 // 10
    assert sum(caps) <= 6000


async def test_a_thread_with_limits_of_its_own_stops_and_the_others_go_on():
    model = ScriptedModel(Scripted("fine") for _ in range(1))

    async def body(run: Run, task: Task) -> Answer:
        if task.prompt == "tight":
            run.limit(Limits(calls=1), "The tight one")
        texts = [(await run.think(task.prompt)).text for _ in range(3)]
        return Answer(" ".join(texts))

    async def method(run: Run, task: Task) -> Answer:
        async with run.fork([Task("tight"), Task("free")], body=body) as threads:
            async for _ in threads.as_finished():
                pass
            return Answer(",".join(t.state for t in threads.all))

    result = await Weaver(model, strategy=method).run("go")
    assert result.answer == "cancelled,succeeded"
    assert result.threads[0].cancel_reason == "budget"
    assert result.threads[0].error is not None
    assert result.threads[0].error.startswith("The tight one may make 1 model calls")
    assert result.usage.calls == 4


@pytest.mark.parametrize("state", ["skipped", "timed_out"])
async def test_a_body_may_end_its_thread_without_an_answer(state):
    async def body(run: Run, task: Task) -> Answer:
        raise Ending(state, "there was nothing to do.")

    async def method(run: Run, task: Task) -> Answer:
        async with run.fork([Task("a")], body=body) as threads:
            return Answer(" ".join([t.state async for t in threads.as_finished()]))

    result = await Weaver(ScriptedModel("ok"), strategy=method).run("go")
    assert result.answer == state
    assert result.threads[0].state == state
    assert result.threads[0].error == "there was nothing to do."
