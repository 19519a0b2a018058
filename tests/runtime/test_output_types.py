"""Outputs of every kind of type, in every form that models write them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import date
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import pytest
import typing_extensions
from pydantic import BaseModel, ConfigDict, Field

from weaver import Agent, Answer, Run, Task, Weaver
from weaver._models.protocol import Request
from weaver._runtime.output.output_types import output_type
from weaver._runtime.output.structured_output import Shape
from weaver.errors import (
    BadRequestError,
    ConfigurationError,
    InvalidOutputError,
    MissingOutputError,
    NoAnswerError,
)
from weaver.testing import Scripted, ScriptedModel, virtual_time

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


class City(BaseModel):
    name: str
    people: int = 0


class Person(BaseModel):
    name: str
    born: date


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    day: date
    pair: tuple[int, int]


@dataclass
class Trip:
    days: int
    stops: list[str] = field(default_factory=list)


class Stay(TypedDict):
    nights: int
    breakfast: NotRequired[bool]


class Booking(TypedDict, total=False):
    stay: Stay
    guests: list[Stay]


class Season(Enum):
    WET = "w"
    DRY = "d"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


PLACE = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "people": {"type": "integer", "minimum": 0}},
    "required": ["name"],
}
SAID: list[tuple[Any, str, Any]] = [
    (City, '{"name": "Oslo", "people": 7}', City(name="Oslo", people=7)),
    (Trip, 'Sure!\n```json\n{"days": 4}\n```', Trip(4)),
    (Stay, '{"nights": 2}', {"nights": 2}),
    (Booking, '{"stay": {"nights": 2, "breakfast": true}}', {"stay": {"nights": 2, "breakfast": True}}),
    (list[Stay], '[{"nights": 1}]', [{"nights": 1}]),
    (Stay | None, "null", None),
    (Strict, '{"day": "2026-05-01", "pair": [1, 2]}', Strict(day=date(2026, 5, 1), pair=(1, 2))),
    (int, "42", 42),
    (int, '{"value": 42}', 42),
    (int, '{"answer": 42}', 42),
    (int, "**14,000,000**.", 14_000_000),
    (int, "<think>6 times 7, so [42]?</think>\n42", 42),
    (float, "-1.5", -1.5),
    (bool, "Yes.", True),
    (bool, "false", False),
    (Literal["wet", "dry"], "Dry.", "dry"),
    (Literal["wet", "dry"], '"wet"', "wet"),
    (Literal[1, 2], "2", 2),
    (Literal["a", "b"] | None, "`b`", "b"),
    (Season, "wet", Season.WET),
    (Season, "d", Season.DRY),
    (Level, "HIGH", Level.HIGH),
    (Level, "1", Level.LOW),
    (date, "2026-05-01", date(2026, 5, 1)),
    (Annotated[str, Field(max_length=5)], "Oslo", "Oslo"),
    (list[int], "Here: [1, 2]", [1, 2]),
    (list[City], '{"cities": [{"name": "Oslo"}]}', [City(name="Oslo")]),
    (set[str], '["a", "a"]', {"a"}),
    (tuple[int, str], '[1, "a"]', (1, "a")),
    (dict[str, City], '{"no": {"name": "Oslo"}}', {"no": City(name="Oslo")}),
    (City | Person, '{"name": "Ada", "born": "1815-12-10"}', Person(name="Ada", born=date(1815, 12, 10))),
    (City | Person, '{"value": {"name": "Oslo", "people": 3}}', City(name="Oslo", people=3)),
    (int | str, "42", 42),
    (City | None, '{"value": null}', None),
    (PLACE, '{"name": "Oslo", "people": 7}', {"name": "Oslo", "people": 7}),
    ({"type": "integer"}, "7", 7),
    ({"type": "array", "items": {"enum": ["a", "b"]}}, '["a"]', ["a"]),
    ({"properties": {"x": {"type": "number"}}, "required": ["x"]}, 'It is {"x": 1.5}', {"x": 1.5}),
    ({"$ref": "#/$defs/P", "$defs": {"P": PLACE}}, '{"name": "Oslo"}', {"name": "Oslo"}),
    (str, "Oslo, {of course}.", "Oslo, {of course}."),
]


@pytest.mark.parametrize(("type_", "said", "meant"), SAID, ids=str)
async def test_a_run_gives_the_type_that_is_asked_for(type_: Any, said: str, meant: Any):
    model = ScriptedModel([Scripted(said)])
    result = await Weaver(model, strategy="sequential").run("q", output=type_)
    assert result.has_output
    assert result.output == meant
    assert type(result.output) is type(meant)
    assert (result.status, len(model.requests)) == ("complete", 1)
    asked = model.requests[0].request.output
    assert (asked is None) == (type_ is str)
    assert asked is None or asked.schema.get("type") == "object" or "$ref" in asked.schema
    json.dumps(result.as_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("type_", "said"),
    [
        (int, "I believe it is forty-two."),
        (bool, "Perhaps."),
        (Literal["wet", "dry"], "wet or dry"),
        (Season, "autumn"),
        (Annotated[str, Field(max_length=5)], "Copenhagen"),
        (PLACE, '{"name": "Oslo", "people": -1}'),
        (PLACE, '{"people": 1}'),
        ({"type": "integer"}, "7.5"),
        (list[int], "1, 2"),
        (Stay, '{"breakfast": true}'),
    ],
    ids=str,
)
async def test_what_does_not_fit_is_asked_for_again(type_: Any, said: str):
    model = ScriptedModel([Scripted(said)])
    with pytest.raises(InvalidOutputError):
        await Weaver(model, strategy="sequential").run("q", output=type_)
    assert len(model.requests) > 2


async def test_a_number_that_was_cut_off_is_not_taken():
    with pytest.raises(InvalidOutputError):
        Shape[int](int).parse("14", cut=True)
    assert Shape[int](int).parse("14", cut=False) == 14


async def test_a_text_of_a_strategy_is_read_without_another_call():
    async def method(run: Run, task: Task) -> Answer:
        return Answer("Dry.")

    result = await Weaver(ScriptedModel(), strategy=method).run("q", output=Literal["wet", "dry"])
    assert result.output == "dry"


@pytest.mark.parametrize(
    ("type_", "why"),
    [
        ({"properties": 3}, "JSON Schema is wrong"),
        ({"$ref": "#/$defs/Q"}, "Unresolvable ref"),
        ({"type": "object", "properties": {"a": {"pattern": "("}}}, "unterminated"),
        ({"type": "city"}, "JSON Schema is wrong: Unknown type"),
        (type("Opaque", (), {}), "cannot be an output type"),
        (42, "cannot be an output type"),
    ],
    ids=str,
)
async def test_a_wrong_type_is_told_before_anything_is_spent(type_: Any, why: str):
    model = ScriptedModel()
    with pytest.raises(ConfigurationError, match=why):
        await Weaver(model).run("q", output=type_)
    assert model.requests == []


async def test_a_schema_fetches_nothing():
    schema = {"type": "object", "properties": {"a": {"$ref": "https://example.com/a.json"}}}
    with pytest.raises(ConfigurationError, match=r"refers to .*example\.com"):
        output_type(schema)
    with pytest.raises(ConfigurationError, match="file:///etc/passwd"):
        output_type({"anyOf": [{"$ref": "file:///etc/passwd"}]})


async def test_the_output_of_a_plain_run_is_its_text():
    result = await Weaver(ScriptedModel([Scripted("Oslo.")]), strategy="sequential").run("q")
    assert result.output == result.answer == "Oslo."
    assert result.has_output
    assert result.typed_output is None
    assert result.as_dict()["output"] is None


async def test_a_missing_output_raises():
    async def method(run: Run, task: Task) -> Answer:
        return Answer("half a city", complete=False)

    result = await Weaver(ScriptedModel(), strategy=method).run("q", output=City)
    assert (result.status, result.has_output, result.typed_output) == ("partial", False, None)
    with pytest.raises(MissingOutputError, match="partial and has no output"):
        _ = result.output
    assert not hasattr(result, "output")

    async def failing(run: Run, task: Task) -> Answer:
        raise InvalidOutputError("no city")

    with pytest.raises(InvalidOutputError) as caught:
        await Weaver(ScriptedModel(), strategy=failing).run("q", output=City | None)
    assert not caught.value.result.has_output
    async with Weaver(ScriptedModel(), strategy=failing).stream("q") as run:
        failed = await run.wait()
    with pytest.raises(MissingOutputError, match="has no answer"):
        _ = failed.output


async def test_typed_dictionaries_of_both_modules_have_the_same_schema():
    class Same(typing_extensions.TypedDict):
        nights: int
        breakfast: NotRequired[bool]

    mine, theirs = output_type(Stay).json_schema, output_type(Same).json_schema
    assert mine["properties"] == theirs["properties"]
    assert mine["required"] == theirs["required"] == ["nights"]


async def test_plain_text_is_not_asked_for_as_json():
    def no_schema(request: Request) -> bool:
        return request.output is None and not request.json_object and "JSON" not in str(request.messages)

    model = ScriptedModel([Scripted("Oslo", when=no_schema)])
    assert (await Weaver(model, strategy="sequential").run(Task("q", output=str))).output == "Oslo"


async def test_an_agent_answers_in_its_type():
    counter = Agent("counter", "counts", output=int)
    result = await Weaver(ScriptedModel([Scripted("42")]), strategy="sequential").run(
        Task("q", agent=counter)
    )
    assert result.output == 42

    async def method(run: Run, task: Task) -> Answer:
        async with run.fork([Task("how many?", agent=counter), Task("why?")]) as threads:
            first, second = await threads.join()
        assert first.result.output == 42
        assert second.result.output is None
        return Answer(f"{first.result.text}: {second.result.text}")

    model = ScriptedModel([Scripted('{"value": 42}', when="how many"), Scripted("so")])
    plain = await Weaver(model, strategy=method).run("q")
    assert plain.output == '{"value": 42}: so'


async def test_a_thread_without_an_answer_raises_for_its_result():
    async def method(run: Run, task: Task) -> Answer:
        async with run.fork([Task("how many?")]) as threads:
            async for thread in threads.as_finished():
                return thread.result
        raise AssertionError

    model = ScriptedModel([Scripted(error=BadRequestError("No.", model="m"))])
    with pytest.raises(NoAnswerError, match="Thread t1 is failed and has no answer") as caught:
        await Weaver(model, strategy=method).run("q")
    assert isinstance(caught.value.__cause__, BadRequestError)
