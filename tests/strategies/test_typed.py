"""A typed task gets its output from any strategy."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from weaver import Answer, Run, Task, Weaver
from weaver.errors import OutputInvalid
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

    with pytest.raises(OutputInvalid, match="no JSON"):
        await Weaver(ScriptedModel("three"), strategy=method).run("1 + 2?", output=Sum)


async def test_a_partial_answer_is_left_as_it_is():
    async def method(run: Run, task: Task) -> Answer:
        return Answer("It is thr", complete=False)

    model = ScriptedModel()
    result = await Weaver(model, strategy=method).run("1 + 2?", output=Sum)
    assert (result.status, result.has_output, model.requests) == ("partial", False, [])
