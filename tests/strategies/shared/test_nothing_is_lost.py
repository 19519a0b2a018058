"""What was said when time, tokens or patience ran out is in the answer, in every strategy."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.strategies.sensible import OURS, instance
from weaver import Weaver, events
from weaver._models.protocol import Request
from weaver.errors import WeaverError
from weaver.testing import Scripted, ScriptedModel, virtual_time

pytestmark = pytest.mark.anyio

WORDS = 60
TASK = "Write three sections, each of about 80 words: 1. apples 2. pears 3. plums. Compare their prices."


@pytest.fixture
def anyio_backend():
    return virtual_time()


def said(request: Request) -> str:
    """An answer of `WORDS` words, or what fits the schema that is asked for."""
    if request.output is not None:
        return json.dumps(instance(dict(request.output.schema)))
    return " ".join(f"fact{n}" for n in range(WORDS))


def model() -> ScriptedModel:
    return ScriptedModel(
        [
            Scripted("Thank you for your time.", when="out of room", each=0.01),
            Scripted(said, each=0.1, logprobs=(-1.0,) * WORDS),
        ]
    )


async def attempt(strategy: str, **limits: Any) -> Any:
    try:
        return await Weaver(model(), strategy=strategy, **limits).run(TASK)
    except WeaverError as error:
        return error.result


async def heard(strategy: str, seconds: float) -> tuple[Any, int]:
    """The result of a run that its user cancels after so many seconds, and the words it had streamed."""
    import anyio

    words = 0
    async with Weaver(model(), strategy=strategy).stream(TASK) as stream:
        until = anyio.current_time() + seconds
        async for event in stream:
            if isinstance(event, events.AnswerDelta | events.ThreadDelta):
                words += event.text.count("fact")
            if anyio.current_time() >= until and not stream.finished:
                stream.cancel()
    return stream.result, words


def facts(result: Any) -> int:
    """Words of the model in the answer; thoughts that were asked for as JSON hold others."""
    return result.answer.count("fact") + result.answer.count("some words")


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("strategy", OURS)
async def test_at_a_deadline_the_text_so_far_is_the_floor(strategy: str, share: float):
    direct = 0.1 * WORDS
    result = await attempt(strategy, deadline=share * direct)
    if result.status == "complete":
        return
    spoken = [t for t in result.threads if t.answer] or facts(result)
    if not spoken:  # planners, judges and outlines had the time: nothing of an answer was said
        assert result.error is not None
        assert result.error.type == "DeadlineExceededError"
        return
    assert result.status == "partial"
    assert facts(result) > 0
    assert result.answer.strip() != "Thank you for your time."
    assert result.notes


async def test_a_direct_answer_keeps_nearly_all_it_said_at_any_deadline():
    for percent in range(10, 100):
        seconds = percent / 100 * 0.1 * WORDS
        result = await attempt("sequential", deadline=seconds)
        assert result.status == "partial", percent
        assert facts(result) >= int(0.75 * seconds / 0.1) - 1, percent
        assert result.notes, percent


@pytest.mark.parametrize("strategy", OURS)
async def test_when_the_budget_is_used_up_the_text_so_far_is_the_floor(strategy: str):
    result = await attempt(strategy, max_total_tokens=400)
    if result.status == "complete":
        return
    if result.status == "failed":
        assert result.error is not None
        assert not [t for t in result.threads if t.answer and "fact" in t.answer]
        return
    assert facts(result) > 0
    assert result.notes


@pytest.mark.parametrize("strategy", OURS)
async def test_a_cancelled_run_has_what_it_had_streamed(strategy: str):
    result, words = await heard(strategy, 4.0)
    assert result is not None
    if result.status == "complete":
        return
    if words > 5:
        assert facts(result) > 0
        assert result.status == "partial"
