"""Tests of a program that uses Weaver: no model, no network, no waiting. Run with `pytest`.

The program under test is `chosen`: it asks for a city under a deadline.
"""

from __future__ import annotations

import pytest

from weaver import Weaver
from weaver.errors import DeadlineExceededError
from weaver.models import Model
from weaver.testing import Scripted, ScriptedModel, virtual_time


async def chosen(model: Model) -> str:
    """The city that three samples agree on."""
    weaver = Weaver(model, strategy="self_consistency:samples=3", deadline=30, trace=False)
    return (await weaver.run("Kyoto or Oslo? One word.")).answer


@pytest.fixture
def anyio_backend() -> object:
    return virtual_time()  # timeouts of minutes take milliseconds


@pytest.mark.anyio
async def test_the_majority_wins() -> None:
    model = ScriptedModel([Scripted("Oslo", times=1), Scripted("Kyoto")])
    assert await chosen(model) == "Kyoto"
    assert len(model.requests) == 3


@pytest.mark.anyio
async def test_a_hanging_model_ends_at_the_deadline() -> None:
    model = ScriptedModel(Scripted("Kyoto", first=3600))
    with pytest.raises(DeadlineExceededError):
        await chosen(model)
    assert model.in_flight == 0  # nothing goes on in the background
