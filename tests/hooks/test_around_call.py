"""Hooks around model calls."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import anyio
import pytest

from weaver import Context, Hook, Message, ModelCall, RefusedError, Weaver
from weaver._data.messages import ToolCall
from weaver._data.parts import ImagePart
from weaver._models.protocol import Request
from weaver._models.reply import Reply
from weaver.errors import DeadlineExceededError, HookError, ServerError
from weaver.testing import Scripted, ScriptedModel, virtual_time

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return virtual_time()


def weaver(model: ScriptedModel, *hooks: Any, **options: Any) -> Weaver:
    return Weaver(model, strategy="sequential", hooks=hooks, **options)


class Order(Hook):
    def __init__(self, name: str, log: list[str]) -> None:
        self.name, self.log = name, log

    async def around_call(self, call: ModelCall, proceed: Any) -> Reply:
        self.log.append(f"{self.name} before")
        reply: Reply = await proceed(call)
        self.log.append(f"{self.name} after {reply.text}")
        return reply


async def test_the_first_hook_is_outermost_and_those_of_the_run_are_inside() -> None:
    log: list[str] = []
    model = ScriptedModel("fine")
    result = await weaver(model, Order("a", log), Order("b", log)).run("Well?", hooks=[Order("c", log)])
    assert result.answer == "fine"
    assert log == ["a before", "b before", "c before", "c after fine", "b after fine", "a after fine"]


async def test_a_plain_function_may_change_the_request() -> None:
    class Shout:
        def around_call(self, call: ModelCall, proceed: Any) -> Any:
            return proceed(call.with_texts(str.upper))

    model = ScriptedModel("fine")
    await weaver(model, Shout()).run("Well?")
    assert model.requests[0].request.messages[-1].content == "WELL?"


async def test_text_streams_on_while_a_hook_waits_for_the_reply() -> None:
    seen: list[str] = []

    class Late(Hook):
        async def around_call(self, call: ModelCall, proceed: Any) -> Reply:
            reply: Reply = await proceed(call)
            seen.append(f"hook: {reply.text}")
            return reply

    async with weaver(ScriptedModel("one two three"), Late()).stream("Well?") as run:
        async for text in run.text():
            seen.append(text.strip())  # noqa: PERF401 - the hook adds to the list meanwhile
    assert seen == ["one", "two", "three", "hook: one two three"]


async def test_a_held_reply_is_seen_as_the_hook_returns_it() -> None:
    class Mask(Hook):
        async def around_call(self, call: ModelCall, proceed: Any) -> Reply:
            reply = await proceed(call, hold=True)
            return replace(reply, text=reply.text.replace("1234", "****"))

    async with weaver(ScriptedModel("the code is 1234"), Mask()).stream("Well?") as run:
        texts = [text async for text in run.text()]
    assert "".join(texts) == run.result.answer == "the code is ****"


async def test_changing_a_reply_after_it_was_passed_on_is_an_error_that_names_the_hook() -> None:
    class Late(Hook):
        async def around_call(self, call: ModelCall, proceed: Any) -> Reply:
            reply: Reply = await proceed(call)
            return replace(reply, text="something else")

    with pytest.raises(HookError, match=r"Late\.around_call changed a reply .* hold=True"):
        await weaver(ScriptedModel("fine"), Late()).run("Well?")


async def test_a_hook_may_answer_itself_and_nothing_is_paid() -> None:
    class Answers(Hook):
        def around_call(self, call: ModelCall, proceed: Any) -> str:
            return "from the shelf"

    model = ScriptedModel("fine")
    result = await weaver(model, Answers()).run("Well?")
    assert (result.answer, model.requests) == ("from the shelf", [])
    assert (result.usage.calls, result.usage.total_tokens, result.usage.cost_usd) == (1, 0, 0.0)


async def test_two_tries_of_a_hook_are_both_counted() -> None:
    class Twice(Hook):
        async def around_call(self, call: ModelCall, proceed: Any) -> Reply:
            await proceed(call, hold=True)
            reply: Reply = await proceed(call, hold=True)
            return reply

    model = ScriptedModel([Scripted("one two", times=1), Scripted("three")])
    result = await weaver(model, Twice()).run("Well?")
    assert result.answer == "three"
    assert result.usage.output_tokens == 3


async def test_a_hook_sees_the_error_of_a_model_and_may_try_again() -> None:
    class Again(Hook):
        async def around_call(self, call: ModelCall, proceed: Any) -> Reply:
            try:
                reply: Reply = await proceed(call)
            except ServerError:
                reply = await proceed(call)
            return reply

    model = ScriptedModel([Scripted(error=ServerError("broken"), times=1), Scripted("fine")])
    assert (await weaver(model, Again()).run("Well?")).answer == "fine"


async def test_the_error_of_a_model_passes_through_unchanged() -> None:
    model = ScriptedModel([Scripted(error=ServerError("broken"))])
    with pytest.raises(ServerError, match="broken"):
        await weaver(model, Order("a", [])).run("Well?")


@pytest.mark.parametrize("when", ["before", "after"])
async def test_any_other_error_names_the_hook(when: str) -> None:
    class Broken(Hook):
        async def around_call(self, call: ModelCall, proceed: Any) -> Reply:
            if when == "before":
                raise KeyError("account")
            reply: Reply = await proceed(call)
            raise KeyError("account") from None
            return reply

    with pytest.raises(HookError, match=r"Broken\.around_call raised KeyError: 'account'\.") as caught:
        await weaver(ScriptedModel("fine"), Broken()).run("Well?")
    assert isinstance(caught.value.__cause__, KeyError)
    assert caught.value.result.answer == ""


async def test_returning_nothing_says_what_to_return() -> None:
    class Forgets(Hook):
        async def around_call(self, call: ModelCall, proceed: Any) -> None:
            await proceed(call)

    with pytest.raises(HookError, match=r"returned NoneType.*Return the reply of proceed\(call\)"):
        await weaver(ScriptedModel("fine"), Forgets()).run("Well?")


async def test_a_refusal_in_one_thread_ends_the_run_and_closes_every_call() -> None:
    class Guard(Hook):
        async def around_call(self, call: ModelCall, proceed: Any) -> Any:
            if call.context.thread == "sample2":
                await anyio.sleep(0.1)
                raise RefusedError("not this one")
            return await proceed(call)

    model = ScriptedModel(Scripted("a very long answer", each=100.0))
    started = anyio.current_time()
    with pytest.raises(RefusedError, match="not this one") as caught:
        await Weaver(model, strategy="self_consistency:samples=3", hooks=[Guard()]).run("Well?")
    assert anyio.current_time() - started < 2
    assert caught.value.hook.endswith("Guard.around_call")
    assert [r.closed for r in model.requests] == ["cancelled"] * 2
    assert all(thread.answer is None for thread in caught.value.result.threads)


async def test_a_deadline_passes_through_a_hook_that_waits() -> None:
    ended: list[str] = []

    class Waits(Hook):
        async def around_call(self, call: ModelCall, proceed: Any) -> Reply:
            try:
                reply: Reply = await proceed(call)
                return reply
            finally:
                ended.append("closed")

    began = anyio.current_time()
    model = ScriptedModel(Scripted("one two three four", each=1.0))
    result = await weaver(model, Waits(), deadline=2.5).run("Well?")
    assert (result.status, ended) == ("partial", ["closed"] * len(model.requests))
    assert {r.closed for r in model.requests} == {"cancelled"}
    assert anyio.current_time() - began <= 2.75


async def test_a_hook_that_ignores_cancellation_does_not_hold_up_the_run() -> None:
    stopped: list[bool] = []
    ignored: list[bool] = []

    class Stubborn(Hook):
        async def around_call(self, call: ModelCall, proceed: Any) -> Any:
            while not stopped:
                try:
                    await anyio.sleep(1000)
                except anyio.get_cancelled_exc_class():
                    ignored.append(True)

    began = anyio.current_time()
    with pytest.raises(DeadlineExceededError):
        await weaver(ScriptedModel("fine"), Stubborn(), deadline=1).run("Well?")
    assert anyio.current_time() - began <= 1.25
    stopped.append(True)


async def test_hooks_are_around_every_call_of_a_forking_run() -> None:
    roles: list[str] = []

    class Roles(Hook):
        async def around_call(self, call: ModelCall, proceed: Any) -> Reply:
            roles.append(call.role)
            reply: Reply = await proceed(call)
            return reply

    plan = '{"parallel": true, "subtasks": [{"id": "a", "prompt": "A?"}, {"id": "b", "prompt": "B?"}]}'

    def is_plan(request: Request) -> bool:
        return "subtasks" in str(request)

    model = ScriptedModel([Scripted(plan, when=is_plan), Scripted("fine")])
    result = await Weaver(model, hooks=[Roles()], strategy="adaptive:gate=off").run("Compare alpha and beta.")
    assert result.status == "complete"
    assert len(roles) == result.usage.calls
    assert {"planner", "thread", "synthesizer"} <= set(roles)


def test_with_texts_changes_every_text_that_is_sent() -> None:
    image = ImagePart(url="https://example.org/a.png")
    messages = (
        Message("system", "secret"),
        Message("user", ("a secret", image)),
        Message("assistant", "", (ToolCall("1", "look", '{"at": "secret"}'),)),
        Message("tool", "the secret", tool_call_id="1"),
    )
    call = ModelCall(Request(messages=messages, prompt="secret!"), "m", "thread", Context(None))
    changed = call.with_texts(lambda text: text.replace("secret", "***")).request
    assert "secret" not in str(changed)
    assert changed.messages[1].media == (image,)
    assert changed.messages[2].tool_calls[0].arguments == '{"at": "***"}'
    assert call.request.messages == messages
