"""ParaThinker: when the paths end, and what the summary sees."""

from __future__ import annotations

import pytest

from weaver import Weaver, tool
from weaver._testing.scripted import text_of
from weaver.errors import NoAnswerError, ServerError
from weaver.testing import Scripted, ScriptedModel

pytestmark = pytest.mark.anyio

SUMMARY = "several lines of thought"


def paths(*words: int, **how) -> ScriptedModel:
    """Path i thinks so many words, one a second."""
    thoughts = [
        Scripted(" ".join(f"p{i}w{j}" for j in range(n)), times=1, each=1, **how) for i, n in enumerate(words)
    ]
    return ScriptedModel([Scripted("the answer", when=SUMMARY), *thoughts])


@pytest.mark.parametrize(
    ("termination", "cut", "seconds"), [("first", [1, 2, 3], 2), ("half", [2, 3], 4), ("last", [], 8)]
)
async def test_the_other_paths_are_cut_where_they_are(termination, cut, seconds):
    model = paths(3, 5, 7, 9)
    result = await Weaver(model, strategy=f"parathinker:samples=4,termination={termination}").run("q")
    assert result.answer == "the answer"
    assert [i for i, r in enumerate(model.requests[:4]) if r.closed == "cancelled"] == cut
    assert [t.cancel_reason for t in result.threads if t.cancel_reason] == ["quorum_met"] * len(cut)
    summary = model.requests[4]
    assert summary.at == seconds
    said = text_of(summary.request)
    # All paths are in the summary, the cut ones as far as they came.
    assert all(f"```line of thought {i + 1}\np{i}w0 " in said for i in range(4))
    assert ("p3w8" in said) == (termination == "last")


async def test_the_papers_defaults():
    model = paths(*[1] * 8)
    await Weaver(model, strategy="parathinker:termination=last", seed=3).run("q")
    sent = [r.request for r in model.requests[:8]]
    assert {(r.temperature, r.max_tokens) for r in sent} == {(0.5, 16384)}
    assert [r.seed for r in sent] == list(range(3, 11))
    assert {r.messages[-1].content for r in sent} == {"q"}


async def test_hidden_reasoning_is_part_of_the_thoughts():
    model = ScriptedModel([Scripted("the answer", when=SUMMARY), Scripted("4", reasoning="two and two")])
    await Weaver(model, strategy="parathinker:samples=1").run("q")
    assert "<think>\ntwo and two\n</think>\n\n4" in text_of(model.requests[1].request)


async def test_paths_that_timed_out_are_used_as_far_as_they_came():
    model = paths(50, 60)
    result = await Weaver(model, strategy="parathinker:samples=2", thread_timeout=5).run("q")
    assert result.answer == "the answer"
    assert "p1w4" in text_of(model.requests[2].request)


async def test_a_deadline_leaves_time_for_the_summary():
    model = paths(500, 600)
    result = await Weaver(model, strategy="parathinker:samples=2", deadline=20).run("q")
    assert (result.status, result.answer) == ("complete", "the answer")
    assert result.metrics.wall_seconds < 20


async def test_when_no_path_says_anything_there_is_no_answer():
    with pytest.raises(NoAnswerError, match="down"):
        await Weaver(ScriptedModel([Scripted(error=ServerError("down"))]), strategy="parathinker").run("q")


async def test_a_typed_task_gets_its_output_from_the_summary():
    model = ScriptedModel([Scripted('{"value": 4}', when=SUMMARY), Scripted("four")])
    result = await Weaver(model, strategy="parathinker:samples=2").run("q", output=int)
    assert result.output == 4
    assert result.usage.calls == 3


async def test_tools_are_not_used_and_that_is_said():
    @tool
    def look(what: str) -> str:
        """Look."""
        return what

    model = paths(1, 1)
    result = await Weaver(model, strategy="parathinker:samples=2").run("q", tools=[look])
    assert any("cannot call the task's tools" in note for note in result.notes)
    assert not any(r.request.tools for r in model.requests)
