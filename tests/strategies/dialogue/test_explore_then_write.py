"""Explore, then write: the paper's two stages, by two models."""

from __future__ import annotations

from functools import partial

import pytest

from weaver import Weaver
from weaver._testing.scripted import text_of
from weaver.errors import ServerError
from weaver.strategies import explore_then_write
from weaver.testing import Scripted, ScriptedModel, virtual_time

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


async def test_explorers_answer_at_once_and_the_synthesizer_reasons_with_their_answers():
    small = ScriptedModel([Scripted(f"candidate {i}", times=1, first=1) for i in range(1, 5)], name="small")
    large = ScriptedModel("the answer", name="large")
    weaver = Weaver(small, synthesizer_model=large, strategy="explore_then_write", seed=3)
    result = await weaver.run("What is best?")
    assert (result.status, result.answer) == ("complete", "the answer")
    assert [r.at for r in small.requests] == [0] * 4
    assert len({r.request.seed for r in small.requests}) == 4
    [last] = large.requests
    told = text_of(last.request)
    assert last.at == 1
    assert "references and not as votes" in told
    assert all(f"```candidate {i}\ncandidate {i}\n```" in told for i in range(1, 5))
    assert result.model == "large"
    assert not result.notes


async def test_hidden_reasoning_is_not_passed_on():
    small = ScriptedModel([Scripted("short", reasoning="a long private thought")], name="small")
    large = ScriptedModel("done", name="large")
    strategy = partial(explore_then_write, samples=2)
    await Weaver(small, synthesizer_model=large, strategy=strategy).run("q")
    assert "private thought" not in text_of(large.requests[0].request)


async def test_one_model_for_both_is_noted():
    result = await Weaver(ScriptedModel("a"), strategy="explore_then_write:samples=2").run("q")
    assert any("Explorers and synthesizer are one model" in note for note in result.notes)


async def test_of_a_long_candidate_the_end_is_shown():
    small = ScriptedModel("\n".join(f"step {i}" for i in range(900)), name="small")
    large = ScriptedModel("done", name="large")
    strategy = partial(explore_then_write, samples=1, candidate_chars=100)
    await Weaver(small, synthesizer_model=large, strategy=strategy).run("q")
    told = text_of(large.requests[0].request)
    assert "step 899" in told
    assert "step 1\n" not in told


async def test_an_explorer_that_failed_is_missed():
    small = ScriptedModel([Scripted(error=ServerError("broken"), times=1), Scripted("a")], name="small")
    large = ScriptedModel("done", name="large")
    result = await Weaver(small, synthesizer_model=large, strategy="explore_then_write:samples=3").run("q")
    assert result.status == "partial"
    assert any("Only 2 of 3 explorers answered" in note for note in result.notes)
