"""Parallel-Probe: stopping on a stable consensus, pruning who stays outside."""

from __future__ import annotations

import pytest

from weaver import Weaver
from weaver._coordination.answers.equivalence import equivalence
from weaver._models.protocol import Capabilities
from weaver._strategies.parallel_probe import Board
from weaver._testing.scripted import text_of
from weaver.testing import Scripted, ScriptedModel

pytestmark = pytest.mark.anyio

OPTIONS = "interval=5,first_probe=1,stable=2,patience=2"


def is_probe(request) -> bool:
    return request.prefill and request.messages[-1].content.endswith("Final answer:")


def branch(word: str, answer: str, words: int = 40, **how) -> Scripted:
    """A branch that says ``word`` over and over, and ``answer`` in the end."""
    return Scripted(f"{(word + ' ') * words}Answer: {answer}", times=1, **{"each": 1, **how})


def probed(**answers: str):
    """A probe's answer, by the word that its branch says over and over."""

    def say(request) -> str:
        return " " + answers[request.messages[-1].content.split()[0]]

    return Scripted(say, when=is_probe)


async def test_a_stable_consensus_stops_all_branches():
    model = ScriptedModel([probed(a="7", b="7", c="7"), branch("a", "1"), branch("b", "2"), branch("c", "3")])
    result = await Weaver(model, strategy=f"parallel_probe:samples=3,{OPTIONS}").run("q")
    assert result.answer == "7"
    branches = [r for r in model.requests if not is_probe(r.request)]
    assert [r.closed for r in branches] == ["cancelled"] * 3
    assert all(10 <= r.words <= 11 for r in branches)  # two sweeps, five words apart
    assert [t.cancel_reason for t in result.threads] == ["settled"] * 3


async def test_a_branch_that_stays_outside_the_consensus_is_pruned():
    answers = iter("789")

    def wavering(request) -> str:
        return next(answers, "7")

    model = ScriptedModel(
        [
            Scripted(wavering, when=lambda r: is_probe(r) and "c c" in r.messages[-1].content),
            probed(a="7", b="7"),
            branch("a", "7", words=14),
            branch("b", "7", words=14),
            branch("c", "9", words=60),
        ]
    )
    strategy = f"parallel_probe:samples=3,{OPTIONS.replace('stable=2', 'stable=9')}"
    result = await Weaver(model, strategy=strategy).run("q")
    assert result.answer.endswith("Answer: 7")
    assert [t.cancel_reason for t in result.threads] == [None, None, "pruned"]


async def test_without_consensus_the_majority_of_the_finished_branches_wins():
    model = ScriptedModel(
        [probed(a="1", b="2", c="3"), branch("a", "4", 8), branch("b", "5", 8), branch("c", "5", 8)]
    )
    result = await Weaver(model, strategy=f"parallel_probe:samples=3,{OPTIONS}").run("q")
    assert result.answer.endswith("Answer: 5")
    assert [t.state for t in result.threads] == ["succeeded"] * 3


async def test_the_stream_stays_open_while_its_branch_is_probed():
    model = ScriptedModel([Scripted("7", when=is_probe, first=2), branch("a", "1", 12)])
    strategy = "parallel_probe:samples=1,interval=5,first_probe=1,stable=9"
    await Weaver(model, strategy=strategy).run("q")
    assert model.requests[0].closed == "finished"
    assert model.requests[1].at < model.requests[0].closed_at
    assert model.requests[1].request.messages[-1].content.startswith("a a a a a\n\nFinal answer:")


async def test_without_prefix_continuation_a_branch_is_asked_in_a_further_turn():
    model = ScriptedModel([Scripted("7", when="Stop here"), branch("a", "1", 12)], can=Capabilities())
    strategy = "parallel_probe:samples=1,interval=5,first_probe=1,stable=2"
    result = await Weaver(model, strategy=strategy).run("q")
    assert result.answer == "7"
    probe = next(r.request for r in model.requests if "Stop here" in text_of(r.request))
    assert [m.role for m in probe.messages] == ["user", "assistant", "user"]


async def test_the_deadline_gives_the_latest_consensus():
    model = ScriptedModel([Scripted("7", when=is_probe), branch("a", "1", 90), branch("b", "1", 90)])
    strategy = "parallel_probe:samples=2,interval=5,first_probe=1,stable=99"
    result = await Weaver(model, strategy=strategy, deadline=20).run("q")
    assert (result.status, result.answer) == ("partial", "7")


def test_one_fast_branch_is_no_consensus():
    board = Board(equivalence(), consensus=0.5, stable=1, patience=9)
    board.begin("abcd")
    for _ in range(4):
        board.post("a", "7")
    assert not board.settled
    board.post("b", "7")
    board.post("c", "7")
    board.post("a", "7")
    board.post("b", "7")
    assert board.settled


def test_a_consensus_that_changes_begins_anew():
    board = Board(equivalence(), consensus=0.5, stable=2, patience=9)
    board.begin("ab")
    for answer in ("7", "8", "7"):
        board.post("a", answer)
        board.post("b", answer)
    assert not board.settled
    board.post("a", "7")
    board.post("b", "7.0")
    assert board.settled
