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
        ("Explain how a bicycle stays upright and why it matters for the design of the front fork", "unsure"),
    ],
)
def test_rules(question, lean):
    judgement = Rules().judge(Task(question))
    assert judgement.lean == lean
    assert judgement.reason
