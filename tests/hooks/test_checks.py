"""Guardrails: checks of the task and of the answer."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from weaver import Agent, Answer, Hook, Message, Plan, RefusedError, Subtask, Task, Weaver, tool
from weaver.errors import DeadlineExceededError, HookError
from weaver.events import (
    AnswerDelta,
    AnswerStarted,
    RunFinished,
    RunStarted,
    ThreadDelta,
    ThreadFinished,
    ThreadStarted,
)
from weaver.testing import Scripted, ScriptedModel, virtual_time

pytestmark = pytest.mark.anyio
PLAN = Plan(parallel=True, subtasks=(Subtask(id="a", prompt="A?"), Subtask(id="b", prompt="B?")))


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return virtual_time()


def weaver(model: ScriptedModel, *hooks: Any, **options: Any) -> Weaver:
    return Weaver(model, **{"strategy": "sequential", "hooks": hooks, **options})


class NoWeather(Hook):
    """Takes a second, and refuses questions about the weather."""

    async def check_input(self, task: Task, context: Any) -> None:
        await anyio.sleep(1)
        if "weather" in task.question:
            raise RefusedError("We do not talk about the weather.")


class Beside(NoWeather):
    parallel = True


class NoCodes(Hook):
    def check_output(self, answer: Answer, context: Any) -> None:
        if "1234" in answer.text:
            raise RefusedError("The answer has a code in it.")


async def test_an_input_check_comes_before_the_first_call() -> None:
    model = ScriptedModel("fine")
    with pytest.raises(RefusedError, match="We do not talk") as caught:
        await weaver(model, NoWeather()).run("How is the weather?")
    assert model.requests == []
    assert caught.value.hook == "tests.hooks.test_checks.NoWeather.check_input"
    assert caught.value.result.status == "failed"
    assert caught.value.result.error.type == "RefusedError"
    assert (await weaver(model, NoWeather()).run("How are you?")).answer == "fine"


async def test_an_input_check_may_change_the_question() -> None:
    class Polite(Hook):
        def check_input(self, task: Task, context: Any) -> str:
            return f"Please: {task.question}"

    model = ScriptedModel("fine")
    await weaver(model, Polite(), Polite()).run("Well?")
    await weaver(model, Polite()).run([Message("system", "Be brief."), Message("user", "Well?")])
    assert [r.request.messages[-1].content for r in model.requests] == [
        "Please: Please: Well?",
        "Please: Well?",
    ]


async def test_a_parallel_check_cancels_the_calls_that_run_beside_it() -> None:
    model = ScriptedModel(Scripted("one two three four five", first=0.1, each=0.5))
    began = anyio.current_time()
    with pytest.raises(RefusedError):
        await weaver(model, Beside()).run("How is the weather?")
    assert anyio.current_time() - began == pytest.approx(1, abs=0.05)
    assert [r.closed for r in model.requests] == ["cancelled"]


async def test_a_parallel_check_costs_no_time_when_it_passes() -> None:
    model = ScriptedModel(Scripted("one two", first=1.5))
    began = anyio.current_time()
    assert (await weaver(model, Beside()).run("How are you?")).answer == "one two"
    assert anyio.current_time() - began == pytest.approx(1.5, abs=0.05)


async def test_nothing_is_answered_or_shown_before_a_parallel_check_has_passed() -> None:
    model = ScriptedModel("one two")
    events: list[tuple[float, str]] = []
    async with weaver(model, Beside()).stream("How are you?") as run:
        async for event in run:
            events.append((round(anyio.current_time()), type(event).__name__))  # noqa: PERF401
    assert events[0][1] == "RunStarted"
    assert {at for at, name in events if name == "AnswerDelta"} == {1}
    assert run.result.answer == "one two"


async def test_no_tool_runs_before_a_parallel_check_has_passed() -> None:
    calls: list[str] = []

    @tool
    def pay(amount: int) -> str:
        """Pay."""
        calls.append("paid")
        return "paid"

    model = ScriptedModel([Scripted(tool_calls=(("pay", '{"amount": 3}'),))])
    with pytest.raises(RefusedError):
        await weaver(model, Beside()).run("How is the weather?", tools=[pay])
    assert calls == []


async def test_a_parallel_check_cannot_change_the_task() -> None:
    class Changes(Hook):
        parallel = True

        def check_input(self, task: Task, context: Any) -> str:
            return "something else"

    with pytest.raises(HookError, match="A parallel check cannot change the task"):
        await weaver(ScriptedModel("fine"), Changes()).run("Well?")


async def test_a_refused_answer_is_nowhere_in_result_or_events() -> None:
    model = ScriptedModel("the code is 1234")
    events: list[Any] = []
    async with weaver(model, NoCodes(), strategy="adaptive").stream("Well?", plan=PLAN) as run:
        events = [event async for event in run]
    assert run.result.error.type == "RefusedError"
    assert len(run.result.threads) == 2
    assert "1234" not in str(run.result.as_dict())
    assert "1234" not in str([event.as_dict() for event in events])
    kinds = {type(event) for event in events}
    assert {RunStarted, ThreadStarted, ThreadFinished, RunFinished} <= kinds
    assert not kinds & {AnswerStarted, AnswerDelta, ThreadDelta}


async def test_an_answer_that_passes_is_shown_whole() -> None:
    class Signs(Hook):
        async def check_output(self, answer: Answer, context: Any) -> str:
            return f"{answer.text} (checked)"

    async with weaver(ScriptedModel("one two three"), NoCodes(), Signs()).stream("Well?") as run:
        texts = [event.text async for event in run if isinstance(event, AnswerDelta)]
    assert texts == ["one two three (checked)"] == [run.result.answer]


async def test_a_partial_answer_is_checked_too() -> None:
    model = ScriptedModel(Scripted("1234 and much more", each=1.0))
    with pytest.raises(RefusedError):
        await weaver(model, NoCodes(), deadline=2.5).run("Well?")


async def test_an_answer_whose_check_does_not_end_in_time_is_not_given() -> None:
    class Slow(Hook):
        async def check_output(self, answer: Answer, context: Any) -> None:
            await anyio.sleep(100)

    began = anyio.current_time()
    with pytest.raises(DeadlineExceededError, match="output checks"):
        await weaver(ScriptedModel("fine"), Slow(), deadline=2).run("Well?")
    with pytest.raises(DeadlineExceededError, match="output checks"):
        await weaver(ScriptedModel(Scripted("a b c", each=3)), Slow(), deadline=2).run("Well?")
    assert anyio.current_time() - began <= 4.5


async def test_a_plan_and_a_forecast_are_no_answers() -> None:
    class Nothing(Hook):
        def check_output(self, answer: Answer, context: Any) -> None:
            raise RefusedError("no")

    planner = ScriptedModel('{"parallel": false, "subtasks": []}')
    assert not (await weaver(planner, Nothing()).plan("Well?")).parallel
    with pytest.raises(RefusedError):
        await weaver(planner, NoWeather()).plan("How is the weather?")


async def test_the_hooks_of_an_agent_are_around_its_threads_only() -> None:
    seen: list[str] = []

    class Looks(Hook):
        async def around_call(self, call: Any, proceed: Any) -> Any:
            seen.append(f"call of {call.context.thread}")
            return await proceed(call)

        def check_input(self, task: Task, context: Any) -> str:
            return f"{task.prompt} Be exact."

        def check_output(self, answer: Answer, context: Any) -> str:
            return answer.text.upper()

    model = ScriptedModel("fine")
    plan = Plan(
        parallel=True,
        subtasks=(Subtask(id="a", prompt="A?", agent="exact"), Subtask(id="b", prompt="B?")),
    )
    team = [Agent("exact", hooks=(Looks(),))]
    result = await Weaver(model, agents=team, strategy="adaptive").run("A and B?", plan=plan)
    assert [thread.answer for thread in result.threads] == ["FINE", "fine"]
    assert seen == ["call of a"]
    assert any("A? Be exact." in str(r.request) for r in model.requests)


async def test_a_check_that_fails_names_itself_and_nothing_is_answered() -> None:
    class Broken(Hook):
        def check_output(self, answer: Answer, context: Any) -> None:
            raise ZeroDivisionError("by zero")

    with pytest.raises(HookError, match=r"Broken\.check_output raised ZeroDivisionError: by zero\."):
        await weaver(ScriptedModel("fine"), Broken()).run("Well?")


async def test_a_check_knows_the_caller() -> None:
    users: list[str] = []

    class Who(Hook):
        def check_input(self, task: Task, context: Any) -> None:
            users.append(context.deps["user"])

    await weaver(ScriptedModel("fine"), Who()).run("Well?", deps={"user": "ada"})
    assert users == ["ada"]
