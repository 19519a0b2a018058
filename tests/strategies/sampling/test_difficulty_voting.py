"""Voting by difficulty: one sample of an easy question, more at once of a hard one, on while it is open."""

from __future__ import annotations

import json
from functools import partial

import pytest

from weaver import Weaver
from weaver.errors import ServerError
from weaver.models import Request
from weaver.strategies import difficulty_voting
from weaver.testing import Scripted, ScriptedModel, virtual_time

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


def rates(request: Request) -> bool:
    return request.output is not None


def rated(difficulty: int, *answers: str) -> ScriptedModel:
    samples = [Scripted(f"Answer: {a}", times=1, first=1.0) for a in answers[:-1]]
    return ScriptedModel(
        [
            Scripted(json.dumps({"difficulty": difficulty}), when=rates),
            *samples,
            Scripted(f"Answer: {answers[-1]}", first=1.0),
        ]
    )


async def test_an_easy_question_gets_one_sample():
    model = rated(2, "7")
    result = await Weaver(model, strategy="difficulty_voting").run("3 + 4?")
    assert (result.status, result.answer, len(model.requests)) == ("complete", "Answer: 7", 2)


async def test_a_hard_one_gets_its_samples_at_once():
    model = rated(5, *["7"] * 8)
    result = await Weaver(model, strategy=partial(difficulty_voting, samples=16)).run("q")
    assert [r.at for r in model.requests] == [0] * 9
    assert result.status == "complete"
    width = next(d for d in result.decision_log if d.policy == "difficulty_voting/1")
    assert (width.chosen, width.features) == ("8 samples", {"difficulty": 5.0})


async def test_it_goes_on_while_the_vote_is_open():
    model = rated(5, "7", "8", "7", "8", "9")
    result = await Weaver(model, strategy=partial(difficulty_voting, samples=8)).run("q")
    assert sorted({r.at for r in model.requests}) == [0, 1], "four more, once the first four disagree"
    assert result.answer == "Answer: 9"


async def test_without_a_rating_it_is_of_middle_difficulty():
    model = ScriptedModel([Scripted(error=ServerError("broken"), when=rates), Scripted("Answer: 7")])
    result = await Weaver(model, strategy=partial(difficulty_voting, samples=4)).run("q")
    assert result.answer == "Answer: 7"
    assert any("The difficulty could not be estimated" in note for note in result.notes)


async def test_a_sample_that_failed_is_missed_where_it_might_have_mattered():
    model = ScriptedModel(
        [
            Scripted(json.dumps({"difficulty": 10}), when=rates),
            Scripted(error=ServerError("broken"), times=1),
            Scripted("Answer: 1", times=1),
            Scripted("Answer: 2", times=1),
            Scripted("Answer: 3"),
        ]
    )
    result = await Weaver(model, strategy=partial(difficulty_voting, samples=4)).run("q")
    assert result.status == "partial"
    assert any("Only 3 of 4 samples answered" in note for note in result.notes)
