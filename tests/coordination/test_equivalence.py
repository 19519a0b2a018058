"""When two answers are the same answer."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weaver import Answer, Weaver
from weaver._coordination.answers.equivalence import KINDS, equivalence
from weaver._coordination.answers.judged import judged
from weaver._coordination.answers.math import compare_by_algebra
from weaver._coordination.answers.protocol import Equivalence
from weaver._coordination.answers.votes import Votes
from weaver._coordination.values.dates import date_of
from weaver._coordination.values.final import final_answer, json_value, plain, trimmed
from weaver._testing.scripted import text_of
from weaver.errors import ConfigurationError, ServerError, UnknownNameError
from weaver.testing import Scripted, ScriptedModel


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"So \boxed{1}. No: \boxed{\frac{1}{2}}.", r"\frac{1}{2}"),
        ("5 + 6 = 11\n#### 11", "11"),
        ("The answer is 42.", "42"),
        ("The final answer is: **42 km**.", "42 km"),
        ("Answer: Paris. It lies on the Seine.", "Paris"),
        ("**Answer:** 3.5 million", "3.5 million"),
        ("the answer is 3.14. Then more.", "3.14"),
        ('Sure!\n```json\n{"answer": "Rome", "why": "x"}\n```', "Rome"),
        ('{"answer": [1, 2]}', "[1, 2]"),
        ("First the answer is 3, but the correct answer is 4", "4"),
        ("Nothing is marked here.", None),
        ("The answers differ.", None),
        (r"an open \boxed{1", None),
    ],
)
def test_final_answer(text, answer):
    assert final_answer(text) == answer


@pytest.mark.parametrize(
    ("kind", "one", "other", "same"),
    [
        ("auto", "The answer is 42.", "#### 42.0", True),
        ("auto", "1,000 m", "1 km", True),
        ("auto", "The answer is 42", "The answer is 43", False),
        ("auto", "Paris", "paris.", True),
        ("auto", "Paris", "The City of Paris", None),
        ("auto", "March 5, 2024", "2024-03-05", True),
        ("auto", "March 5, 2024", "2024-03-06", False),
        ("auto", "March 2024", "2024-03-06", None),
        ("auto", "yes", "True", True),
        ("auto", "yes", "no", False),
        ("auto", '{"a": 1, "b": 2}', '{"b": 2.0, "a": 1}', True),
        ("auto", "A long text. It says much.", "Another long text. It says more.", None),
        ("exact", " a ", "a", True),
        ("exact", "a", "A", False),
        ("text", "The Eiffel Tower!", "eiffel tower", True),
        ("text", "Paris", "Lyon", False),
        ("number", "I think there are 12 of them", "#### 12", True),
        ("number", "12", "13", False),
        ("number(0.1)", "100", "109", True),
        ("number(0.01)", "100", "109", False),
        ("number", "none", "12", None),
        ("choice", "(B) because", "The answer is B.", True),
        ("choice", "B", "C", False),
        ("bool", "Yes, because ...", "The answer is true", True),
        ("list", "1, 2, 3", "[1, 2, 3]", True),
        ("list", "1, 2, 3", "1, 3, 2", False),
        ("list", "- red\n- green", "red and green", True),
        ("list", "1. Compare 3 with 2.\n2. Swap them.\n\nAnswer: 2, 3", "2, 3", True),
        ("list", "- first this\n- then that\nSo it is \\boxed{2, 3}.", "2, 3", True),
        ("list", "1. 1 + 2\n2. 2 + 2\n#### 3, 4", "Answer:\n1. 3\n2. 4", True),
        ("list", "Of [1, 2]:\n- a\nAnswer: 3, 4", "3, 4", True),
        ("list", "Answer: 3 + 6 = 9, 5 + 5 = 10", "9, 10", True),
        ("list", "Answer: 3 + 6 equals 9, and 5 + 5 equals 10.", "9, 10", True),
        ("list", 'The result after "Answer:" is 3, 4.', "3, 4", True),
        ("list", "Answer: is 3, 4.", "3, 4", True),
        ("number", 'After "Answer:" is 12 and nothing else. "Answer:" 13', "13", True),
        ("text", 'Answer: "is"', "is", True),
        ("list", "Answer: 3 + 6 = 9, 5 + 5 = 11", "9, 10", False),
        ("set", "1, 2, 3", "{3, 1, 2}", True),
        ("set", "red, green", "green, red, red", True),
        ("set", "red, green", "red, blue", None),
        ("set", "1, 2", "1, 3", False),
        ("set", "1,234 and 5", "5; 1234", True),
        ("json", '[{"x": 1e-9}]', "[{'x': 1}]", None),
        ("json", '```json\n{"x": [1, true]}\n```', '{"x": [1.0, true]}', True),
        ("json", '{"x": true}', '{"x": 1}', False),
    ],
)
def test_kinds(kind, one, other, same):
    compare = equivalence(kind).compare
    assert compare(one, other) is same
    assert compare(other, one) is same


def test_unknown_kind_suggests_the_near_one():
    with pytest.raises(UnknownNameError, match="Did you mean 'number'"):
        equivalence("numbr")


@pytest.mark.parametrize("kind", ["number(x)", "number(-1)", "number()", "number(2)"])
def test_wrong_tolerance(kind):
    with pytest.raises(ConfigurationError, match="relative difference"):
        equivalence(kind)


def test_own_function_and_own_equivalence():
    first = equivalence(lambda text: text.strip()[:1] or None)
    assert first.compare("abc", "axy") is True
    assert first.compare("", "axy") is None
    assert equivalence(first) is first
    assert equivalence(None).name == "auto"


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2024-03-05", "2024-03-05"),
        ("5 March 2024", "2024-03-05"),
        ("Mar 5th, 2024", "2024-03-05"),
        ("the 5th", None),
        ("March 2024", "2024-03"),
        ("on Tuesday, 5 March 2024", "2024-03-05"),
        ("2024-13-05", None),
        ("03/04/2024", None),
        ("2024", None),
        ("31 February 2024", None),
    ],
)
def test_dates(text, date):
    assert date_of(text) == date


def test_json_of_a_page_of_brackets_is_bounded():
    text = "[" * 100_000
    assert equivalence("json").read(text) is None
    assert json_value('noise {"a": 1} noise [2]') == [2]


@pytest.mark.parametrize("text", ['"x"', "**x**", "$x$", r"\(x\)", r"\text{x}", "x.", "`x`", "“x”"])
def test_trimmed(text):
    assert trimmed(text) == "x"


def test_plain_keeps_something_of_every_word():
    assert plain("The") == "the"
    assert plain("A") == "a"


@given(st.sampled_from(sorted(KINDS)), st.text(max_size=80), st.text(max_size=80))
def test_comparing_never_raises_and_is_symmetric_and_reflexive(kind, one, other):
    how: Equivalence = equivalence(kind)
    a, b = how.read(one), how.read(other)
    if a is not None:
        assert how.same(a, a) is True or how.same(a, a) == 1
    if a is not None and b is not None:
        assert how.same(a, b) == how.same(b, a)


# ---- free text, by a judge


async def counted(texts, *replies):
    """The groups into which a judge who says ``replies`` sorts ``texts``."""
    judge = ScriptedModel(list(replies) or [Scripted(error=ServerError("down."))])
    counts = []

    async def strategy(run, task):
        votes = Votes(judged(run, task.question))
        for text in texts:
            await votes.cast(text)
        counts.extend(votes.counts)
        return Answer("done")

    result = await Weaver(ScriptedModel("-"), judge_model=judge, strategy=strategy).run("Who won?")
    return counts, judge, result


def said(*words):
    return json.dumps({"verdicts": [{"pair": n, "verdict": w} for n, w in enumerate(words, 1)]})


@pytest.mark.anyio
async def test_free_text_is_compared_by_a_judge_only_where_words_differ():
    texts = ["The whites won.", "the whites won", "White was victorious", "Nobody won"]
    counts, judge, _ = await counted(texts, said("same"), said("different"))
    assert counts == [3, 1]
    assert len(judge.requests) == 2
    assert "Who won?" in text_of(judge.requests[0].request)


@pytest.mark.anyio
async def test_a_judge_that_fails_leaves_them_apart():
    counts, _, result = await counted(["A won.", "B won."])
    assert counts == [1, 1]
    assert any("count as different: down." in note for note in result.notes)


# ---- mathematics, by algebra in a process apart


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.anyio
async def test_algebra(anyio_backend):
    pytest.importorskip("math_verify")
    pairs = [
        (r"\frac{1}{2}", "0.5"),
        ("x^2-1", "(x-1)(x+1)"),
        (r"\boxed{\sqrt{8}}", r"2\sqrt{2}"),
        (r"\{1,2\}", "{2,1}"),
        ("x^2", "x^3"),
        ("9" * 5000, "1"),
    ]
    assert await compare_by_algebra(pairs) == [True, True, True, True, False, None]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.anyio
async def test_a_formula_that_never_ends_is_given_up(anyio_backend):
    pytest.importorskip("math_verify")
    assert await compare_by_algebra([("9^{9^{9^{9^9}}}", "3")], seconds=0.3) == [None]


def test_mathematics_compares_text_and_numbers_without_algebra():
    pytest.importorskip("math_verify")
    how = equivalence("math")
    assert how.compare(r"\boxed{\dfrac12}", r"$\frac{1}{2}$") is True
    assert how.compare("0.50", "1/2") is True
    assert how.compare("3", "4") is False
    assert how.compare("x+1", "1+x") is None


def test_mathematics_without_its_extra_says_what_to_install(monkeypatch):
    monkeypatch.setattr("weaver._coordination.answers.math.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"weaver-reasoning\[math\]"):
        equivalence("math")
