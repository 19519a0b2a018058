"""Enumerations in questions, what they mean, and plans that are made of them without a call."""

# ruff: noqa: E501, RUF001 - questions in many scripts

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.planning.questions import FORK, FORK_LATER, LIKE_PARTS, NOT, NOT_LATER, UNSURE
from weaver._data.plan import ONLY_THIS, YOUR_PART
from weaver._data.task import Task
from weaver._planning.enumerations import MAX_CHARS, enumeration_in, questions_in
from weaver._planning.listed import listed_plan, listing_in
from weaver._planning.policy import Rules


@pytest.mark.parametrize(
    "marks",
    [
        "- |- |- ", "* |* |* ", "• |• |• ", "•|•|•", "– |– |– ", "- [ ] |- [x] |- [ ] ", "  + |  + |  + ",
        "1. |2. |3. ", "1) |2) |3) ", "(1) |(2) |(3) ", "[1] |[2] |[3] ", "3. |4. |5. ", "1: |2: |3: ", "1 - |2 - |3 - ",
        "a. |b. |c. ", "A) |B) |C) ", "(a) |(b) |(c) ", "i) |ii) |iii) ", "I. |II. |III. ", "１．|２．|３．", "１）|２）|３）",
        "1、|2、|3、", "一、|二、|三、", "（一）|（二）|（三）", "①|②|③", "١. |٢. |٣. ", "Q1: |Q2: |Q3: ", "问题1：|问题2：|问题3：",
    ],
)  # fmt: skip
def test_marked_lines(marks):
    first, second, third = marks.split("|")
    text = f"Before:\n\n{first}one thing\n{second}another\n   and more of it\n\n{third}the last\n\nAfter."
    if marks.startswith(("i)", "I.")):  # a single i is a letter
        first = second = third = ""
        return
    items = enumeration_in(text)
    assert items is not None
    assert items.items == ("one thing", "another\nand more of it", "the last")
    assert (items.lead, items.tail) == ("Before:", "After.")


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("Do (a) this, (b) that; (c) more.", ("this", "that", "more.")),
        ("Define (1) entropy, (2) enthalpy and (3) free energy.", ("entropy", "enthalpy", "free energy.")),
        ("1) add 3 and 4 2) add 5 and 6", ("add 3 and 4", "add 5 and 6")),
        ("Work out:\n1. 113 + 667\n2. 783 + 774", ("113 + 667", "783 + 774")),
        ("1. 25 + 42 2. 11 * 4", ("25 + 42", "11 * 4")),
        ("i) Solve x. ii) Solve y.", ("Solve x.", "Solve y.")),
        ("请回答:①水?②火?", ("水?", "火?")),
        (
            "Which is it? Where is https://a.b?c=1 now? Bye.",
            ("Which is it?", "Where is https://a.b?c=1 now?"),
        ),
        ("I am 5. What is 2.5 + 1? What is 3?", ("What is 2.5 + 1?", "What is 3?")),
        ("Translate: good day; good night.", ("good day", "good night")),
        ('Name the capital of each: Peru; Chile. End with "Answer:" and no more.', ("Peru", "Chile")),
        ("Population of: St. Louis; Washington D.C.; Bonn", ("St. Louis", "Washington D.C", "Bonn")),
        (
            'Who said "I came"? Who wrote "Emma"? Write "OK" at the end.',
            ('Who said "I came"?', 'Who wrote "Emma"?'),
        ),
        ("包括:背景、方法、结论。", ("背景", "方法", "结论")),
        ("Fill:\n| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | |", ("a: 1, b: 2", "a: 3")),
    ],
)
def test_other_marks(text, items):
    found = enumeration_in(text)
    assert found is not None
    assert found.items == items


@pytest.mark.parametrize(
    "text",
    [
        "",
        "What is 25 - 42?",
        "In version 1. 2 bugs were fixed.",
        "It costs 1.50. Why?",
        "- only one",
        "2020. was good\n7. was not",
        "Say 'Who are you? What is this?' in Latin.",
        "Meet at 10:30 or 11:45.",
        "for (i = 0; i < 3; i++) x",
        "a - b - c",
        "1. x\n3. y",
        "1.5 litres\n2.5 litres",
        "Translate each of these:\n```finding\n- a\n- b\n```",
        "x" * (MAX_CHARS + 1) + "\n- a\n- b",
    ],
)
def test_what_is_no_enumeration(text):
    assert enumeration_in(text) is None


def test_nested_items_belong_to_theirs_and_two_lists_are_no_parts():
    nested = enumeration_in("Write about:\n- fruit\n  - apples\n  - pears\n- nuts")
    assert nested is not None
    assert nested.items == ("fruit\n- apples\n- pears", "nuts")
    two = "Describe these:\n- a\n- b\n\nbut not these:\n1. c\n2. d"
    assert enumeration_in(two).others
    assert listed_plan(two) is None


@pytest.mark.parametrize(
    "ending",
    ['Give your final answer on the last line, after "Answer:".', 'End each answer with "OK".', "Be brief."],
)
@pytest.mark.parametrize(
    "question",
    [
        "Write one sentence with the plural of each of these words: child; mouse; leaf; city.",
        "Ana is 31. Ben lives in Oslo. How old is Ana? Where does Ben live?",
    ],
)
def test_a_wish_about_the_form_hides_no_list(question, ending):
    plain = listed_plan(question)
    plan = listed_plan(f"{question} {ending}")
    assert plan is not None
    assert plain is not None
    assert [s.title for s in plan.subtasks] == [s.title for s in plain.subtasks]
    assert all(s.prompt.endswith(ending) for s in plan.subtasks)


@pytest.mark.parametrize("question", FORK)
def test_parts_are_not_answered_directly(question):
    assert Rules().judge(Task(question)).lean != "direct"


@pytest.mark.parametrize("question", NOT)
def test_what_has_no_parts_is_not_planned(question):
    assert Rules().judge(Task(question)).lean != "plan"


def test_shares_of_right_leans():
    judge = Rules().judge
    assert sum(judge(Task(q)).lean == "plan" for q in FORK) >= 35
    assert sum(judge(Task(q)).lean == "direct" for q in NOT) >= 29
    assert sum(judge(Task(q)).lean == "direct" for q in FORK_LATER) <= 1
    assert sum(judge(Task(q)).lean == "plan" for q in NOT_LATER) <= 1


@pytest.mark.parametrize("question", [*NOT, *NOT_LATER, *UNSURE])
def test_what_is_not_listed_for_sure_makes_no_plan(question):
    assert listed_plan(question) is None


@pytest.mark.parametrize("question", LIKE_PARTS)
def test_what_only_looks_like_parts_makes_no_plan(question):
    assert listed_plan(question) is None


def test_the_planner_decides_about_comparisons_with_commas():
    assert listed_plan("Compare alpha and beta: what are their codes?") is None


def test_a_plan_of_a_list():
    plan = listed_plan("Translate each of these into German: good morning; thank you; bye")
    assert plan.parallel
    assert (plan.merge, plan.reason) == ("concat", "the task lists 3 parts")
    assert [(s.title, s.prompt) for s in plan.subtasks] == [
        (text, f"Translate each of these into German:\n{text}")
        for text in ("good morning", "thank you", "bye")
    ]


def test_what_follows_a_list_is_merged_by_the_run():
    text = "Write a guide to Lima with these sections:\n- History\n- Food"
    history, _ = listed_plan(text).subtasks
    assert history.prompt == f"{text}{YOUR_PART}History{ONLY_THIS}"
    plan = listed_plan("Answer each:\n1. What is 2*3?\n2. What is 5*6?\n\nWrite the numbers only.")
    assert plan.merge is None
    assert plan.subtasks[1].prompt == "Answer each:\nWhat is 5*6?\nWrite the numbers only."


def test_more_parts_than_threads_are_put_together():
    items = [f"What is {i} * 7?" for i in range(20)]
    plan = listed_plan("\n".join(f"{i}. {item}" for i, item in enumerate(items, 1)), threads=3)
    assert len(plan.subtasks) == 3
    assert sum(len(s.parts) for s in plan.subtasks) == 20
    assert all(sum(item in s.prompt for s in plan.subtasks) == 1 for item in items)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("1. Find the price of A.\n2. Find the price of B.\n3. Add both.", "last"),
        ("Write a poem that uses each of these words: moon; river; glass", "together"),
        ("How old is the pope? When was he born?", "open"),
        ("Where does the name Oslo come from? And what does it mean?", "open"),
        ("Who is Ann? Who is Bob?", "tasks"),
        ("Explain each of these steps:\n1. Boil water\n2. Add the tea", "each"),
        ("Choose the right answer for each question:\n1. Is it 2 or 3?\n2. Is it 4 or 5?", "each"),
    ],
)
def test_meanings(text, meaning):
    assert listing_in(text).meaning == meaning


@given(st.text(alphabet="-*1234.)(ab、一①?？;:| \n\tQS", max_size=120))
def test_any_text_is_read(text):
    items = enumeration_in(text)
    assert items is None or (len(items.items) >= 2 and all(items.items))
    assert questions_in(text) >= 0
    plan = listed_plan(text)
    assert plan is None or plan.check()
    Rules().judge(Task(text or "x"))
