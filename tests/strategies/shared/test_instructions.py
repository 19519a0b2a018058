"""Instructions hold: they stand in every model call that works on the task, whatever the strategy."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.native.playing import Completions
from tests.native.trained import TRAINED, Trained
from tests.strategies.sensible import FAST, HARD, OURS, sense
from weaver import Agent, Message, Plan, Subtask, Task, Weaver
from weaver._models.protocol import Request
from weaver._runtime.state.instructions import FOR_DECISIONS, instructed
from weaver._testing.scripted import text_of
from weaver.errors import BudgetExceededError
from weaver.testing import Scripted, ScriptedModel

pytestmark = pytest.mark.anyio

MARK = "Write in verse, and never mention apples."
WITHOUT = {"apr": "its model was trained on bare Countdown problems and reads nothing else"}
"""Formats whose requests do not carry instructions, and why."""


def sources() -> dict[str, tuple[Any, dict[str, Any]]]:
    """Where instructions may come from: the task, and the options of the run."""
    return {
        "setting": (HARD, {"instructions": MARK}),
        "agent": (Task(HARD, agent=Agent("poet", instructions=MARK)), {}),
        "system message": ((Message("system", MARK), Message("user", HARD)), {}),
    }


@pytest.mark.parametrize("source", sources())
@pytest.mark.parametrize("name", OURS)
async def test_every_request_carries_them_once(name, source):
    task, options = sources()[source]
    model = ScriptedModel([Scripted(sense, logprobs=(-1.0,) * 20, each=0.01)])
    await Weaver(model, strategy=FAST.get(name, name), seed=1).run(task, **options)
    assert model.requests
    for sent in model.requests:
        first = sent.request.messages[0]
        assert first.role == "system"
        assert first.text.count(MARK) == 1
        assert sum(MARK in message.text for message in sent.request.messages) == 1


@pytest.mark.parametrize("trained", TRAINED, ids=[t.name for t in TRAINED])
async def test_prompts_of_native_formats_carry_them(trained: Trained):
    model = Completions(plays=trained.plays)
    await Weaver(model, strategy=trained.strategy, instructions=MARK).run(trained.question)
    assert model.prompts
    for prompt in model.prompts:
        assert prompt.count(MARK) == (0 if trained.name in WITHOUT else 1)


def everything(request: Request) -> str:
    """What makes `adaptive` use all its calls: two threads that disagree, a merge, an output type."""
    text = text_of(request)
    if "You decide how a task is worked on" in text:
        return json.dumps({"parallel": True, "reason": "two", "subtasks": ["Ada", "Bob"]})
    if request.output is None and "claims" in text and "Several workers" not in text:
        number = "7" if "Bob" in text else "5"
        claim = {"subject": "tower", "attribute": "height", "value": number, "unit": "m", "confidence": 0.5}
        return f"It is {number} m.\n\n```claims\n{json.dumps([claim])}\n```"
    return sense(request)


async def test_all_roles_of_a_forked_run_carry_them():
    agents = [Agent("poet", "writes", instructions="You are a poet.")]
    model = ScriptedModel([Scripted(everything, each=0.01)])
    weaver = Weaver(model, strategy="adaptive:gate=off", agents=agents, instructions=MARK)
    plan = Plan(
        parallel=True,
        subtasks=(
            Subtask(id="a", title="Ada", prompt="Ada: how high is the tower?", agent="poet"),
            Subtask(id="b", title="Bob", prompt="Bob: how high is the tower?"),
        ),
    )
    result = await weaver.run("What do Ada and Bob say about the tower's height?", plan=plan)
    assert len(result.threads) >= 2
    assert result.conflicts
    sent = [r.request for r in model.requests]
    assert all(request.messages[0].text.count(MARK) == 1 for request in sent)
    poets = [request for request in sent if "You are a poet." in request.messages[0].text]
    assert poets, "an agent's own instructions hold in the thread that it works on"
    assert all("Bob:" not in request.messages[-1].text[:4] for request in poets)


async def test_repairs_and_conclusions_carry_them():
    broken = ScriptedModel([Scripted("no number", times=2), Scripted("42")])
    result = await Weaver(broken, strategy="sequential", instructions=MARK).run("6 * 7?", output=int)
    assert result.output == 42
    assert len(broken.requests) == 3
    cut = ScriptedModel([Scripted("one two three four five", times=1), Scripted("short")])
    await Weaver(cut, strategy="sequential", instructions=MARK).run(Task("Count.", max_tokens=3))
    assert len(cut.requests) == 2
    for sent in (*broken.requests, *cut.requests):
        assert sent.request.messages[0].text.count(MARK) == 1


def test_what_decides_gets_them_as_a_constraint_after_its_own_form():
    own = (Message("system", "Answer with JSON."), Message("user", "q"))
    planner = instructed(own, (MARK,), "planner")
    assert planner[0].text == f"Answer with JSON.\n\n{FOR_DECISIONS}\n\n{MARK}"
    thread = instructed(own, (MARK,), "thread")
    assert thread[0].text == f"{MARK}\n\nAnswer with JSON."
    assert instructed(thread, (MARK,), "thread") == thread
    assert instructed((own[1],), (MARK,), "thread") == (Message("system", MARK), own[1])


def test_an_instruction_is_present_only_as_a_paragraph():
    own = (Message("system", "Answer with JSON."), Message("user", "q"))
    assert instructed(own, ("Answer",), "thread")[0].text == "Answer\n\nAnswer with JSON."


async def test_those_of_a_run_replace_those_of_the_constructor():
    model = ScriptedModel("ok")
    weaver = Weaver(model, strategy="sequential", instructions="Be brief.")
    await weaver.run("q", instructions="Be long.")
    await weaver.run("q", instructions="")
    first, second = (r.request for r in model.requests)
    assert [m.text for m in first.messages] == ["Be long.", "q"]
    assert [m.text for m in second.messages] == ["q"]


async def test_they_count_against_the_budget():
    model = ScriptedModel("ok")
    weaver = Weaver(model, strategy="sequential", max_total_tokens=300)
    with pytest.raises(BudgetExceededError):
        await weaver.run("q", instructions="word " * 2000)
