"""From task to result: the deadline's promise, cancellation by the user, foreign errors, the books."""

from __future__ import annotations

import time

import anyio
import pytest

from weaver import Answer, Run, Task, Weaver, tool
from weaver._data.messages import user
from weaver._models.protocol import Request
from weaver._runtime.calls.requests import REASONING_TOKENS
from weaver.errors import (
    BudgetExceededError,
    DeadlineExceededError,
    InvalidTaskError,
    NoAnswerError,
    RunCancelled,
    StrategyError,
)
from weaver.events import RunFinished, ThreadStarted
from weaver.testing import Scripted, ScriptedModel, virtual_time

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


async def test_the_deadline_gives_a_typed_error_when_there_is_nothing_to_answer_with():
    with pytest.raises(DeadlineExceededError, match="2 s") as caught:
        await Weaver(ScriptedModel([Scripted("late", first=60)]), strategy="sequential", deadline=2).run("q")
    assert caught.value.result.status == "failed"
    assert caught.value.result.metrics.wall_seconds <= 2.25


async def test_the_deadline_gives_what_there_is():
    model = ScriptedModel([Scripted("quick", when="one"), Scripted("never", when="two", first=60)])

    async def method(run: Run, task: Task) -> Answer:
        async with run.fork([Task("one"), Task("two")]) as threads:
            await threads.join()
        raise AssertionError

    result = await Weaver(model, strategy=method, deadline=2).run("q")
    assert result.status == "partial"
    assert "quick" in result.answer
    assert result.metrics.wall_seconds <= 2.25
    assert result.threads[1].cancel_reason == "deadline"
    assert any("deadline" in note for note in result.notes)


async def test_an_offered_answer_is_what_the_deadline_gives():
    async def method(run: Run, task: Task) -> Answer:
        run.offer(Answer("good enough", complete=False))
        await anyio.sleep(100)
        raise AssertionError

    result = await Weaver(ScriptedModel(), strategy=method, deadline=1).run("q")
    assert (result.status, result.answer) == ("partial", "good enough")


async def test_a_strategy_that_ignores_its_cancellation_is_left_behind():
    async def method(run: Run, task: Task) -> Answer:
        while True:
            try:
                await anyio.sleep(3)
                return Answer("far too late")
            except anyio.get_cancelled_exc_class():
                continue

    with pytest.raises(DeadlineExceededError) as caught:
        await Weaver(ScriptedModel(), strategy=method, deadline=1).run("q")
    assert caught.value.result.metrics.wall_seconds <= 1.25
    assert any("left behind" in note for note in caught.value.result.notes)
    await anyio.sleep(10)


async def test_the_user_cancels_and_keeps_what_was_finished():
    model = ScriptedModel([Scripted("quick", when="one"), Scripted("never", when="two", first=60)])

    async def method(run: Run, task: Task) -> Answer:
        async with run.fork([Task("one"), Task("two")]) as threads:
            await threads.join()
        raise AssertionError

    events = []
    async with Weaver(model, strategy=method).stream("q") as run:
        async for event in run:
            events.append(event)
            if isinstance(event, ThreadStarted) and event.thread == "t2":
                await anyio.sleep(1)
                run.cancel()
    assert isinstance(events[-1], RunFinished)
    assert run.result.status == "partial"
    assert "quick" in run.result.answer
    assert isinstance(run.error, RunCancelled)
    assert run.result.threads[1].cancel_reason == "user"
    assert model.in_flight == 0


async def test_leaving_a_stream_early_cancels_the_run():
    model = ScriptedModel([Scripted("never", first=60)])
    async with Weaver(model, strategy="sequential").stream("q") as run:
        async for _ in run:
            await anyio.sleep(1)
            break
    assert model.in_flight == 0
    assert model.requests[0].closed == "cancelled"


async def test_cancelling_the_caller_cancels_the_run():
    model = ScriptedModel([Scripted("never", first=60)])
    with anyio.move_on_after(1) as scope:
        await Weaver(model, strategy="sequential").run("q")
    assert scope.cancelled_caught
    assert model.in_flight == 0


async def test_a_foreign_error_of_a_strategy_is_ours_and_keeps_its_cause():
    async def method(run: Run, task: Task) -> Answer:
        raise KeyError("x")

    with pytest.raises(StrategyError, match=r"method.*KeyError") as caught:
        await Weaver(ScriptedModel(), strategy=method).run("q")
    assert isinstance(caught.value.__cause__, KeyError)
    assert caught.value.result.error.type == "StrategyError"


async def test_an_empty_task_and_an_empty_answer_are_errors():
    with pytest.raises(InvalidTaskError):
        await Weaver(ScriptedModel()).run("  \n ")

    async def method(run: Run, task: Task) -> Answer:
        return Answer("  ")

    with pytest.raises(NoAnswerError, match="empty"):
        await Weaver(ScriptedModel(), strategy=method).run("q")


async def test_usage_is_the_sum_of_all_calls_with_cancelled_and_failed_ones_in_the_mix():
    from weaver._models.protocol import Prices
    from weaver.errors import StreamInterruptedError

    model = ScriptedModel(
        [
            Scripted("fine and good", when="good"),
            Scripted("a b c d", when="slow", each=1),
            Scripted("x y z", when="breaks", error=StreamInterruptedError("cut."), error_after=2),
        ],
        prices=Prices(input=1.0, output=3.0),
    )

    async def method(run: Run, task: Task) -> Answer:
        async with run.fork([Task("good"), Task("breaks")]) as threads:
            await threads.join()
        async with run.fork([Task("slow")]):
            await anyio.sleep(1.5)
        return Answer("done")

    result = await Weaver(model, strategy=method).run("q")
    assert result.usage.calls == 4, "the broken stream was begun again once"
    assert result.usage.output_tokens == 3 + 2 + 2 + 2
    assert result.usage.total_tokens == sum(t.usage.total_tokens for t in result.threads)
    assert result.usage.cost_usd == pytest.approx(sum(t.usage.cost_usd for t in result.threads))
    assert result.usage.cost_usd > 0
    assert result.threads[1].attempts == 2
    assert result.threads[1].answer == "x y"


async def test_budgets_hold_under_fan_out():
    model = ScriptedModel([Scripted("w " * 200, each=0.01)])

    async def method(run: Run, task: Task) -> Answer:
        async with run.fork([Task(f"q{i}", max_tokens=50) for i in range(64)]) as threads:
            return Answer(str(len(await threads.join())))

    result = await Weaver(model, strategy=method, max_calls=9).run("q")
    assert len(model.requests) == 9
    assert result.answer != "0"
    assert sum(t.cancel_reason == "budget" for t in result.threads) >= 55
    model.requests.clear()
    result = await Weaver(model, strategy=method, max_total_tokens=1000).run("q")
    assert result.usage.total_tokens <= 1000


async def test_a_budget_that_allows_nothing_is_a_typed_error_and_sends_nothing():
    model = ScriptedModel()
    with pytest.raises(BudgetExceededError, match="budget"):
        await Weaver(model, strategy="sequential", max_total_tokens=5).run("a question " * 20)
    assert model.requests == []


async def test_tools_run_and_their_failures_are_told_to_the_model():
    @tool
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    @tool
    def broken() -> str:
        """Fails."""
        raise RuntimeError("no power")

    @tool
    async def quits() -> str:
        """Ends the program, or tries to."""
        raise SystemExit(3)

    model = ScriptedModel(
        [
            Scripted("42 it is", when=lambda r: any(m.role == "tool" for m in r.messages)),
            Scripted(
                tool_calls=(
                    ("add", '{"a": 40, "b": 2}'),
                    ("broken", "{}"),
                    ("add", '{"a": "x"}'),
                    ("no", ""),
                    ("quits", "{}"),
                )
            ),
        ]
    )
    result = await Weaver(model, strategy="sequential").run("q", tools=[add, broken, quits])
    assert result.answer == "42 it is"
    told = [m.content for m in model.requests[1].request.messages if m.role == "tool"]
    assert told[0] == "42"
    assert "no power" in told[1]
    assert "do not fit" in told[2]
    assert "There is no tool 'no'" in told[3]
    assert "raised SystemExit: 3" in told[4]


async def test_a_tool_that_takes_too_long_is_told_to_the_model():
    @tool(timeout=2)
    async def slow() -> str:
        """Slow."""
        await anyio.sleep(50)
        return "late"

    model = ScriptedModel(
        [
            Scripted("went on", when=lambda r: any("took longer than 2 s" in m.content for m in r.messages)),
            Scripted(tool_calls=(("slow", "{}"),)),
        ]
    )
    result = await Weaver(model, strategy="sequential").run("q", tools=[slow])
    assert result.answer == "went on"
    assert result.metrics.wall_seconds == pytest.approx(2)
    assert result.metrics.critical_path_seconds == pytest.approx(2)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_blocking_tool_does_not_break_the_deadline(anyio_backend):
    def block() -> str:
        """Blocks."""
        time.sleep(1.5)  # a blocking tool is what this test is about
        return "late"

    model = ScriptedModel([Scripted(tool_calls=(("block", "{}"),))])
    began = time.monotonic()
    with pytest.raises(DeadlineExceededError):
        await Weaver(model, strategy="sequential", deadline=0.3).run("q", tools=[block])
    assert time.monotonic() - began < 1.2


async def test_output_types_are_parsed_repaired_and_at_last_refused():
    from pydantic import BaseModel

    from weaver.errors import InvalidOutputError

    class City(BaseModel):
        name: str
        people: int

    model = ScriptedModel(['{"name": "Paris"}', 'Sure: ```json\n{"name": "Paris", "people": 2}\n```'])
    result = await Weaver(model, strategy="sequential").run("q", output=City)
    assert result.output == City(name="Paris", people=2)
    assert "people" in model.requests[1].request.messages[-1].content
    numbers = await Weaver(ScriptedModel('{"value": [1, 2]}'), strategy="sequential").run(
        "q", output=list[int]
    )
    assert numbers.output == [1, 2]
    stubborn = ScriptedModel("no json here")
    with pytest.raises(InvalidOutputError):
        await Weaver(stubborn, strategy="sequential").run("q", output=City)
    assert len(stubborn.requests) == 3


@pytest.mark.parametrize("limits", [{}, {"max_total_tokens": 200}])
async def test_a_journal_answers_for_finished_calls(limits):
    from weaver._journal.memory import MemoryJournal

    journal = MemoryJournal()
    model = ScriptedModel([Scripted("one", when="first"), Scripted("two", when="second", first=50)])

    async def method(run: Run, task: Task) -> Answer:
        first = await run.think("first")
        second = await run.think("second")
        return Answer(f"{first.text} {second.text}")

    with pytest.raises(DeadlineExceededError):
        await Weaver(model, strategy=method, journal=journal, deadline=1, temperature=0.5, **limits).run(
            "q", run_id="r"
        )
    assert model.requests[0].request.max_tokens is None
    result = await Weaver(model, strategy=method, journal=journal, temperature=0.5).run("q", run_id="r")
    assert result.answer == "one two"
    assert ["first" in r.request.messages[0].content for r in model.requests] == [True, False, False]
    assert result.usage.calls == 2


async def test_a_cap_leaves_room_for_reasoning_once_a_model_is_seen_to_reason():
    model = ScriptedModel([Scripted("four", reasoning="hm " * 30)])

    async def method(run: Run, task: Task) -> Answer:
        capped = Request((user("2+2?"),), max_tokens=10)
        first = await run.think(capped)
        assert (first.text, first.finish) == ("", "length")
        second = await run.think(capped)
        await run.think(Request(prompt="2+2=", max_tokens=10))
        return Answer(second.text)

    result = await Weaver(model, strategy=method).run("q")
    assert result.answer == "four"
    assert [r.request.max_tokens for r in model.requests] == [10, 10 + REASONING_TOKENS, 10]


async def test_room_for_reasoning_keeps_to_the_budget():
    model = ScriptedModel([Scripted("four", reasoning="hm " * 30)])

    async def method(run: Run, task: Task) -> Answer:
        await run.think("2+2?")
        return Answer((await run.think(Request((user("2+2?"),), max_tokens=10))).text)

    result = await Weaver(model, strategy=method, max_total_tokens=300).run("q")
    assert result.answer == "four"
    assert result.usage.total_tokens <= 300
    assert model.requests[1].request.max_tokens == 10 + REASONING_TOKENS


def test_run_sync_works_with_and_without_a_running_loop():
    import asyncio

    weaver = Weaver(ScriptedModel("hello"), strategy="sequential")
    assert weaver.run_sync("q").answer == "hello"

    async def inside() -> str:
        return weaver.run_sync("q").answer

    assert asyncio.run(inside()) == "hello"


async def test_when_every_thread_timed_out_what_they_said_is_a_partial_answer():
    async def method(run: Run, task: Task) -> Answer:
        async with run.fork([Task("one", title="first")], timeout=3) as threads:
            await threads.join()
        raise AssertionError

    result = await Weaver(ScriptedModel([Scripted("a b c d e f", each=1)]), strategy=method).run("q")
    assert (result.status, result.answer) == ("partial", "first: a b c")
    assert result.error.type == "NoAnswerError"


async def test_an_offered_answer_outlives_an_error():
    async def method(run: Run, task: Task) -> Answer:
        run.offer(Answer("good enough", complete=False))
        raise ZeroDivisionError("oops")

    result = await Weaver(ScriptedModel(), strategy=method).run("q")
    assert (result.status, result.answer) == ("partial", "good enough")
    assert result.error.type == "StrategyError"
    assert any("best answer it had" in note for note in result.notes)


def test_the_deadline_is_said_as_it_was_given():
    """On the real clock, which moves between two readings."""
    weaver = Weaver(ScriptedModel([Scripted("late", first=60)]), strategy="sequential", deadline=0.05)
    with pytest.raises(DeadlineExceededError, match=r"The deadline of 0\.05 s passed"):
        anyio.run(weaver.run, "q")
