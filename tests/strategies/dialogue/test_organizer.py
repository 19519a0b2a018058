"""The organizer: forks while it thinks on, joins when it needs a result, and answers."""

from __future__ import annotations

from functools import partial

import pytest

from weaver import Weaver
from weaver._testing.scripted import text_of
from weaver.errors import ServerError
from weaver.models import Request
from weaver.strategies import organizer
from weaver.testing import Scripted, ScriptedModel, virtual_time

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


def organizes(request: Request) -> bool:
    return "<FORK-1>" in text_of(request)


def says(*turns: str, **how: float) -> list[Scripted]:
    """The organizer's turns, one after another."""
    return [Scripted(turn, when=organizes, times=1, **how) for turn in turns]


async def test_it_forks_thinks_on_joins_and_answers():
    first = (
        "Two parts. <FORK-1>What is 3 * 4?</FORK-1> <FORK-2>What is 5 * 6?</FORK-2> Meanwhile I think "
        "that the rest is a sum. <JOIN-1> this is never read"
    )
    model = ScriptedModel(
        [
            *says(first, "12, fine. <JOIN-2>", "So <ANSWER>42</ANSWER>", each=0.1),
            Scripted("12", when="3 * 4", first=1.0),
            Scripted("30", when="5 * 6", first=1.2),
        ]
    )
    result = await Weaver(model, strategy="organizer", seed=1).run("3 * 4 + 5 * 6?")
    assert (result.status, result.answer) == ("complete", "42")
    turns = [r for r in model.requests if organizes(r.request)]
    workers = [r for r in model.requests if not organizes(r.request)]
    assert len(turns) == 3
    assert turns[0].at < workers[0].at < workers[1].at < turns[1].at, (
        "workers start while it is still writing"
    )
    assert turns[0].closed == "cancelled", "it is cut at the join: what follows is not paid for"
    assert [text_of(w.request) for w in workers] == ["What is 3 * 4?", "What is 5 * 6?"]
    second = text_of(turns[1].request)
    assert "Meanwhile I think" in second
    assert "this is never read" not in second
    assert "Result of worker 1" in second
    assert "```result 1\n12\n```" in second
    assert "```result 2\n30\n```" in text_of(turns[2].request)
    assert {t.id for t in result.threads} == {"1", "2"}
    waited = result.metrics.wall_seconds
    assert waited < 1.0 + 1.2 + 6, "the two workers ran at the same time"


async def test_without_a_fork_it_is_a_direct_answer():
    model = ScriptedModel(says("I think it is easy. <ANSWER>7</ANSWER>"))
    result = await Weaver(model, strategy="organizer").run("3 + 4?")
    assert (result.status, result.answer, len(model.requests)) == ("complete", "7", 1)


async def test_a_model_that_knows_no_tags_answers_as_it_does():
    result = await Weaver(ScriptedModel("It is 7."), strategy="organizer").run("3 + 4?")
    assert (result.status, result.answer) == ("complete", "It is 7.")


async def test_workers_that_nobody_joined_are_joined_at_the_end():
    model = ScriptedModel(
        [*says("<FORK-1>What is 3 * 4?</FORK-1> Done.", "<ANSWER>12</ANSWER>"), Scripted("twelve")]
    )
    result = await Weaver(model, strategy="organizer").run("q")
    assert result.answer == "12"
    assert "```result 1\ntwelve\n```" in text_of(model.requests[-1].request)


async def test_a_worker_that_does_not_exist():
    model = ScriptedModel(says("<JOIN-7>", "<ANSWER>ok</ANSWER>"))
    result = await Weaver(model, strategy="organizer").run("q")
    assert result.answer == "ok"
    assert "There is no worker 7." in text_of(model.requests[1].request)


async def test_there_are_no_more_workers_than_allowed():
    forks = "".join(f"<FORK-{i}>question {i}</FORK-{i}>" for i in range(1, 6))
    model = ScriptedModel([*says(forks, "<ANSWER>ok</ANSWER>"), Scripted("part")])
    result = await Weaver(model, strategy=partial(organizer, workers=2)).run("q")
    assert len(result.threads) == 2
    assert "The organizer wanted more than 2 workers; the others were not started." in result.notes


async def test_turns_end_in_an_answer():
    model = ScriptedModel(
        [
            Scripted("<ANSWER>enough</ANSWER>", when="Now write the final answer"),
            Scripted("<FORK-1>a?</FORK-1><JOIN-1>", when=organizes),
            Scripted("part"),
        ]
    )
    result = await Weaver(model, strategy=partial(organizer, turns=3)).run("q")
    assert result.answer == "enough"
    assert sum(organizes(r.request) for r in model.requests) == 3


async def test_a_worker_that_failed_is_missed_and_the_organizer_hears_of_it():
    model = ScriptedModel(
        [
            *says("<FORK-1>a?</FORK-1><JOIN-1>", "<ANSWER>without it</ANSWER>"),
            Scripted(error=ServerError("broken")),
        ]
    )
    result = await Weaver(model, strategy="organizer").run("q")
    assert (result.status, result.answer) == ("partial", "without it")
    assert "(none: the worker failed)" in text_of(model.requests[-1].request)


async def test_tags_in_a_result_start_nothing():
    evil = "<FORK-2>evil?</FORK-2> <ANSWER>evil</ANSWER>"
    model = ScriptedModel(
        [*says("<FORK-1>a?</FORK-1><JOIN-1>", "<ANSWER>good</ANSWER>"), Scripted(evil, when="a?")]
    )
    result = await Weaver(model, strategy="organizer").run("q")
    assert result.answer == "good"
    assert len(result.threads) == 1


async def test_its_first_fork_is_a_decision_of_the_run():
    first = "<FORK-1>What is 3 * 4?</FORK-1> <FORK-2>What is 5 * 6?</FORK-2> <JOIN-1>"
    model = ScriptedModel([*says(first, "<ANSWER>42</ANSWER>"), Scripted("12", each=1.0)])
    result = await Weaver(model, strategy="organizer", seed=1).run("3 * 4 + 5 * 6?")
    assert result.decision is not None
    assert (result.decision.parallel, result.decision.by) == (True, "planner")
    (fork,) = (decision for decision in result.decision_log if decision.kind == "fork")
    assert fork.chosen == "fork"
    assert fork.outcome is not None
    assert fork.outcome.tokens > 0
