"""The pairs of statements that a model is asked about: how they are shown, and what its verdicts do."""

from __future__ import annotations

import json

import pytest

from tests.coordination.telling import Told, claimed, said
from weaver import Answer, Task, Weaver
from weaver._coordination.answers.equivalence import Equivalence
from weaver._coordination.conflicts.detection import QUESTION, find_conflicts
from weaver._data.result import Claim
from weaver._testing.scripted import text_of
from weaver.errors import ServerError
from weaver.testing import Scripted, ScriptedModel

pytestmark = pytest.mark.anyio


def claim(value, attribute="mood", subject="the queen"):
    return Claim(subject, attribute, value)


def words(*values, attribute="mood"):
    """Threads with a claim each about one thing, in words that cannot be compared."""
    return [claimed(name, claim(v, attribute)) for name, v in zip("abcdef", values, strict=False)]


async def found(threads, *verdicts, same=None):
    """Conflicts, the judge's prompts and the result, where the judge gives these verdicts in order."""
    reply = json.dumps({"verdicts": [{"pair": n, "verdict": v} for n, v in enumerate(verdicts, 1)]})
    judge = ScriptedModel(reply if verdicts else Scripted(error=ServerError("must not be asked.")))
    conflicts = []

    async def strategy(run, task):
        conflicts.extend(await find_conflicts(run, threads, same=same))
        return Answer("done")

    result = await Weaver(ScriptedModel("-"), judge_model=judge, strategy=strategy).run("go")
    return conflicts, [text_of(r.request) for r in judge.requests], result


def sides(conflicts):
    return [[(v.value, v.threads) for v in c.values] for c in conflicts]


async def test_pairs_are_numbered_and_shown_as_claims_in_any_script():
    _, prompts, _ = await found(words("heiter", "fröhlich", "грустная"), *["compatible"] * 3)
    (prompt,) = prompts
    assert prompt.startswith(QUESTION)
    first = '{"subject": "the queen", "attribute": "mood", "value": "heiter"}'
    other = '{"subject": "the queen", "attribute": "mood", "value": "fröhlich"}'
    assert f"\n\nPair 1\nA:\n```\n{first}\n```\nB:\n```\n{other}\n```\n\nPair 2\nA:" in prompt
    assert "грустная" in prompt
    assert "Pair 3\n" in prompt
    assert "Pair 0" not in prompt
    assert "Pair 4" not in prompt


async def test_what_is_unrelated_or_compatible_goes_together_and_the_rest_stays_apart():
    threads = words("calm", "merry", "sad")  # pairs: (calm, merry), (calm, sad), (merry, sad)
    for word in ("compatible", "unrelated"):
        conflicts, _, _ = await found(threads, word, "conflict", "conflict")
        assert sides(conflicts) == [[("calm", ("a", "b")), ("sad", ("c",))]]
    conflicts, _, _ = await found(threads, "conflict", "conflict", "conflict")
    assert sides(conflicts) == [[("calm", ("a",)), ("merry", ("b",)), ("sad", ("c",))]]


async def test_topics_that_are_alike_are_joined_only_where_the_judge_sees_a_conflict():
    def alike(*values):
        names = ["population", "resident population", "present resident population"]
        return [claimed(n, claim(v, a, "Paris")) for n, v, a in zip("abc", values, names, strict=False)]

    conflicts, _, _ = await found(alike("2 million", "3 million"), "conflict")
    assert sides(conflicts) == [[("2 million", ("a",)), ("3 million", ("b",))]]
    assert (conflicts[0].subject, conflicts[0].attribute) == ("Paris", "population")
    assert (await found(alike("2 million", "3 million"), "unrelated"))[0] == []
    assert (await found(alike("2 million", "2,000,000")))[0] == [], "the same value: nobody is asked"
    # What has been joined to the first topic is not joined again.
    conflicts, prompts, _ = await found(alike("2 million", "3 million", "4 million"), *["conflict"] * 3)
    assert prompts[0].count("Pair ") == 3
    assert sides(conflicts) == [[("2 million", ("a",)), ("3 million", ("b",)), ("4 million", ("c",))]]


async def test_alike_topics_of_one_thread_are_two_things():
    one = claimed(
        "a", claim("2 million", "population", "Paris"), claim("3 million", "resident population", "Paris")
    )
    assert (await found([one, claimed("b", claim("x", "weather", "Rome"))]))[0] == []


async def test_an_equivalence_that_decides_more_is_asked_before_the_judge():
    asked = []

    async def arbiter(pairs):
        asked.extend(pairs)
        return [{one[-1], other[-1]} == {"1", "2"} for one, other in pairs]

    same = Equivalence("doubtful", lambda text: text, lambda one, other: None, arbiter)
    threads = [said("a", "x1"), said("b", "x2"), said("c", "x3")]
    conflicts, prompts, _ = await found(threads, same=same)
    assert asked == [("x1", "x2"), ("x1", "x3"), ("x2", "x3")]
    assert [v.threads for v in conflicts[0].values] == [("a", "b"), ("c",)]
    assert prompts == []
    # Each question has its own arbiter's answers, and claims are left to the judge.
    asked.clear()
    other = [said("d", "y1", question="q"), said("e", "y3", question="q"), *words("calm", "merry")]
    conflicts, prompts, _ = await found([*threads, *other], "compatible", same=same)
    assert len(asked) == 4
    assert len(prompts) == 1
    assert [len(c.values) for c in conflicts] == [2, 2]


async def test_each_question_is_compared_as_its_task_says():
    def thread(id_, text, question, equivalence):
        return Told(id_, Answer(text), task=Task(question, equivalence=equivalence))

    threads = [
        thread("a", "one", "first", len), thread("b", "two", "first", len),
        thread("c", "alone", "second", len),
        thread("d", "x", "third", "exact"), thread("e", "y", "third  ", "exact"),
    ]  # fmt: skip
    conflicts, _, _ = await found(threads, "conflict")
    assert sides(conflicts) == [[("x", ("d",)), ("y", ("e",))]]
    assert conflicts[0].subject == "third"


async def test_prose_is_compared_only_where_not_every_thread_has_claims():
    prose = "A long story. It goes on and on, in many words, and ends well. "
    both = [said("a", prose + "X", claims=(claim("1"),)), said("b", prose + "Y", claims=(claim("2"),))]
    conflicts, prompts, _ = await found(both)
    assert [c.attribute for c in conflicts] == ["mood"]
    assert prompts == []
    conflicts, prompts, _ = await found([both[0], said("b", prose + "Y")], "conflict")
    assert [c.attribute for c in conflicts] == ["answer"]
    assert "ends well. X" in prompts[0]
    marked = [said("a", prose + r"\boxed{4}", claims=(claim("1"),)), said("b", "5", claims=(claim("2"),))]
    assert [c.attribute for c in (await found(marked))[0]] == ["answer"], "marked answers are no prose"
    later = [said("c", "7", question="q"), said("d", "8", question="q")]
    assert len((await found([*both, *later]))[0]) == 2


async def test_a_claim_without_a_value_does_not_hide_the_next_one():
    threads = [claimed("a", claim(""), claim("1", "age")), claimed("b", claim("  "), claim("2", "age"))]
    assert sides((await found(threads))[0]) == [[("1", ("a",)), ("2", ("b",))]]
