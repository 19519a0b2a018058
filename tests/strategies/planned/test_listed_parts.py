"""Plans without a planner call: parts that the question lists, and parts that the user gives."""

from __future__ import annotations

import json
import re
from functools import partial

import pytest

from tests.planning.test_gate import hosted, sections, world
from weaver import Task, Weaver, WeaverError
from weaver._strategies.planned.adaptive import adaptive
from weaver.events import Planned
from weaver.testing import Scripted, ScriptedModel, SimulatedModel, virtual_time

pytestmark = pytest.mark.anyio
PLANNER = "You decide how a task is worked on"
LIST = "Answer briefly:\n1. Who painted Guernica?\n2. How tall is K2?\n3. When did Rome fall?"
WORDS = [
    Scripted("Picasso", when="Guernica", first=1),
    Scripted("8611 m", when="K2", first=1),
    Scripted("476", when="Rome", first=1),
]


@pytest.fixture
def anyio_backend():
    return virtual_time()


async def test_a_list_needs_no_planner_and_no_synthesis():
    model = ScriptedModel(WORDS)
    async with Weaver(model).stream(LIST) as run:
        events = [event async for event in run]
    result = run.result
    assert result.answer == "Who painted Guernica? Picasso\nHow tall is K2? 8611 m\nWhen did Rome fall? 476"
    assert result.usage.calls == 3
    assert (result.decision.parallel, result.decision.by) == (True, "policy")
    assert result.decision.reason.startswith("the task lists 3 parts")
    assert result.plan.subtasks[0].title == "Who painted Guernica?"
    assert sum(isinstance(event, Planned) for event in events) == 1


async def test_steps_are_not_split():
    model = ScriptedModel("12")
    result = await Weaver(model).run("Follow the steps:\n1. Take 3.\n2. Double it.\n3. Double it again.")
    assert result.usage.calls == 1
    assert not result.decision.parallel


@pytest.mark.parametrize("options", ["adaptive:listed=false", "planner"])
async def test_a_planner_is_asked_where_the_user_wants_one(options):
    plan = json.dumps({"parallel": True, "parts": ["Guernica", "Rome"]})
    model = ScriptedModel([Scripted(plan, when=PLANNER), *WORDS, Scripted("merged")])

    async def own(run, task, **options):
        from weaver._planning.planner import make_plan

        return await make_plan(run, task, **options)

    strategy = partial(adaptive, planner=own) if options == "planner" else options
    result = await Weaver(model, strategy=strategy).run(LIST)
    assert result.decision.by == "planner"
    assert len(result.plan.subtasks) == 2


async def test_more_parts_than_threads_share_them():
    questions = "\n".join(f"{i}. What is {i} * 7?" for i in range(1, 21))
    model = ScriptedModel("many")
    result = await Weaver(model, strategy="adaptive:max_subtasks=4").run(f"Answer each:\n{questions}")
    assert len(result.threads) == 4
    asked = "\n".join(r.request.messages[-1].content for r in model.requests)
    assert all(asked.count(f"What is {i} * 7?") == 1 for i in range(1, 21))


async def test_parts_that_the_user_gives():
    model = ScriptedModel(
        [
            Scripted("wet", when='Do only the part "weather"', first=1),
            Scripted("dear", when='Do only the part "prices"', first=1),
        ]
    )
    result = await Weaver(model).run("Describe Oslo in May.", parts=["weather", "prices"])
    assert result.answer == "weather: wet\nprices: dear"
    assert (result.decision.by, result.decision.parallel) == ("user", True)
    assert result.decision.reason.startswith("2 parts were given")
    assert "Describe Oslo in May." in model.requests[0].request.messages[-1].content


async def test_other_strategies_find_the_parts_under_the_question():
    model = ScriptedModel("all of it")
    await Weaver(model, strategy="sequential").run("Describe Oslo.", parts=["weather", "prices"])
    assert model.requests[0].request.messages[-1].content == "Describe Oslo.\n\n- weather\n- prices"


async def test_one_part_is_a_direct_answer():
    model = ScriptedModel("fine")
    result = await Weaver(model).run("Describe Oslo.", parts=["weather"])
    assert result.usage.calls == 1
    assert not result.decision.parallel


@pytest.mark.parametrize("parts", ["weather", ["weather", ""], ["weather", 3], [None]])
async def test_parts_of_wrong_types_are_an_error(parts):
    with pytest.raises(WeaverError, match="list of texts"):
        await Weaver(ScriptedModel("x")).run("Describe Oslo.", parts=parts)


async def test_lines_that_a_program_adds_reach_every_part_and_the_merge():
    model = ScriptedModel([Scripted("merged", when="Several workers"), *WORDS])
    task = Task(f"{LIST}\n\nEnd with the word OVER.", user_question=LIST)
    result = await Weaver(model).run(task)
    parts = [r.request.messages[-1].content for r in model.requests[:3]]
    assert all(text.endswith("End with the word OVER.") for text in parts)
    assert result.answer == "merged"


async def test_a_list_in_a_conversation_is_left_to_the_planner():
    from weaver._data.messages import assistant, user

    model = ScriptedModel([Scripted('{"parallel": false}', when=PLANNER), Scripted("direct")])
    questions = "- Where is the first?\n- Where is the second?"
    talk = (user("Think of two cities."), assistant("Oslo and Lima."), user(questions))
    result = await Weaver(model).run(talk)
    assert result.decision.by == "planner"


async def test_the_gate_decides_about_lists():
    tasks = "Write about each in 300 words:\n- cats\n- dogs\n- cows\n- owls"
    one_slot = SimulatedModel(world, first_token=0.1, prompt_speed=150, speed=20, slots=1, skill=1, chunk=1)
    async with Weaver(hosted(), seed=1) as fast, Weaver(one_slot, seed=1) as slow:
        for _ in range(6):
            await fast.run("What is the capital of France?")
            await slow.run(sections(4, 40), strategy="adaptive:gate=off")
        assert (await fast.run(tasks)).decision.parallel
        result = await slow.run(tasks)
    assert not result.decision.parallel
    assert "predicted" in result.decision.reason


async def test_weaver_plan_makes_no_call_for_a_list():
    model = ScriptedModel("never")
    weaver = Weaver(model)
    plan = await weaver.plan(LIST)
    assert len(plan.subtasks) == 3
    assert (await weaver.plan("Describe Oslo.", parts=["a", "b"])).reason == "2 parts were given"
    decision = await weaver.forecast(LIST, plan)
    assert decision.parallel
    assert not model.requests


async def test_nested_lists_are_split_too():
    plan = {
        "parallel": True,
        "parts": [
            {"name": "sums", "prompt": "Answer each:\n1. What is 3+4?\n2. What is 5+6?"},
            {"name": "other", "prompt": "Name a tree."},
        ],
    }
    model = ScriptedModel(
        [
            Scripted(json.dumps(plan), when=PLANNER),
            Scripted("merged", when="Several workers"),
            Scripted("leaf", when=re.compile("What is|tree")),
        ]
    )
    result = await Weaver(model, strategy="adaptive:conflicts=off").run("Compare the sums with a tree.")
    assert {t.parent for t in result.threads} == {None, "sums"}
    assert sum(PLANNER in r.request.messages[0].content for r in model.requests) == 1


async def test_nested_lists_keep_their_parts_as_they_are():
    inner = "Answer each:\n1. What is 3+4?\n2. What is 5+6?"
    plan = {
        "parallel": True,
        "parts": [{"name": "sums", "prompt": inner}, {"name": "b", "prompt": "Name a tree."}],
    }
    model = ScriptedModel(
        [
            Scripted(json.dumps(plan), when=PLANNER),
            Scripted("merged", when="Several workers"),
            Scripted("7", when="3+4"),
            Scripted("11", when="5+6"),
            Scripted("oak"),
        ]
    )
    result = await Weaver(model, strategy="adaptive:conflicts=off").run("Compare the sums with a tree.")
    sums = next(t for t in result.threads if t.id == "sums")
    assert sums.answer == "What is 3+4? 7\nWhat is 5+6? 11"
    assert sum("Several workers" in r.request.messages[0].content for r in model.requests) == 1


async def test_parts_of_a_conversation():
    from weaver._data.messages import assistant, user

    talk = (user("I like Oslo."), assistant("It is fine."), user("Describe it."))
    model = ScriptedModel(
        [
            Scripted("wet", when='Do only the part "weather"'),
            Scripted("dear", when='Do only the part "prices"'),
        ]
    )
    result = await Weaver(model).run(talk, parts=["weather", "prices"])
    assert result.answer == "weather: wet\nprices: dear"
    assert "I like Oslo." in str(model.requests[0].request.messages)


async def test_items_of_a_list_are_not_taken_apart_again():
    model = ScriptedModel("ja")
    words = "; ".join(("good morning", "see you and your friends tomorrow, then call me", "thank you"))
    result = await Weaver(model).run(f"Compare each of these with its German translation: {words}")
    assert result.usage.calls == 3
    assert len(result.threads) == 3
