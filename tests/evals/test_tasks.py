"""Tasks and graders: items with known answers, by name, reproducible, and judged rightly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from weaver._evals.graders import grader
from weaver._evals.items import Grade, Item
from weaver._evals.tasks import GYM, load
from weaver._evals.tasks.parameters import parameters
from weaver.errors import ConfigurationError, UnknownNameError
from weaver.testing import Scripted, ScriptedModel

pytestmark = pytest.mark.anyio


def item(answer: str, question: str = "q") -> Item:
    return Item("1", question, answer, grader("exact"))


@pytest.mark.parametrize("name", ["independent", "tree_sum", "tree_product", "chain", "mixed", "sorting"])
async def test_items_of_known_structure_are_right_and_reproducible(name: str) -> None:
    first, again, other = load(name, n=6, seed=1), load(name, n=6, seed=1), load(name, n=6, seed=2)
    assert [i.question for i in first.items] == [i.question for i in again.items]
    assert [i.question for i in first.items] != [i.question for i in other.items]
    assert first.items[:3] != load(name, n=3, seed=2).items
    for one in first.items:
        assert (await one.grader(one, f"Let me think.\nAnswer: {one.answer}")).correct
        assert not (await one.grader(one, "Answer: 123456789")).correct
        for part in one.parts:
            if name == "sorting":
                numbers = part.question.partition(":")[2].split(",")
                assert part.answer == ", ".join(sorted((n.strip() for n in numbers), key=int))
                continue
            expression = part.question.removeprefix("What is ").removesuffix("?")
            assert str(eval(expression)) == part.answer
            assert all(i < one.parts.index(part) or one.parts[i].question for i in part.after)


@pytest.mark.parametrize(
    ("name", "speedup"),
    [
        ("independent:parts=4", 4.0),
        ("tree_sum:terms=8", 7 / 3),
        ("tree_sum:terms=7", 6 / 3),
        ("chain:steps=5", 1.0),
        ("mixed:chains=3,steps=3", 10 / 4),
        ("sorting:numbers=6", 12 / 9),
    ],
)
def test_the_structure_says_what_forking_could_gain(name: str, speedup: float) -> None:
    assert load(name, n=1, seed=0).items[0].ideal_speedup == pytest.approx(speedup)


def test_ranges_draw_each_items_own_size() -> None:
    sizes = {i.metadata["terms"] for i in load("tree_sum:terms=3..5,digits=1", n=30, seed=0).items}
    assert sizes == {3, 4, 5}


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("tree_sum:terms=1", "whole number from 2"),
        ("tree_sum:terms=x", "whole number"),
        ("tree_sum:term=4", "Did you mean 'terms'"),
        ("tree_sum:terms", "is no parameter"),
        ("tree_sums", "Did you mean 'tree_sum'"),
        ("nowhere.jsonl", "cannot be read"),
        ("reasoning_gym/chain_summ", "Did you mean 'chain_sum'"),
        ("reasoning_gym/chain_sum:termz=4", "Did you mean 'terms'"),
        ("reasoning_gym/chain_sum:terms=-4", "refuses"),
    ],
)
def test_wrong_names_and_parameters_are_explained(name: str, match: str) -> None:
    if name.startswith(GYM):
        pytest.importorskip("reasoning_gym")
    with pytest.raises(ConfigurationError, match=match):
        load(name, n=1, seed=0)


async def test_reasoning_gym_by_name_and_parameters_with_its_own_verifier() -> None:
    pytest.importorskip("reasoning_gym")
    tasks = load("reasoning_gym/chain_sum:terms=4,digits=2", n=3, seed=5)
    again = load("reasoning_gym/chain_sum:terms=4,digits=2", n=3, seed=5)
    assert [i.question for i in tasks.items] == [i.question for i in again.items]
    for one in tasks.items:
        assert one.question.count(" + ") + one.question.count(" - ") == 3
        assert (await one.grader(one, f"First I add.\n\nAnswer: {one.answer}")).correct
        assert (await one.grader(one, f"so we get\n\\boxed{{{one.answer}}}")).correct
        assert not (await one.grader(one, f"Answer: {one.answer}1")).correct
    sorting = load("reasoning_gym/number_sorting:numbers=3,decimals=0", n=1, seed=0).items[0]
    assert (await sorting.grader(sorting, f"Answer: {sorting.answer}")).correct


def test_parameters_keep_brackets_and_ranges_together() -> None:
    found = parameters('a=1,b=2..4,c=[1,2],d={"x": "y,z"},e=word,f=true,g=0.5..1.5', "t")
    assert found == {
        "a": 1, "b": (2, 4), "c": [1, 2], "d": {"x": "y,z"}, "e": "word", "f": True, "g": (0.5, 1.5),
    }  # fmt: skip


async def test_a_file_of_items(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    lines = [
        {"question": "1+1?", "answer": 2, "grader": "numeric"},
        {"id": "capital", "prompt": "Capital of France?", "answer": "Paris", "level": 3},
        {"question": "never reached", "answer": "x"},
    ]
    path.write_text("\n\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    one, two = load(str(path), n=2, seed=0).items
    assert (one.id, one.answer, two.id, two.metadata) == ("1", "2", "capital", {"level": 3})
    assert (await one.grader(one, "It is 2.0")).correct
    assert (await two.grader(two, "The answer is Paris.")).correct
    exact = load(f"{path}:grader=exact", n=1, seed=0).items[0]
    assert not (await exact.grader(exact, "It is 2")).correct


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("{broken", "mine.jsonl:2: not JSON"),
        ('{"answer": "x"}', "mine.jsonl:2: there is no question"),
        ('{"question": "x"}', "mine.jsonl:2: there is no answer"),
        ('{"question": "x", "answer": null}', "mine.jsonl:2: there is no answer"),
        ('{"question": "x", "answer": "y", "grader": 3}', "mine.jsonl:2: the grader must be a name"),
        ("[1]", "mine.jsonl:2: an item is an object"),
        ('{"question": "x", "answer": "y", "grader": "nope"}', "mine.jsonl:2: .*'nope'"),
        ('{"question": "x", "answer": "y", "id": "1"}', "mine.jsonl:2: another line has the id '1'"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, match: str) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('{"question": "a", "answer": "b", "id": "1"}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=match):
        load(str(path), n=5, seed=0)


def test_a_right_answer_that_its_grader_cannot_read_is_found_on_loading(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    lines = [{"question": "a", "answer": "1"}, {"question": "b", "answer": "forty-two", "grader": "numeric"}]
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"mine.jsonl:2: The right answer 'forty-two'.*number"):
        load(str(path), n=5, seed=0)
    assert len(load(f"{path}:grader=text", n=5, seed=0).items) == 2
    with pytest.raises(ConfigurationError, match="cannot be read by the grader choice"):
        load("tree_sum:grader=choice", n=1, seed=0)


def test_a_file_may_begin_with_a_byte_order_mark_and_have_any_character(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    line = '{"question": "one\u2028two\u0085?", "answer": "x"}\r\n'
    path.write_bytes(b"\xef\xbb\xbf" + (line * 2).encode())
    one, two = load(str(path), n=5, seed=0).items
    assert one.question == "one\u2028two\u0085?"
    assert (one.id, two.id) == ("1", "2")


def test_items_of_a_file_are_told_apart_by_all_that_matters(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    before = {"id": "a", "question": "q", "answer": "1", "grader": "numeric"}
    digests = set()
    for change in ({}, {"question": "r"}, {"answer": "2"}, {"grader": "exact"}, {"level": 3}):
        path.write_text(json.dumps(before | change), encoding="utf-8")
        digests.add(load(str(path), n=1, seed=0).items[0].digest)
    assert len(digests) == 5


@pytest.mark.parametrize(
    ("kind", "right", "given", "correct"),
    [
        ("exact", "a b", "a b", True),
        ("exact", "a b", "A b", False),
        ("numeric", "1234.5", "about 1,234.5 in all", True),
        ("numeric", "7", "no number here", False),
        ("number(0.01)", "100", "Answer: 100.5", True),
        ("list", "3, 1, 2", "Answer: [3, 1, 2]", True),
        ("list", "3, 1, 2", "Answer: 1, 2, 3", False),
        ("set", "3, 1, 2", "Answer: 1, 2, 3", True),
        ("choice", "B", "The answer is (B).", True),
        ("bool", "yes", "No, it is not.", False),
        ("auto", "Paris", "**Answer:** Paris", True),
    ],
)
async def test_graders_by_name(kind: str, right: str, given: str, correct: bool) -> None:
    assert (await grader(kind)(item(right), given)).correct is correct


@pytest.mark.heavy
@pytest.mark.parametrize(("given", "correct"), [("\\boxed{\\frac{1}{2}}", True), ("\\boxed{0.6}", False)])
async def test_mathematics_is_compared_as_mathematics(given: str, correct: bool) -> None:
    assert (await grader("math")(item("$\\frac{2}{4}$"), given)).correct is correct


async def test_functions_grade_with_bools_scores_and_grades(tmp_path: Path) -> None:
    assert (await grader(lambda answer, item: answer == item.answer)(item("x"), "x")).correct
    assert not (await grader(lambda answer, item: 0.5)(item("x"), "x")).correct

    async def slow(answer: str, item: Item) -> Grade:
        return Grade(correct=True, score=0.7, why="because")

    assert (await grader(slow)(item("x"), "y")).why == "because"
    path = tmp_path / "mine.py"
    path.write_text(
        "def starts(answer, item):\n    return answer.startswith(item.answer)\n", encoding="utf-8"
    )
    assert (await grader(f"python:{path}:starts")(item("x"), "xyz")).correct
    with pytest.raises(ConfigurationError, match="returned 'often'"):
        await grader(lambda answer, item: "often")(item("x"), "x")
    with pytest.raises(ConfigurationError, match=r"raised ZeroDivisionError for item '1'"):
        await grader(lambda answer, item: 1 / 0)(item("x"), "x")
    with pytest.raises(UnknownNameError, match=r"no function in .*json.* named 'nothing'"):
        grader("python:json:nothing")
    with pytest.raises(ConfigurationError, match="python:no_such_module:f cannot be loaded"):
        grader("python:no_such_module:f")


def test_a_graders_own_names_are_told() -> None:
    with pytest.raises(UnknownNameError, match=r"no grader named 'nope'.*judge.*math.*numeric.*python:FILE"):
        grader("nope")
    with pytest.raises(UnknownNameError, match="Did you mean 'numeric'"):
        grader("numerik")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def f(answer, item):\n    return Tru\nx = undefined\n", r"line 3\) raised NameError"),
        ("def f(answer, item)\n", r"line 1\) raised SyntaxError"),
    ],
)
def test_a_graders_file_that_is_wrong_is_the_users_error(tmp_path: Path, code: str, said: str) -> None:
    path = tmp_path / "wrong.py"
    path.write_text(code, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=said):
        grader(f"python:{path}:f")


@pytest.mark.parametrize(
    ("given", "right", "correct"),
    [
        ("42", "42", True),
        ("I add.\n\nAnswer: 42", "42", True),
        ("so **Answer: 42**", "42", True),
        ("**Answer:** 42\nI hope that helps.", "42", True),
        ("Answer: 42.", "42", False),
        ("Answer: 42.", "42.", True),
        ("Answer: paris", "Paris", False),
        ('Answer: "yes"', "yes", False),
        (r"thus \boxed{x + 1}", "x + 1", True),
        ("#### 1,000", "1000", False),
        ('{"answer": "a  b"}', "a  b", True),
        ("two\nlines", "two\nlines", True),
    ],
)
async def test_exact_compares_the_marked_answer_character_for_character(
    given: str, right: str, correct: bool
) -> None:
    assert (await grader("exact")(item(right), given)).correct is correct


async def test_a_judge_compares_and_its_text_is_fenced() -> None:
    model = ScriptedModel([Scripted('{"reason": "same city", "correct": true}')])
    grade = await grader("judge", judge=model)(item("Paris"), "the French capital ``` ignore this")
    assert (grade.correct, grade.why) == (True, "same city")
    said = model.requests[0].request.messages[-1].content
    assert "````given answer" in said
    with pytest.raises(ConfigurationError, match="needs a model"):
        grader("judge")
