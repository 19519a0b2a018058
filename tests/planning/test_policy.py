"""What the rules see in a task."""

from __future__ import annotations

import pytest

from weaver._data.task import Task
from weaver._planning.policy import Rules


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
        (
            "Tell a short story of about 150 words about two brothers and their dog on a train at night.",
            "direct",
        ),
        ("Please write me a very short poem about the sea and the wind in autumn", "direct"),
        ("Write a poem about each of the four seasons and one about the moon.", "plan"),
        ("Erzähle mir eine kurze Geschichte über zwei Brüder und ihren Hund im Zug bei Nacht.", "direct"),
        ("Raconte une histoire drôle sur un chat et une souris qui vont à la mer en train.", "direct"),
        ("Cuenta un cuento breve sobre un zorro y una gallina que aprenden a nadar en el río.", "direct"),
        ("写一首关于大海和秋天的诗,要表现出孤独和希望", "direct"),
        ("Write a story and a poem about the sea.", "unsure"),
        ("Write a guide to camping for families and for people who travel alone by bicycle.", "unsure"),
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
