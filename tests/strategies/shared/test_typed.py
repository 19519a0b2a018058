"""A typed task gets its output from any strategy."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, TypedDict

import pytest

from tests.strategies.sensible import FAST, HARD, OURS, sense
from weaver import Answer, Run, Task, Weaver
from weaver.errors import InvalidOutputError
from weaver.testing import Scripted, ScriptedModel, virtual_time

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


@dataclass
class Sum:
    total: int


async def test_an_answer_that_fits_is_parsed_without_a_call():
    async def method(run: Run, task: Task) -> Answer:
        return Answer('{"total": 3}')

    model = ScriptedModel()
    result = await Weaver(model, strategy=method).run("1 + 2?", output=Sum)
    assert result.output == Sum(3)
    assert model.requests == []


async def test_an_answer_in_prose_is_put_into_the_form_by_one_call():
    async def method(run: Run, task: Task) -> Answer:
        return Answer("It is three.")

    model = ScriptedModel([Scripted('{"total": 3}', when="It is three.")])
    result = await Weaver(model, strategy=method).run("1 + 2?", output=Sum)
    assert result.output == Sum(3)
    assert result.usage.calls == 1
    assert model.requests[0].request.output is not None


async def test_an_answer_that_cannot_be_put_into_the_form_is_an_error():
    async def method(run: Run, task: Task) -> Answer:
        return Answer("It is three.")

    with pytest.raises(InvalidOutputError, match="no JSON"):
        await Weaver(ScriptedModel("three"), strategy=method).run("1 + 2?", output=Sum)


async def test_a_partial_answer_is_left_as_it_is():
    async def method(run: Run, task: Task) -> Answer:
        return Answer("It is thr", complete=False)

    model = ScriptedModel()
    result = await Weaver(model, strategy=method).run("1 + 2?", output=Sum)
    assert (result.status, result.has_output, model.requests) == ("partial", False, [])


class Season(Enum):
    WET = "wet"
    DRY = "dry"


class Stay(TypedDict):
    nights: int


KINDS: dict[str, tuple[Any, Any]] = {
    "text": (str, None),
    "dataclass": (Sum, Sum(1)),
    "typed dict": (Stay, {"nights": 1}),
    "scalar": (int, 1),
    "literal": (Literal["wet", "dry"], "wet"),
    "enum": (Season, Season.WET),
    "optional": (Sum | None, Sum(1)),
    "list": (list[int], None),
    "schema": ({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"a": 1}),
}


def fitting(request: Any) -> str:
    """What `sense` says; of a union of `Sum` and nothing a `Sum`."""
    schema = str(request.output.schema) if request.output is not None else str(request.messages)
    return '{"value": {"total": 1}}' if "anyOf" in schema and "total" in schema else sense(request)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", OURS)
async def test_every_strategy_gives_every_kind_of_output(name: str, kind: str):
    type_, value = KINDS[kind]
    model = ScriptedModel([Scripted(fitting, logprobs=(-1.0,) * 20)])
    stream = Weaver(model, strategy=FAST.get(name, name), seed=1).stream(HARD, output=type_)
    seen = [one async for one in stream.objects()]
    result = stream.result
    assert result.status == "complete", result
    assert result.has_output
    if type_ is str:
        assert result.output == result.answer
    elif kind == "list":
        assert isinstance(result.output, list)
    else:
        assert result.output == value
    assert seen[-1] == result.output
