"""Small models are asked in plain words, and code checks what they say against the lines."""

from __future__ import annotations

from dataclasses import replace

import pytest

from weaver import Weaver
from weaver._documents.places import Place, Source
from weaver._models.protocol import Request
from weaver._strategies.long_inputs.combining import Entry
from weaver._strategies.long_inputs.plain_reading import most_relevant
from weaver.testing import Scripted, ScriptedModel

pytestmark = pytest.mark.anyio

CITIES = ("Oslo", "Lima", "Riga")
ORDERS = "\n".join(f"Order {n}: from {CITIES[n % 3]}, paid." for n in range(30))


def small(*replies: Scripted) -> ScriptedModel:
    model = ScriptedModel(list(replies))
    model.can = replace(model.can, small=True, context=600)
    return model


def prompt_of(request: Request) -> str:
    return request.messages[-1].text


async def test_lines_are_counted_one_by_one_with_their_columns():
    model = small(
        Scripted("Yes.", when=lambda r: "Line:" in prompt_of(r) and ",Oslo" in prompt_of(r)), Scripted("No.")
    )
    table = "id,city\n" + "".join(f"{n},{CITIES[n % 3]}\n" for n in range(60))
    result = await Weaver(model, strategy="map_reduce").run(
        "How many are from Oslo?", documents=[("orders.csv", table)]
    )
    assert result.answer == "20"
    assert {source.text.partition(",")[2] for source in result.sources} == {"Oslo"}
    assert all(request.request.max_tokens == 4 for request in model.requests)
    assert any("Columns: id,city" in prompt_of(request.request) for request in model.requests)


async def test_an_answer_is_made_of_lines_that_bear_it_out():
    codes = {"Falcon": 7305, "Swift": 6148, "Heron": 1891}
    lines = [f"The gate was painted in spring {n}." for n in range(60)]
    for place, (name, code) in enumerate(codes.items()):
        lines.insert(20 * place + 5, f"The access code of project {name} is {code}.")

    def reply(request: Request) -> str:
        prompt = prompt_of(request)
        return next(
            (f"The access code of project Swift is {c}." for c in codes.values() if str(c) in prompt), "1234"
        )

    result = await Weaver(small(Scripted(reply)), strategy="map_reduce").run(
        "What is the access code of project Swift?", documents=[("book.txt", "\n\n".join(lines))]
    )
    assert result.sources[0].text == "The access code of project Swift is 6148."
    assert not [source for source in result.sources if "painted" in source.text]


async def test_values_that_differ_between_documents_are_named():
    texts = {
        "january.txt": "The budget of project Wren is 124 thousand euros.",
        "march.txt": "The budget of project Wren is 194 thousand euros.",
    }
    result = await Weaver(small(Scripted("It is 124 thousand euros.")), strategy="map_reduce").run(
        "What is the budget of project Wren?", documents=list(texts.items())
    )
    assert len(result.conflicts) == 1
    assert "124" in result.answer
    assert "194" in result.answer


def test_relevant_lines_are_those_that_share_rare_words():
    texts = [
        "the code of Swift is 1",
        "the code of Heron is 2",
        "the chairs of the room",
        "the code of Wren is 3",
    ]
    entries = entries_of(texts)
    assert most_relevant("What is the code of Heron?", entries)[0].source.text == texts[1]
    assert most_relevant("Nothing alike", entries) == entries[:10]
    assert most_relevant("anything", []) == []


def test_the_line_that_names_what_is_asked_about_goes_on_alone():
    """Words that all lines share do not make up for the one name."""
    projects = ("Falcon", "Heron", "Osprey", "Kestrel", "Plover", "Wren", "Swift", "Merlin")
    texts = [f"The access code of project {name} is {4000 + n}." for n, name in enumerate(projects)]
    texts += [f"Visitor {n} signed the book at the entrance." for n in range(30)]
    relevant = most_relevant("What is the access code of project Swift?", entries_of(texts))
    assert [entry.source.text for entry in relevant] == [texts[6]]


def test_both_lines_of_a_contradiction_go_on():
    texts = ["The budget of project Wren is 310 euros.", "The budget of project Wren is 350 euros."]
    texts += [f"The budget of project P{n} is {n} euros." for n in range(12)]
    relevant = most_relevant("What is the budget of project Wren?", entries_of(texts))
    assert [entry.source.text for entry in relevant] == texts[:2]


def entries_of(texts: list[str]) -> list[Entry]:
    return [Entry(Source(Place("d", n, n), text)) for n, text in enumerate(texts)]
