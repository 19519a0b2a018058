"""Mixture-of-Agents: the layers."""

from __future__ import annotations

import pytest

from weaver import Agent, Message, Task, Weaver
from weaver._testing.scripted import text_of
from weaver.errors import ServerError
from weaver.testing import Scripted, ScriptedModel

pytestmark = pytest.mark.anyio

AGGREGATE = "answers of several models"


async def test_each_layer_sees_all_answers_of_the_layer_before():
    model = ScriptedModel([*(Scripted(f"a{i}", times=1, first=1) for i in range(1, 9)), Scripted("final")])
    result = await Weaver(model, strategy="mixture_of_agents:agents=4", seed=5).run("q")
    assert result.answer == "final"
    sent = [r.request for r in model.requests]
    assert len(sent) == 4 + 4 + 1
    assert [r.at for r in model.requests] == [0] * 4 + [1] * 4 + [2]
    assert all(AGGREGATE not in text_of(r) for r in sent[:4])
    for request in sent[4:8]:
        told = request.messages[0]
        assert told.role == "system"
        assert all(f"```answer {i}\na{i}\n```" in told.content for i in range(1, 5))
        assert request.messages[1].content == "q"
    assert all(f"```answer {i - 4}\na{i}\n```" in sent[8].messages[0].content for i in range(5, 9))
    assert {r.temperature for r in sent[:8]} == {0.7}
    assert [r.seed for r in sent[:4]] == [5, 6, 7, 8]


async def test_the_papers_defaults():
    model = ScriptedModel("x")
    result = await Weaver(model, strategy="mixture_of_agents").run("q")
    assert (len(model.requests), len(result.threads)) == (13, 12)


async def test_the_last_layer_is_the_synthesizers_model():
    model, last = ScriptedModel("proposal"), ScriptedModel("final", name="last")
    strategy = "mixture_of_agents:layers=2,agents=2"
    result = await Weaver(model, synthesizer_model=last, strategy=strategy).run("q")
    assert (result.answer, len(model.requests), len(last.requests)) == ("final", 2, 1)


async def test_the_runs_agents_propose_in_turn_with_models_of_their_own():
    one, two, own = (ScriptedModel(n, name=n) for n in ("one", "two", "own"))
    agents = [Agent("a", model=one, instructions="Be A."), Agent("b", model=two)]
    strategy = "mixture_of_agents:layers=3,agents=3"
    result = await Weaver(own, agents=agents, strategy=strategy).run("q")
    assert (len(one.requests), len(two.requests), len(own.requests)) == (4, 2, 1)
    assert not result.notes
    # One system message: many chat templates know only one.
    second_layer = one.requests[2].request
    assert [m.role for m in second_layer.messages] == ["system", "user"]
    assert second_layer.messages[0].content.startswith("Be A.\n\n")
    assert AGGREGATE in second_layer.messages[0].content


async def test_one_model_for_all_is_noted():
    result = await Weaver(ScriptedModel("x"), strategy="mixture_of_agents:agents=2").run("q")
    assert any("All proposers are one model" in note for note in result.notes)


async def test_a_proposer_that_fails_is_left_out():
    model = ScriptedModel(
        [Scripted(error=ServerError("x"), times=1), Scripted("p", times=1), Scripted("final")]
    )
    result = await Weaver(model, strategy="mixture_of_agents:layers=2,agents=2").run("q")
    assert result.answer == "final"
    assert model.requests[-1].request.messages[0].content.count("```answer") == 1


async def test_a_failing_aggregator_leaves_a_proposal():
    model = ScriptedModel([Scripted("proposal", times=2), Scripted(error=ServerError("down"))])
    result = await Weaver(model, strategy="mixture_of_agents:layers=2,agents=2").run("q")
    assert (result.status, result.answer) == ("partial", "proposal")
    assert "down" in result.error.message


async def test_a_system_message_of_the_user_stays_first():
    task = Task(messages=(Message("system", "Speak Latin."), Message("user", "q")))
    model = ScriptedModel("x")
    await Weaver(model, strategy="mixture_of_agents:layers=2,agents=1").run(task)
    told = model.requests[-1].request.messages
    assert [m.role for m in told] == ["system", "user"]
    assert told[0].content.startswith("Speak Latin.\n\n")
