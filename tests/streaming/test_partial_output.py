"""Objects while a model writes them: of every kind of type, cut at every character."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, Field, RootModel

from weaver import Answer, Run, Task, Weaver
from weaver._streaming.partial_output import PartialOutput
from weaver.errors import InvalidOutputError
from weaver.testing import Scripted, ScriptedModel, virtual_time


class Season(Enum):
    WET = "wet"
    DRY = "dry"


class Sight(BaseModel):
    name: str
    price: float = 0.0


class City(BaseModel):
    name: str
    season: Season
    people: Annotated[int, Field(ge=0)]
    sights: list[Sight] = []
    native: str = Field(default="", alias="nativeName")


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    tricks: list[str]


@dataclass
class Trip:
    city: str
    days: int
    stops: list[str] = field(default_factory=list)


class Stay(TypedDict):
    hotel: str
    nights: NotRequired[int]


class Names(RootModel[list[str]]):
    pass


CITY = {
    "name": "Oslo",
    "season": "dry",
    "people": 709037,
    "sights": [{"name": "Opera", "price": 0.0}, {"name": "Fram", "price": 14.5}],
    "nativeName": "Oslove",
}
WHOLE: list[tuple[Any, Any]] = [
    (City, CITY),
    (Trip, {"city": "Oslo", "days": 3, "stops": ["a", "bc"]}),
    (Stay, {"hotel": "Grand", "nights": 2}),
    (list[City], [CITY, CITY]),
    (dict[str, Sight], {"a": {"name": "Opera"}, "b": {"name": "Fram", "price": 3}}),
    (Cat | Dog, {"kind": "dog", "tricks": ["roll", "sit"]}),
    (City | None, CITY),
    (Names, ["Ada", "Grace"]),
    (list[int], [1, 22, 333]),
    (tuple[str, int], ["a", 7]),
    (set[str], ["a", "b"]),
    (Sequence[Stay], [{"hotel": "Grand"}, {"hotel": "Plaza"}]),
    (dict[str, Any], {"a": [1, {"b": "c"}], "d": None}),
    ({"type": "object", "properties": {"a": {"type": "string"}}}, {"a": "b", "c": [1]}),
]


def objects(type_: Any, text: str, step: int = 1) -> list[Any]:
    output = PartialOutput(type_)
    seen = []
    for at in range(0, len(text), step):
        output.feed(text[at : at + step])
        seen.extend(output.changed())
    return seen


@pytest.mark.parametrize("type_and_value", WHOLE, ids=lambda one: str(one[0]))
def test_objects_grow_into_the_whole(type_and_value: tuple[Any, Any]):
    from weaver._runtime.output.output_types import output_type

    type_, value = type_and_value
    seen = objects(type_, json.dumps(value))
    assert seen[-1] == output_type(type_).validated(value)
    kinds = {type(one) for one in seen}
    assert len(kinds) == 1
    assert len(seen) > 2 or type_ == tuple[str, int]
    for one in seen:
        repr(one)


def test_fields_come_one_by_one():
    seen = objects(City, json.dumps(CITY))
    first = {"name": "", "season": None, "people": None, "sights": [], "native": ""}
    assert seen[0].model_dump() == first
    names = [city.name for city in seen]
    assert list(dict.fromkeys(names)) == ["", "O", "Os", "Osl", "Oslo"]
    assert {city.season for city in seen} == {None, Season.DRY}
    assert {city.people for city in seen} == {None, 709037}  # never 7, 70, ...
    assert seen[-1].native == "Oslove"
    assert [s.name for s in seen[-1].sights] == ["Opera", "Fram"]
    assert all(isinstance(s, Sight) for city in seen for s in city.sights)


def test_a_text_that_must_be_one_of_a_few_is_not_shown_in_part():
    class Flag(BaseModel):
        colour: Literal["red", "redder"]
        checked: Annotated[str, AfterValidator(str.upper)] = ""

    seen = objects(Flag, '{"colour": "redder", "checked": "yes"}')
    assert {one.colour for one in seen} == {None, "redder"}
    assert seen[-1].checked == "YES"


def test_a_union_is_shown_when_one_member_is_left():
    seen = objects(Cat | Dog, '{"kind": "cat", "lives": 9}')
    assert {type(one) for one in seen} == {Cat}
    seen = objects(Sight | Trip, '{"days": 2, "city": "Oslo"}')
    assert {type(one) for one in seen} == {Trip}


def test_prose_drafts_and_wrapping_do_not_matter():
    said = 'Sure: <think>{"hotel": "x"}</think>```json\n{"hotel": "Grand"}\n```'
    assert objects(Stay, said)[-1] == {"hotel": "Grand"}
    assert objects(list[int], '{"value": [1, 2')[-1] == [1]
    assert objects(Annotated[str, Field(max_length=99)], '{"value": "Oslo is')[-1] == "Oslo is"
    assert objects(int, '{"value": 42}') == [42]


def test_what_does_not_fit_is_left_out():
    seen = objects(City, '{"name": [3], "people": "many", "unknown": [1], "sights": [{"name": "Opera"}, 5]}')
    assert (seen[-1].name, seen[-1].season, seen[-1].people) == (None, None, None)
    assert seen[-1].sights == [Sight(name="Opera")]


def test_a_long_output_takes_few_objects():
    text = json.dumps([{"name": f"sight {i}"} for i in range(2000)])
    seen = objects(list[Sight], text, step=4)
    assert len(seen) < 700
    assert len(seen[-1]) > 1950


@given(st.text(), st.integers(1, 5))
def test_no_text_breaks_it(text: str, step: int):
    objects(City, text, step)
    objects(Cat | Dog | list[str], f'{{"value": ["{text}', step)


@pytest.fixture
def anyio_backend():
    return virtual_time()


@pytest.mark.anyio
async def test_objects_of_a_run():
    model = ScriptedModel([Scripted('{"city": "Oslo by the sea", "days": 3}', each=1)])
    run = Weaver(model, strategy="sequential").stream("q", output=Trip)
    seen = [(trip.city, trip.days) async for trip in run.objects()]
    assert seen == [
        ("Oslo ", None),
        ("Oslo by ", None),
        ("Oslo by the ", None),
        ("Oslo by the sea", None),
        ("Oslo by the sea", 3),
    ]
    assert run.result.output == Trip("Oslo by the sea", 3)


@pytest.mark.anyio
async def test_objects_by_way_of_a_tool_call():
    class Tools(ScriptedModel):
        async def capabilities(self):
            from dataclasses import replace

            return replace(await super().capabilities(), json_schema=False, tools=True)

    model = Tools([Scripted("", tool_calls=(("Trip", '{"city": "Oslo", "days": 3}'),))])
    run = Weaver(model, strategy="sequential").stream("q", output=Trip)
    assert [trip async for trip in run.objects()][-1] == Trip("Oslo", 3)
    assert model.requests[0].request.tools


@pytest.mark.anyio
async def test_a_repaired_output_begins_anew():
    model = ScriptedModel([Scripted('{"city": "Bergen"}', times=1), Scripted('{"city": "Oslo", "days": 3}')])
    run = Weaver(model, strategy="sequential").stream("q", output=Trip)
    seen = [trip async for trip in run.objects()]
    assert seen[0].city == "Bergen"
    assert seen[-1] == Trip("Oslo", 3)
    assert not any(trip.city == "Bergen" and trip.days for trip in seen)


@pytest.mark.anyio
async def test_an_output_that_no_model_streamed_comes_whole():
    async def method(run: Run, task: Task) -> Answer:
        return Answer("three days", output=Trip("Oslo", 3))

    run = Weaver(ScriptedModel(), strategy=method).stream("q", output=Trip)
    assert [trip async for trip in run.objects()] == [Trip("Oslo", 3)]


@pytest.mark.anyio
async def test_without_a_type_objects_are_texts():
    run = Weaver(ScriptedModel([Scripted("It is 42.")]), strategy="sequential").stream("q")
    assert [text async for text in run.objects()] == ["It ", "It is ", "It is 42."]


@pytest.mark.anyio
async def test_objects_of_a_failed_run_raise():
    run = Weaver(ScriptedModel([Scripted("no")]), strategy="sequential").stream("q", output=Trip)
    with pytest.raises(InvalidOutputError):
        _ = [trip async for trip in run.objects()]
