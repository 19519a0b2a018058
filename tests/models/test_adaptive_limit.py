"""The limit that is learned: it opens, shrinks and goes back by what an endpoint does."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.models.endpoints import call, limited
from weaver._models.layers.capacity import Adaptive, Opening
from weaver._models.protocol import Capabilities
from weaver.errors import BadRequestError, ModelError, ModelTimeoutError, RateLimitError
from weaver.testing import Scripted, ScriptedModel, virtual_time

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> Any:
    return virtual_time()


async def test_a_learned_limit_starts_at_the_announced_slots_and_never_exceeds_them() -> None:
    inside = ScriptedModel(Scripted("ok", first=1.0), can=Capabilities(slots=3))
    model = limited(inside)
    async with anyio.create_task_group() as tasks:
        for _ in range(30):
            tasks.start_soon(call, model)
    assert inside.max_in_flight == 3
    assert anyio.current_time() == 10.0


async def test_a_learned_limit_opens_while_nothing_is_refused() -> None:
    inside = ScriptedModel(Scripted("ok", first=1.0))
    model = limited(inside)
    async with anyio.create_task_group() as tasks:
        for _ in range(1000):
            tasks.start_soon(call, model)
        await anyio.sleep(0.001)
        assert inside.in_flight == 32
        await anyio.sleep(0.3)
        assert inside.in_flight == 1000
    assert anyio.current_time() < 1.3


async def test_a_learned_limit_stays_below_its_ceiling() -> None:
    inside = ScriptedModel(Scripted("ok", first=1.0))
    model = limited(inside, max_concurrency=50)
    async with anyio.create_task_group() as tasks:
        for _ in range(200):
            tasks.start_soon(call, model)
    assert inside.max_in_flight == 50


@pytest.mark.parametrize(
    ("error", "left"), [(RateLimitError("busy"), 1.0), (ModelTimeoutError("silent"), 22.4)]
)
async def test_refusals_shrink_a_learned_limit_once_a_round(error: ModelError, left: float) -> None:
    model = limited(ScriptedModel(Scripted(error=error, first=1.0)))
    gate = await model.gate()

    async def one() -> None:
        with pytest.raises(ModelError):
            await call(model)

    async with anyio.create_task_group() as tasks:
        for _ in range(32):
            tasks.start_soon(one)
    assert gate.concurrency.limit == pytest.approx(left)
    assert gate.in_flight == 0


async def test_errors_of_a_request_leave_a_learned_limit_alone() -> None:
    model = limited(ScriptedModel(Scripted(error=BadRequestError("wrong"))))
    gate = await model.gate()
    with pytest.raises(BadRequestError):
        await call(model)
    assert gate.concurrency.limit == 32


def test_a_learned_limit_never_falls_below_one() -> None:
    limit = Adaptive(Opening(64, 0.01))
    for _ in range(50):
        limit.refused(limit.round, int(limit.limit), int(limit.limit))
    assert limit.limit == 1.0


def test_a_learned_limit_goes_back_to_the_calls_that_were_not_refused() -> None:
    limit = Adaptive(Opening(64, 0.01))
    began_in = limit.round
    for number in range(41, 65):
        limit.refused(began_in, number, 64 - (number - 41))
    assert limit.limit == limit.level == 40


def test_a_learned_limit_returns_to_the_level_before_when_every_call_was_refused() -> None:
    limit = Adaptive(level=40, refused=True)
    for _ in range(20):
        limit.refused(limit.round, int(limit.limit), int(limit.limit))
    assert limit.limit == 1.0
    assert limit.hold(0.0) == float("inf")
    for _ in range(60):
        limit.succeeded(limit.round, 1, 1)
    assert limit.limit == pytest.approx(limit.level, abs=1)
    assert limit.level == pytest.approx(39, abs=1)


def test_a_learned_limit_does_not_grow_unused() -> None:
    limit = Adaptive(level=64, refused=True)
    for _ in range(1000):
        limit.succeeded(limit.round, 5, 5)
    assert limit.limit == 64
    limit.succeeded(limit.round, 60, 60)
    assert limit.limit == 65


def test_a_timer_that_is_late_shows_that_calls_are_still_being_sent() -> None:
    limit = Adaptive(Opening(10, 0.01))
    assert limit.hold(0.0) == pytest.approx(0.01)
    assert limit.hold(0.05) > 0.0
    assert limit.limit == 10
    assert limit.hold(0.0601) == 0.0
    assert limit.limit == 12


def slow_down(limit: Adaptive, few: int, many: int) -> None:
    """Twice the streams, half the rate each."""
    for _ in range(5):
        limit.streamed(limit.round, few, 100.0)
    for _ in range(5):
        limit.streamed(limit.round, many, 50.0)


def test_streams_that_gain_nothing_shrink_a_learned_limit() -> None:
    limit = Adaptive(Opening(16, 1.0))
    slow_down(limit, 8, 15)
    assert limit.limit == 16  # 8 and 15 are of one size
    slow_down(limit, 8, 16)
    assert limit.limit == pytest.approx(16 * 0.9)
    gaining = Adaptive(Opening(16, 1.0))
    for _ in range(20):
        gaining.streamed(gaining.round, 8, 100.0)
        gaining.streamed(gaining.round, 16, 70.0)
    assert gaining.limit == 16


def test_slow_streams_do_not_shrink_an_unused_limit() -> None:
    limit = Adaptive(Opening(64, 1.0))
    slow_down(limit, 2, 4)
    assert limit.limit == 64


def test_slow_streams_do_not_take_away_announced_slots() -> None:
    """Four streams on two cores are slow, and still faster than one after another."""
    limit = Adaptive(slots=4)
    for _ in range(20):
        slow_down(limit, 2, 4)
    assert limit.limit == 4
    limit.refused(limit.round, 4, 4)
    assert limit.limit == 3
