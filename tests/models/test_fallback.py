"""A chain of models: who answers, what is entered, what they can together."""

from __future__ import annotations

from typing import Any

import pytest

from weaver._data.messages import user
from weaver._models.compose import layered
from weaver._models.layers.call_log import CallLog, current_call
from weaver._models.layers.fallback import Fallbacks
from weaver._models.layers.limit import Gates
from weaver._models.protocol import Capabilities, Model, Prices, Request
from weaver.errors import (
    BadRequestError,
    ConfigurationError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
)
from weaver.testing import Scripted, ScriptedModel, virtual_time

from .conftest import Heard, hear

pytestmark = pytest.mark.anyio

HELLO = Request(messages=(user("Hello"),))


@pytest.fixture
def anyio_backend() -> Any:
    return virtual_time()


def down(name: str, **options: Any) -> ScriptedModel:
    return ScriptedModel(Scripted(error=ServerError(f"{name} is down")), name=name, **options)


async def test_the_first_that_answers() -> None:
    chain = Fallbacks([down("a"), down("b"), ScriptedModel("hi", name="c", prices=Prices(1, 2))])
    log = CallLog()
    current_call.set(log)
    assert isinstance(chain, Model)
    assert (await hear(chain, HELLO)).text == "hi"
    assert [(f.failed, f.error, f.instead) for f in log.fallbacks] == [
        ("a", "a is down", "b"),
        ("b", "b is down", "c"),
    ]
    assert log.answered_by == "c"
    assert log.prices == Prices(1, 2)
    assert chain.name == "a"


async def test_the_last_error_when_all_fail() -> None:
    with pytest.raises(ServerError, match="b is down"):
        await hear(Fallbacks([down("a"), down("b")]), HELLO)


async def test_no_other_model_is_asked_after_output() -> None:
    other = ScriptedModel("other")
    broken = ScriptedModel(Scripted("one two", error=StreamInterruptedError("cut"), error_after=1))
    heard = Heard()
    with pytest.raises(StreamInterruptedError):
        await hear(Fallbacks([broken, other]), HELLO, heard)
    assert heard.text == "one "
    assert other.requests == []


async def test_each_model_gets_its_retries_first() -> None:
    first = ScriptedModel(Scripted(error=RateLimitError("busy")), name="first", endpoint="scripted://first")
    second = ScriptedModel([Scripted(error=RateLimitError("b"), times=1), Scripted("hi")], name="second")
    model = layered(first, retries=2, fallbacks=[second], gates=Gates())
    log = CallLog()
    current_call.set(log)
    assert (await hear(model, HELLO)).text == "hi"
    assert (len(first.requests), len(second.requests)) == (3, 2)
    assert len(log.retries) == 3
    assert len(log.fallbacks) == 1


async def test_what_a_chain_can_is_what_all_can() -> None:
    full = Capabilities(True, True, True, True, True, True, slots=8, context=4096)
    less = Capabilities(json_object=True, tools=True, slots=4, small=True)
    chain = Fallbacks([ScriptedModel(can=full), ScriptedModel(can=less)])
    assert await chain.capabilities() == Capabilities(
        json_object=True, tools=True, slots=4, context=4096, small=True
    )


async def test_the_price_of_a_chain_is_its_highest() -> None:
    cheap = ScriptedModel(prices=Prices(1, 2, 0.5))
    dear = ScriptedModel(prices=Prices(3, 1))
    assert Fallbacks([cheap, dear]).prices == Prices(3, 2, 3)
    assert Fallbacks([cheap, ScriptedModel()]).prices is None
    log = CallLog()
    current_call.set(log)
    await hear(Fallbacks([cheap, dear]), HELLO)
    assert log.prices == Prices(1, 2, 0.5)
    assert log.fallbacks == []


async def test_a_rejected_request_may_suit_the_next_model() -> None:
    short = ScriptedModel(Scripted(error=BadRequestError("context is too short")))
    assert (await hear(Fallbacks([short, ScriptedModel("hi")]), HELLO)).text == "hi"


def test_an_empty_chain() -> None:
    with pytest.raises(ConfigurationError):
        Fallbacks([])
