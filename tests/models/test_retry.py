"""Retries: only what may pass, only before output, never past the deadline."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import anyio
import pytest

from weaver._data.messages import user
from weaver._models.layers.call_log import CallLog, current_call
from weaver._models.layers.retry import Retrying
from weaver._models.protocol import Model, Request
from weaver.errors import (
    BadRequestError,
    ModelConnectionError,
    ModelError,
    ModelProtocolError,
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


@pytest.fixture
def log() -> Any:
    log = CallLog()
    token = current_call.set(log)
    yield log
    current_call.reset(token)


def failing(error: ModelError, times: int | None, **options: Any) -> ScriptedModel:
    return ScriptedModel([Scripted(error=error, times=times, **options), Scripted("at last")])


async def test_a_passing_failure_is_tried_again_and_entered() -> None:
    inside = failing(RateLimitError("busy"), times=3)
    model = Retrying(inside, chance=random.Random(1))
    log = CallLog()
    seen: list[Any] = []
    log.on_change = seen.append
    current_call.set(log)
    assert isinstance(model, Model)
    assert (await hear(model, HELLO)).text == "at last"
    assert len(inside.requests) == 4
    assert [(r.attempt, r.error) for r in log.retries] == [(1, "busy"), (2, "busy"), (3, "busy")]
    assert seen == log.retries
    for retry, (one, next_) in zip(log.retries, pairwise(inside.requests), strict=True):
        assert next_.at - one.at == pytest.approx(retry.delay)


async def test_waits_grow_with_full_jitter_and_stay_below_the_longest() -> None:
    inside = failing(ServerError("down"), times=None)
    model = Retrying(inside, retries=200, base=0.5, longest=8.0, chance=random.Random(2))
    log = CallLog()
    current_call.set(log)
    with pytest.raises(ServerError):
        await hear(model, HELLO)
    delays = [r.delay for r in log.retries]
    assert len(delays) == 200
    assert delays[0] <= 0.5
    assert delays[1] <= 1.0
    assert max(delays) <= 8.0
    assert min(delays[10:]) < 1.0 < 7.0 < max(delays[10:])
    assert 3.5 < sum(delays[10:]) / 190 < 4.5


@pytest.mark.parametrize("error", [BadRequestError("wrong"), ModelProtocolError("html")])
async def test_what_will_not_pass_is_not_repeated(error: ModelError) -> None:
    inside = failing(error, times=1)
    with pytest.raises(type(error)):
        await hear(Retrying(inside), HELLO)
    assert len(inside.requests) == 1


async def test_an_error_may_say_for_itself_that_it_is_final() -> None:
    error = ModelConnectionError("certificate")
    error.retriable = False
    inside = failing(error, times=1)
    with pytest.raises(ModelConnectionError):
        await hear(Retrying(inside), HELLO)
    assert len(inside.requests) == 1


async def test_a_later_final_error_ends_it() -> None:
    inside = ScriptedModel(
        [
            Scripted(error=ServerError("a"), times=2),
            Scripted(error=BadRequestError("b"), times=1),
            Scripted("no"),
        ]
    )
    with pytest.raises(BadRequestError, match="b"):
        await hear(Retrying(inside), HELLO)
    assert len(inside.requests) == 3


async def test_nothing_is_repeated_after_output() -> None:
    inside = ScriptedModel(
        [Scripted("one two", error=StreamInterruptedError("cut"), error_after=1), Scripted("again")]
    )
    heard = Heard()
    with pytest.raises(StreamInterruptedError):
        await hear(Retrying(inside), HELLO, heard)
    assert heard.text == "one "
    assert len(inside.requests) == 1


@pytest.mark.parametrize("error", [RateLimitError("busy"), StreamInterruptedError("cut")])
async def test_the_last_error_is_raised_as_it_is(error: ModelError) -> None:
    inside = failing(error, times=None)
    with pytest.raises(type(error)) as raised:
        await hear(Retrying(inside, retries=2, patience=0), HELLO)
    assert raised.value is error
    assert len(inside.requests) == (3 if error.retriable else 1)


async def test_the_server_is_given_the_time_it_asks_for() -> None:
    inside = failing(RateLimitError("busy", retry_after=20.0), times=1)
    await hear(Retrying(inside, chance=random.Random(3)), HELLO)
    waited = inside.requests[1].at - inside.requests[0].at
    assert 20.0 <= waited <= 21.0


async def test_a_server_that_asks_for_too_long_is_not_asked_again() -> None:
    inside = failing(RateLimitError("busy", retry_after=3600.0), times=1)
    with pytest.raises(RateLimitError):
        await hear(Retrying(inside), HELLO)
    assert anyio.current_time() == 0.0


async def test_an_overloaded_server_is_asked_for_a_minute_at_least() -> None:
    inside = failing(RateLimitError("busy"), times=None)
    model = Retrying(inside, chance=random.Random(4))
    with pytest.raises(RateLimitError):
        await hear(model, HELLO)
    assert 60 <= anyio.current_time() < 130
    tries = len(inside.requests)
    assert 7 <= tries <= 10
    with pytest.raises(RateLimitError):
        await hear(model, HELLO)  # the endpoint has refused for a minute already
    assert len(inside.requests) == tries + 5


async def test_a_window_of_half_a_minute_is_outlasted() -> None:
    class Window(ScriptedModel):
        def stream(self, request: Request) -> Any:
            self.replies[0].times = None if anyio.current_time() < 27 else 0
            return super().stream(request)

    inside = Window([Scripted(error=RateLimitError("busy")), Scripted("at last")])
    assert (await hear(Retrying(inside), HELLO)).text == "at last"


async def test_with_a_deadline_a_server_may_ask_for_long_waits() -> None:
    inside = failing(RateLimitError("busy", retry_after=400.0), times=1)
    current_call.set(CallLog(deadline_at=500.0))
    assert (await hear(Retrying(inside), HELLO)).text == "at last"


async def test_no_wait_lasts_beyond_the_deadline() -> None:
    inside = failing(RateLimitError("busy", retry_after=4.0), times=None)
    current_call.set(CallLog(deadline_at=10.0))
    with pytest.raises(RateLimitError):
        await hear(Retrying(inside), HELLO)
    assert len(inside.requests) == 3
    assert anyio.current_time() < 10.0


async def test_no_retries() -> None:
    inside = failing(RateLimitError("busy"), times=1)
    with pytest.raises(RateLimitError):
        await hear(Retrying(inside, retries=0), HELLO)
    assert len(inside.requests) == 1


async def test_cancelling_a_wait() -> None:
    inside = failing(RateLimitError("busy", retry_after=30.0), times=None)
    with anyio.move_on_after(5) as scope:
        await hear(Retrying(inside), HELLO)
    assert scope.cancelled_caught
    assert len(inside.requests) == 1
    assert anyio.current_time() == 5.0


async def test_leaving_early_leaves_the_model_inside() -> None:
    inside = failing(ServerError("down"), times=1)
    async with Retrying(inside).stream(HELLO) as deltas:
        await anext(deltas)
    assert [r.closed for r in inside.requests] == ["failed", "cancelled"]
    assert inside.in_flight == 0
