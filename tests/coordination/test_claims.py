"""Claims in the text of threads, and what they speak about."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weaver import Agent, Task, Weaver
from weaver._coordination.answers.equivalence import KINDS
from weaver._coordination.conflicts.claims import (
    REQUEST,
    asking_for_claims,
    claiming,
    split_claims,
    value_of,
    with_claims,
    written,
)
from weaver._coordination.conflicts.topics import topic_of
from weaver._coordination.values.mentions import mentions
from weaver._data.result import Answer, Claim
from weaver._models.protocol import Capabilities
from weaver._testing.scripted import text_of
from weaver.testing import ScriptedModel

TEXT = """Paris has 2.1 million people.

```claims
[{"subject": "Paris", "attribute": "population", "value": 2.1, "unit": "million", "confidence": 0.9,
  "evidence": "census"},
 {"subject": "Paris", "attribute": "is a capital", "value": true}]
```
"""


def test_the_block_is_read_and_taken_out():
    text, claims = split_claims(TEXT)
    assert text == "Paris has 2.1 million people."
    assert claims == (
        Claim("Paris", "population", "2.1", "million", 0.9, "census"),
        Claim("Paris", "is a capital", "yes"),
    )


def test_our_own_example_is_well_formed():
    _, claims = split_claims(REQUEST)
    assert claims == (
        Claim("Paris", "population in 2020", "2.1", "million people", 0.8, "what the value rests on"),
    )


@pytest.mark.parametrize(
    "body",
    ["", "not json", "[1, 2]", '[{"subject": "x"}]', '[{"subject": "", "attribute": "a", "value": "v"}]',
     "null", '{"claims": 3}', '[{"subject": {"a": 1}, "attribute": "a", "value": "v"}]', "[" * 5000],
)  # fmt: skip
def test_malformed_claims_are_no_claims_and_never_an_error(body):
    text, claims = split_claims(f"The answer.\n```claims\n{body}\n```")
    assert (text, claims) == ("The answer.", ())


def test_one_malformed_claim_does_not_spoil_the_others():
    _, claims = split_claims(
        'x\n```claims\n[{"subject": 1}, {"subject": "a", "attribute": "b", "value": "c"}]\n```'
    )
    assert claims == (Claim("a", "b", "c"),)


@pytest.mark.parametrize(
    "tail",
    ['```claims\n[{"subject": "a", "attribute": "b", "value": "c"}',  # cut off
     '````claims\n[{"subject": "a", "attribute": "b", "value": "c"}]\n````',
     '~~~ claims\n{"claims": [{"subject": "a", "attribute": "b", "value": "c"}]}\n~~~',
     '```json\n[{"subject": "a", "attribute": "b", "value": "c"}]\n```',
     '[\n  {"subject": "a", "attribute": "b", "value": "c"}\n]'],
)  # fmt: skip
def test_other_forms_of_the_block(tail):
    text, claims = split_claims(f"The answer.\n\n{tail}")
    assert text == "The answer."
    assert claims in ((Claim("a", "b", "c"),), ())
    assert claims or "]" not in tail


def test_other_json_at_the_end_belongs_to_the_answer():
    answer = 'Here it is:\n```json\n[{"subject": "a"}]\n```'
    assert split_claims(answer) == (answer, ())


def test_an_answer_that_is_only_claims_stays_an_answer():
    answer = with_claims(
        Answer('```claims\n[{"subject": "Paris", "attribute": "area", "value": "105 km²"}]\n```')
    )
    assert answer.text == "Paris, area: 105 km²"
    assert len(answer.claims) == 1


@pytest.mark.parametrize(
    ("given", "read"),
    [(0.5, 0.5), ("0.5", 0.5), ("90%", 0.9), (90, 0.9), ("high", 0.85), (-1, None), (900, None), (True, None),
     ("sure", None), (None, None), ([1], None)],
)  # fmt: skip
def test_confidence_in_any_form(given, read):
    import json

    item = {"subject": "a", "attribute": "b", "value": "c", "confidence": given}
    _, claims = split_claims(f"x\n```claims\n{json.dumps([item])}\n```")
    assert claims[0].confidence == read


def test_values_with_units():
    assert written(Claim("a", "b", "5", "km")) == "5 km"
    assert written(Claim("a", "b", "5 km", "km")) == "5 km"
    assert written(Claim("a", "b", "5", "$")) == "$5"
    assert value_of(Claim("a", "b", "2.1", "million people")).written == 2_100_000
    assert value_of(Claim("a", "b", "5", "km")).agrees(value_of(Claim("a", "b", "5000 m", ""))) is True


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("Paris", "population"), ("paris", "Populations"), True),
        (("Paris", "population"), ("the population of Paris", "value"), True),
        (("Paris", "population"), ("Paris", "total population"), True),
        (("Eiffel Tower", "height"), ("The Eiffel tower", "current height"), True),
        (("Paris", "population in 2010"), ("Paris", "population in 2020"), False),
        (("Paris", "population"), ("Lyon", "population"), False),
        (("Paris", "population"), ("Paris", "area"), False),
        (("Alice", "owner of Bob"), ("Bob", "owner of Alice"), False),
        (("cities", "number"), ("city", "number"), True),
        (("tower", "height in metres"), ("tower", "height (ft)"), True),
        (("tower", "height"), ("tower", "height in 2020"), False),
        (("rain", "days in a year"), ("rain", "days"), False),
    ],
)
def test_topics(one, other, same):
    a, b = topic_of(Claim(*one, "1")), topic_of(Claim(*other, "1"))
    assert a.same(b) is same
    assert b.same(a) is same


def test_near_topics_are_worth_a_question_and_others_are_not():
    def near(one, other):
        return topic_of(Claim(*one, "1")).near(topic_of(Claim(*other, "1")))

    assert near(("Paris metropolitan area", "population"), ("Paris", "population"))
    assert not near(("Paris", "population"), ("Lyon", "population"))
    assert not near(("Paris", "population 2010"), ("Paris", "population 2020"))


LONG = 30_000


@pytest.mark.parametrize(
    "text",
    ["`" * LONG, " " * LONG, "\n" * LONG, "[" * LONG, "\n[{" * LONG, "```claims\n" * LONG,
     "answer" + " " * LONG, "answer is " * LONG, "9" * LONG, "9," * LONG, "9 " * LONG, "\\boxed{" * LONG,
     "1." + " " * LONG, ";" * LONG, "answer: (" * LONG, "final answer" + "\n" * LONG, "a " * LONG,
     "```json\n" + "{" * LONG, "-" * LONG, "**" * LONG, "x" + "\t" * LONG + "]", "]" * LONG, "10-" * LONG],
    ids=lambda text: repr(text[:12]),
)  # fmt: skip
@pytest.mark.timeout(20)
def test_no_text_is_slow_to_read(text):
    """Reading any of these in quadratic time would take much longer than that."""
    split_claims(text)
    for kind in KINDS.values():
        kind.read(text)
    mentions(text, "5 km")


@given(st.text(max_size=200))
def test_reading_claims_never_raises_and_never_invents_text(text):
    left, claims = split_claims(text)
    assert all(c.value for c in claims)
    assert set(left) <= set(text)


def test_threads_are_asked_in_their_guidance_not_in_the_prompt():
    task = asking_for_claims(Task("What?", agent=Agent("w", instructions="Be brief.", tools=(len,))))
    assert task.prompt == "What?"
    assert task.agent.instructions == "Be brief."
    assert task.guidance == REQUEST
    assert task.agent.tools == (len,)


async def run_claiming(model, **task):
    async def strategy(run, given):
        async with run.fork([Task("What?", **task)], body=claiming()) as threads:
            (thread,) = await threads.join()
        return thread.answer

    return await Weaver(model, strategy=strategy).run("go")


@pytest.mark.anyio
async def test_a_claiming_body_hands_up_claims_and_a_clean_answer():
    model = ScriptedModel(TEXT)
    result = await run_claiming(model)
    assert result.answer == "Paris has 2.1 million people."
    assert "claims" in text_of(model.requests[0].request)


@pytest.mark.anyio
async def test_small_models_and_typed_tasks_are_asked_for_one_thing_only():
    model = ScriptedModel("7", can=Capabilities(small=True))
    await run_claiming(model)
    typed = ScriptedModel('{"value": 7}')
    assert (await run_claiming(typed, output=int)).output == 7
    for asked in (model, typed):
        assert "claims" not in text_of(asked.requests[0].request)
