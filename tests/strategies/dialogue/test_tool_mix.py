"""A mixture of tool uses: different tools, all answers in the next round, a judge that stops, a vote."""

from __future__ import annotations

import json
from functools import partial

import pytest

from weaver import Weaver
from weaver._strategies.dialogue.tool_mix import tool_mixes
from weaver._testing.scripted import text_of
from weaver.models import Request
from weaver.strategies import tool_mix
from weaver.testing import Scripted, ScriptedModel, virtual_time

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


def add(a: int, b: int) -> int:
    """Add."""
    return a + b


def search(words: str) -> str:
    """Search."""
    return words


def judges(request: Request) -> bool:
    return request.output is not None


def verdict(*, stop: bool) -> str:
    return json.dumps({"reason": "r", "stop": stop})


def test_the_mixes():
    assert tool_mixes(()) == [()]
    assert tool_mixes(("a",)) == [(), ("a",)]
    assert tool_mixes(("a", "b")) == [(), ("a", "b"), ("a",), ("b",)]
    assert tool_mixes(("a", "b", "c"))[5:] == [("a", "b"), ("a", "c"), ("b", "c")]


async def test_agents_have_different_tools_and_see_all_answers_in_the_next_round():
    answers = ["Answer: 1", "Answer: 2", "Answer: 3", "Answer: 4"]
    model = ScriptedModel([*(Scripted(a, times=1) for a in answers), Scripted("Answer: 2")], name="m")
    strategy = partial(tool_mix, agents=4, rounds=2)
    result = await Weaver(model, strategy=strategy, tools=[add, search]).run("q")
    assert (result.status, result.answer) == ("complete", "Answer: 2")
    first, second = model.requests[:4], model.requests[4:]
    tools = [tuple(tool.name for tool in r.request.tools) for r in first]
    assert tools == [(), ("add", "search"), ("add",), ("search",)]
    assert [tuple(t.name for t in r.request.tools) for r in second] == tools
    for sent in second:
        assert all(f"```agent {i}\nAnswer: {i}\n```" in text_of(sent.request) for i in range(1, 5))


async def test_the_judge_stops_from_the_second_round_on():
    various = iter(range(100))
    model = ScriptedModel(
        [
            Scripted(verdict(stop=True), when=judges),
            Scripted(lambda request: f"Answer: {next(various) % 3}"),
        ]
    )
    result = await Weaver(model, strategy=partial(tool_mix, agents=3, rounds=5)).run("q")
    rounds = [r for r in model.requests if not judges(r.request)]
    assert len(rounds) == 6
    assert sum(judges(r.request) for r in model.requests) == 1
    stop = next(d for d in result.decision_log if d.kind == "stop")
    assert (stop.chosen, stop.policy) == ("stop", "tool_mix.judge/1")


async def test_a_judge_that_says_no_lets_them_go_on():
    various = iter(range(100))
    model = ScriptedModel(
        [
            Scripted(verdict(stop=False), when=judges),
            Scripted(lambda request: f"Answer: {next(various) % 3}"),
        ]
    )
    await Weaver(model, strategy=partial(tool_mix, agents=3, rounds=4)).run("q")
    assert sum(not judges(r.request) for r in model.requests) == 12
    assert sum(judges(r.request) for r in model.requests) == 2


async def test_agents_that_all_agree_need_no_judge():
    model = ScriptedModel("Answer: 7")
    result = await Weaver(model, strategy=partial(tool_mix, agents=3, rounds=4)).run("q")
    assert len(model.requests) == 6
    assert result.answer == "Answer: 7"
    assert any("The task has no tools" in note for note in result.notes)
