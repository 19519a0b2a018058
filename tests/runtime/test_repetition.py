"""A call that writes the same words again and again is ended; one that repeats what was asked for is not."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weaver import Answer, Weaver
from weaver._runtime.calls.repetition import next_look, repeated_unit
from weaver.models import Request, user
from weaver.testing import Scripted, ScriptedModel

pytestmark = pytest.mark.anyio

LOOP = "It rained in the old town, and the old town was wet. "


def unit_of(text: str, question: str = "What happened?") -> str | None:
    return repeated_unit([text], Request((user(question),)))


@pytest.mark.parametrize(
    "text",
    [
        "Well: " + LOOP * 10,
        "The capital: " + "Dublin, " * 60,
        "# Water\n" + "- **Bottle**: a towel and\n  a hose\n" * 60,
        "Grüße aus Köln! " * 40,
    ],
)
def test_the_same_words_without_end_are_a_repetition(text):
    assert unit_of(text)


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("I must not talk in class. " * 50, "Write 'I must not talk in class.' fifty times."),
        ("-" * 900, "q"),
        ("[" + '{"status": "no answer", "value": null}, ' * 50, "q"),
        ("| --- " * 200, "q"),
        ("0 0 0 1 " * 150, "q"),
        ("A" * 900, "q"),
        (
            "".join(f"{i}. spam\n" for i in range(100)),
            "\n".join(f"{i}. mail {i} of many" for i in range(100)),
        ),
        ("".join(f"{i}. no\n" for i in range(20)), "Label these."),
        ("ha ha ha, " * 5, "q"),
        (LOOP * 4 + "Then the sun came out, which nobody had seen coming at all.", "q"),
    ],
)
def test_what_was_asked_for_and_signs_and_short_repeats_are_none(text, question):
    assert unit_of(text, question) is None


@given(st.integers(0, 10_000), st.integers(1, 400))
def test_a_list_of_different_lines_is_no_repetition(seed, lines):
    words = random.Random(seed)
    text = "".join(
        f"{i}. {words.choice(['red', 'blue', 'green'])} {words.random():.3f}\n" for i in range(lines)
    )
    names = "".join(f"{words.choice('abcdefgh')}{words.choice('uvwxyz')}, " for _ in range(lines))
    assert unit_of(text, "\n" * lines) is None
    assert unit_of(names) is None or lines > 60


@given(st.text(min_size=1, max_size=60), st.text(max_size=80))
def test_any_text_is_looked_at_without_an_error(unit, before):
    unit_of(before + unit * 300)


def test_looks_are_few_enough_for_a_long_text():
    looks, size = 0, 500
    while size < 1_000_000:
        looks, size = looks + 1, next_look(size)
    assert looks < 40


async def test_a_call_that_repeats_itself_is_ended_and_its_text_kept():
    model = ScriptedModel([Scripted("Rain. " + LOOP * 400)])
    result = await Weaver(model, strategy="sequential").run("What happened?")
    assert len(result.answer) < 1500
    assert result.status == "partial"
    assert any("repeated the same words" in note for note in result.notes)
    assert result.usage.calls == 1
    assert model.requests[0].closed == "cancelled"


async def test_an_endless_thread_does_not_hold_up_its_siblings():
    model = ScriptedModel(
        [Scripted("Dublin, " * 2000, when="b?"), Scripted("Helsinki.", when="a?"), Scripted("both")]
    )

    async def both(run, task):
        async with run.fork(["a?", "b?"]) as threads:
            await threads.join()
            findings = [thread.answer for thread in threads.all]
        return Answer("; ".join(answer.text[:20] for answer in findings if answer))

    result = await Weaver(model, strategy=both).run("q")
    assert result.answer.startswith("Helsinki.; Dublin, Dublin")
    assert result.usage.output_tokens < 2000


async def test_it_can_be_switched_off():
    text = LOOP * 100
    weaver = Weaver(ScriptedModel([Scripted(text)]), strategy="sequential", stop_repetition=False)
    result = await weaver.run("What happened?")
    assert result.answer == text.strip()
    assert result.status == "complete"
