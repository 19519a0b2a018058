"""Group Think: thinkers see each other's progress."""

from __future__ import annotations

import pytest

from weaver import Weaver
from weaver._models.protocol import Capabilities
from weaver._testing.scripted import text_of
from weaver.errors import ServerError
from weaver.testing import Scripted, ScriptedModel

pytestmark = pytest.mark.anyio

MERGE = "Several thinkers have worked"


def of(name: str):
    return lambda request: f"You are {name}," in text_of(request)


def requests_of(model: ScriptedModel, name: str):
    return [r for r in model.requests if of(name)(r.request)]


def thinkers(*texts: str, each: float = 1, **how) -> list[Scripted]:
    """Thinker i goes on with its words from where its own text ended."""

    def goes_on(text: str):
        def say(request) -> str:
            said = request.messages[-1].content if request.messages[-1].role == "assistant" else ""
            return text.removeprefix(said).lstrip()

        return say

    return [
        Scripted(goes_on(text), when=of(f"Thinker {i}"), each=each, **how) for i, text in enumerate(texts, 1)
    ]


async def test_each_chunk_is_written_with_the_others_progress_in_view():
    model = ScriptedModel(
        [
            Scripted("merged", when=MERGE),
            *thinkers("a1 a2 a3 a4 a5", first=0.5),
            *thinkers("", "b1 b2 b3 b4"),
        ],
    )
    result = await Weaver(model, strategy="group_think:agents=2,chunk=2").run("q")
    assert result.answer == "merged"
    first, second, third = (r.request for r in requests_of(model, "Thinker 1"))
    assert "Thinker 2" not in text_of(first)
    assert "```Thinker 2\nb1 b2 b3 \n```" in text_of(second)
    assert second.prefill
    assert second.messages[-1].content == "a1 a2 "
    assert "b1 b2 b3 b4" in text_of(third)
    assert {r.request.max_tokens for r in requests_of(model, "Thinker 1")} == {2}
    merge = text_of(model.requests[-1].request)
    assert "```Thinker 1\na1 a2 a3 a4 a5\n```" in merge
    assert "```Thinker 2\nb1 b2 b3 b4\n```" in merge


async def test_a_thinker_can_adapt_to_what_another_one_found():
    def adapting(request) -> str:
        return "enough." if "found: 42" in text_of(request) else "searching and searching "

    model = ScriptedModel(
        [
            Scripted("merged", when=MERGE),
            Scripted("found: 42", when=of("Thinker 1")),
            Scripted(adapting, when=of("Thinker 2"), each=1),
        ]
    )
    await Weaver(model, strategy="group_think:agents=2,chunk=2").run("q")
    assert len(requests_of(model, "Thinker 2")) == 2


async def test_nobody_waits_for_the_slowest():
    model = ScriptedModel(
        [
            Scripted("merged", when=MERGE),
            *thinkers("a1 a2 a3 a4 a5 a6 a7 a8", each=1),
            Scripted("b1 b2 b3", when=of("Thinker 2"), each=20),
        ]
    )
    await Weaver(model, strategy="group_think:agents=2,chunk=2").run("q")
    assert max(r.at for r in requests_of(model, "Thinker 1")) < 20


async def test_a_thinker_writes_at_most_its_tokens():
    model = ScriptedModel([Scripted("merged", when=MERGE), Scripted("on and on and on", each=1)])
    await Weaver(model, strategy="group_think:agents=1,chunk=2,tokens=5").run("q")
    assert [r.request.max_tokens for r in requests_of(model, "Thinker 1")] == [2, 2, 1]


async def test_without_prefix_continuation_thinkers_are_asked_to_go_on():
    can = Capabilities()
    model = ScriptedModel([Scripted("merged", when=MERGE), *thinkers("a1 a2 a3", "b1 b2 b3")], can=can)
    await Weaver(model, strategy="group_think:agents=2,chunk=2,tokens=4").run("q")
    second = requests_of(model, "Thinker 1")[1].request
    assert [m.role for m in second.messages] == ["user", "assistant", "user"]
    assert second.messages[2].content.startswith("Go on exactly where you stopped")
    assert not second.prefill


async def test_a_deadline_leaves_time_to_merge():
    model = ScriptedModel([Scripted("merged", when=MERGE), Scripted("on and on " * 50, each=1)])
    result = await Weaver(model, strategy="group_think:agents=2,chunk=9", deadline=30).run("q")
    assert (result.status, result.answer) == ("complete", "merged")


async def test_when_the_merge_fails_the_notes_are_left():
    model = ScriptedModel([Scripted(error=ServerError("x"), when=MERGE), *thinkers("a1", "b1")])
    result = await Weaver(model, strategy="group_think:agents=2").run("q")
    assert result.status == "partial"
    assert "a1" in result.answer
    assert "b1" in result.answer
    assert "```" not in result.answer
