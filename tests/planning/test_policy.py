"""What the rules see in a task."""

from __future__ import annotations

import pytest

from weaver.planning.policy import Rules
from weaver.task import Task


@pytest.mark.parametrize(
    ("question", "lean"),
    [
        ("What is the capital of France?", "direct"),
        ("25 + 42", "direct"),
        ("Who wrote Faust? And who wrote Hamlet?", "plan"),
        ("Compare PostgreSQL and SQLite for a desktop app.", "plan"),
        ("Do this:\n- sort the list\n- count the vowels", "plan"),
        ("1. add 3 and 4\n2. add 5 and 6", "plan"),
        ("For each of the planets give the diameter", "plan"),
        ("What are the pros and cons of electric cars?", "plan"),
        ("Start with 9, add 4, then double it, and then say what is left", "direct"),
        ("Start with 3. Add 5. Add 1. Add 6. Subtract 2. What is the result?", "direct"),
        ("A: Start with 9. Add 3.\nB: Start with 6. Add 3.\nC: Start with 2. Add 4.", "unsure"),
        (
            "Fang mit 9 an, nimm 4 dazu und dann verdopple das Ergebnis, wie viel ist es am Ende genau?",
            "direct",
        ),
        ("Write a report in six sections of 100 words each.", "plan"),
        ("Explain how a bicycle stays upright and why it matters for the design of the front fork", "unsure"),
    ],
)
def test_rules(question, lean):
    judgement = Rules().judge(Task(question))
    assert judgement.lean == lean
    assert judgement.reason


def test_lines_that_a_program_adds_are_not_judged():
    asked = "What is the capital of France?"
    added = f"{asked}\n\nAnswer for each of the following:\n- the result\n- the reason, then stop"
    assert Rules().judge(Task(added)).lean == "plan"
    assert Rules().judge(Task(added, user_question=asked)).lean == "direct"
