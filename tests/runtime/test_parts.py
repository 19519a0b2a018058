"""Limits of a part of a run, and bodies that end their thread without an answer."""

from __future__ import annotations

import anyio
import pytest

from weaver import Answer, Run, Task, Weaver
from weaver._data.budget import Limits
from weaver._data.messages import user
from weaver._data.usage import Usage
from weaver._models.protocol import Prices, Request
from weaver._runtime.limits.budget_ledger import Ledger
from weaver._runtime.threads.thread_runner import Ending
from weaver.errors import BudgetExceededError
from weaver.testing import Scripted, ScriptedModel, virtual_time

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


def test_a_reservation_counts_at_every_ledger_around_it_and_goes_back_to_each():
    run = Ledger(Limits(total_tokens=1000, calls=3))
    part = Ledger(Limits(total_tokens=100), outer=run, whose="Step 'a'")
    reservation = part.reserve(20, 50)
    assert (part.tokens_left, run.tokens_left, part.calls_left) == (30, 930, 2)
    part.settle(reservation, Usage(calls=1, input_tokens=20, output_tokens=30))
    assert (part.tokens_left, run.tokens_left) == (50, 950)
    assert run.spent.total_tokens == 50


def test_the_tighter_ledger_decides_and_a_refusal_leaves_nothing_reserved():
    run = Ledger(Limits(total_tokens=60))
    part = Ledger(Limits(total_tokens=1000), outer=run, whose="Step 'a'")
    part.reserve(20, 500)
    assert part.tokens_left == 0
    with pytest.raises(BudgetExceededError, match="The run's budget of 60 tokens") as refused:
        part.reserve(20, 10)
    assert refused.value.limit == "tokens"
    assert (part.reserved_tokens, run.reserved_tokens, part.reserved_calls) == (520, 60, 1)
    tight = Ledger(Limits(calls=0), outer=Ledger(Limits()), whose="Step 'b'")
    with pytest.raises(BudgetExceededError, match="Step 'b' may make 0 model calls"):
        tight.reserve(1, 10)
    assert tight.outer is not None
    assert tight.outer.reserved_calls == 0


def test_an_open_call_stops_when_the_budget_around_it_is_used_up():
    run = Ledger(Limits(total_tokens=100))
    part = Ledger(Limits(), outer=run, whose="Step 'a'")
    one, two = part.reserve(10, 500), run.reserve(10, 500)
    assert part.limits_answers
    assert part.advance(one, 30) == ""
    assert run.advance(two, 48) == ""
    assert part.advance(one, 1) == "tokens"
    part.settle(one, Usage(calls=1, input_tokens=10, output_tokens=31))
    assert run.advance(two, 1) == "tokens"
    assert run.tokens_left == 0
    run.settle(two, Usage(calls=1, input_tokens=10, output_tokens=49))
    assert run.spent.total_tokens == 100


def test_money_stops_an_open_call_too():
    ledger = Ledger(Limits(cost_usd=0.001))
    prices = Prices(input=1, output=10)
    call = ledger.reserve(100, 50, prices=prices)
    assert ledger.advance(call, 89) == ""
    assert ledger.advance(call, 1) == "cost_usd"
    with pytest.raises(BudgetExceededError, match=r"budget of 0\.001 US dollars") as refused:
        ledger.reserve(1, 1, prices=prices)
    assert refused.value.limit == "cost_usd"


@pytest.mark.parametrize("calls", [2, 64])
async def test_a_budget_is_no_cap_and_calls_at_once_all_find_room(calls):
    model = ScriptedModel(Scripted("w " * 20, each=0.1))

    async def method(run: Run, task: Task) -> Answer:
        async with anyio.create_task_group() as group:
            for _ in range(calls):
                group.start_soon(run.think, "go")
        return Answer("done")

    result = await Weaver(model, strategy=method, max_total_tokens=1_000_000).run("go")
    assert result.status == "complete"
    assert [seen.request.max_tokens for seen in model.requests] == [None] * calls


async def test_an_answer_that_uses_up_the_budget_is_kept_as_far_as_it_came():
    model = ScriptedModel(Scripted("word " * 500, each=0.1))
    result = await Weaver(model, strategy="sequential", max_total_tokens=100).run("go")
    assert result.status == "partial"
    assert 70 <= len(result.answer.split()) <= 100
    assert result.usage.total_tokens <= 101  # the last delta may hold a token more than it was counted for
    assert any("budget of tokens is used up" in note for note in result.notes)
    assert model.requests[0].closed == "cancelled"


async def test_a_high_cap_of_one_thread_does_not_starve_its_siblings():
    model = ScriptedModel([Scripted("fine", each=1.0)])

    async def body(run: Run, task: Task) -> Answer:
        return Answer((await run.think(Request((user(task.prompt),), max_tokens=100_000))).text)

    async def method(run: Run, task: Task) -> Answer:
        async with run.fork([Task(letter) for letter in "abcd"], body=body) as threads:
            return Answer(",".join([t.state async for t in threads.as_finished()]))

    result = await Weaver(model, strategy=method, max_total_tokens=6000).run("go")
    assert result.answer == "succeeded,succeeded,succeeded,succeeded"
    caps = [seen.request.max_tokens or 0 for seen in model.requests]
    assert caps == [100_000] * 4


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
