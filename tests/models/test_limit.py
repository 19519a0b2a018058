"""Limits of an endpoint: adaptive, shared, fair, cancellable, and counted as queue time."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.models.endpoints import call, limited
from weaver._data.messages import user
from weaver._models.layers.call_log import CallLog
from weaver._models.layers.capacity import Adaptive, Fixed, Opening
from weaver._models.layers.limit import EndpointLimits, Gates, Limited
from weaver._models.layers.limiter import Gate, Share
from weaver._models.layers.rates import Window
from weaver._models.openai.model import OpenAIModel
from weaver._models.protocol import Model, Request
from weaver.errors import ConfigurationError
from weaver.testing import Scripted, ScriptedModel, Server, virtual_time

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> Any:
    return virtual_time()


async def test_a_fixed_limit_holds_and_the_wait_is_counted() -> None:
    inside = ScriptedModel(Scripted("ok", first=1.0))
    model = limited(inside, concurrency=2)
    assert isinstance(model, Model)
    logs: list[CallLog] = []

    async def one() -> None:
        logs.append(await call(model))

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(one)
    assert inside.max_in_flight == 2
    assert sorted(log.queue_seconds for log in logs) == pytest.approx([0, 0, 1, 1, 2])


async def test_models_at_one_endpoint_share_and_others_do_not() -> None:
    gates = Gates()
    a = ScriptedModel(Scripted("ok", first=1.0), name="a", endpoint="http://x/v1")
    b = ScriptedModel(Scripted("ok", first=1.0), name="b", endpoint="http://x/v1")
    c = ScriptedModel(Scripted("ok", first=1.0), name="c", endpoint="")
    d = ScriptedModel(Scripted("ok", first=1.0), name="d", endpoint="")
    async with anyio.create_task_group() as tasks:
        for inside in (a, b, c, d):
            tasks.start_soon(call, limited(inside, gates, concurrency=1))
    starts = [m.requests[0].at for m in (a, b, c, d)]
    assert sorted(starts[:2]) == [0.0, 1.0]
    assert starts[2:] == [0.0, 0.0]
    assert [m.max_in_flight for m in (a, b, c, d)] == [1, 1, 1, 1]


async def test_runs_take_turns() -> None:
    inside = ScriptedModel(Scripted("ok", first=1.0))
    model = limited(inside, concurrency=1)
    order: list[str] = []

    async def one(run: str) -> None:
        await call(model, run)
        order.append(run)

    async with anyio.create_task_group() as tasks:
        for _ in range(6):
            tasks.start_soon(one, "many")
        await anyio.sleep(0.1)
        tasks.start_soon(one, "few")
        tasks.start_soon(one, "few")
        tasks.start_soon(one, "one")
    assert order[:6] == ["many", "many", "few", "one", "many", "few"]
    assert order[6:] == ["many", "many", "many"]


async def test_a_cancelled_wait_gives_its_place_up() -> None:
    inside = ScriptedModel(Scripted("ok", first=1.0))
    model = limited(inside, concurrency=1)
    gate = await model.gate()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call, model)
        await anyio.sleep(0.1)
        with anyio.move_on_after(0.5) as scope:
            await call(model)
        assert scope.cancelled_caught
        assert gate.waiting == 0
        await call(model)
    assert anyio.current_time() == pytest.approx(2.0)
    assert gate.in_flight == 0


async def test_a_wait_cancelled_in_the_tick_in_which_it_is_let_in_loses_no_place() -> None:
    gate = Gate(Fixed(1))
    first = await gate.enter("", 0)
    waiting = asyncio.ensure_future(gate.enter("", 0))
    await asyncio.sleep(0)
    gate.leave(first)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert gate.in_flight == 0
    gate.leave(await gate.enter("", 0))


@given(
    steps=st.lists(
        st.tuples(st.sampled_from("abc"), st.floats(0.1, 3), st.one_of(st.none(), st.floats(0, 4))),
        min_size=1,
        max_size=25,
    ),
    most=st.integers(1, 4),
)
def test_places_are_never_lost_nor_given_twice(
    steps: list[tuple[str, float, float | None]], most: int
) -> None:
    async def main() -> None:
        gate = Gate(Fixed(most))
        inside = 0

        async def one(run: str, works: float, patience: float | None) -> None:
            nonlocal inside
            with anyio.move_on_after(patience):
                passed = await gate.enter(run, 0)
                inside += 1
                try:
                    assert inside <= most
                    await anyio.sleep(works)
                finally:
                    inside -= 1
                    gate.leave(passed)

        async with anyio.create_task_group() as tasks:
            for run, works, patience in steps:
                tasks.start_soon(one, run, works, patience)
                await anyio.sleep(works / 3)
        assert gate.in_flight == gate.waiting == 0

    anyio.run(main, backend="asyncio", backend_options=virtual_time()[1])


async def test_requests_per_minute() -> None:
    inside = ScriptedModel("ok")
    model = limited(inside, requests_per_minute=3)
    async with anyio.create_task_group() as tasks:
        for _ in range(7):
            tasks.start_soon(call, model)
    assert [r.at for r in inside.requests] == pytest.approx([0, 0, 0, 60, 60, 60, 120])


async def test_tokens_per_minute_count_what_a_call_may_cost_and_then_what_it_did_cost() -> None:
    inside = ScriptedModel("ok")
    model = limited(inside, tokens_per_minute=1000)
    request = Request(messages=(user("x" * 400),), max_tokens=396)  # 500 with the message's own four
    for _ in range(3):
        await call(model, request=request)
    assert [r.at for r in inside.requests] == pytest.approx([0, 0, 60])
    gate = Gate(Fixed(9), tokens_per_minute=1000)
    for _ in range(10):
        gate.leave(await gate.enter("", 500), tokens=50)
    assert anyio.current_time() == 60.0
    await gate.enter("", 501)
    assert anyio.current_time() == pytest.approx(120.0)


async def test_a_call_larger_than_the_limit_is_let_in_alone() -> None:
    gate = Gate(Fixed(9), tokens_per_minute=100)
    await gate.enter("", 30)
    await gate.enter("", 500)
    assert anyio.current_time() == 60.0


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(1, 50)), max_size=40))
def test_no_window_of_a_minute_holds_more_than_allowed(asks: list[tuple[float, int]]) -> None:
    window, now, spent = Window(100), 0.0, []
    for pause, units in asks:
        now += pause
        while wait := window.wait(now, units):
            now += wait
        window.spend(now, units)
        spent.append((now, units))
        assert sum(u for at, u in spent if at > now - 60 + 1e-6) <= 100


@pytest.mark.parametrize(
    "limits", [{"concurrency": 0}, {"requests_per_minute": -1}, {"tokens_per_minute": 0.0}]
)
def test_limits_of_zero_and_less_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(limits))):
        EndpointLimits(**limits)


def test_a_gate_is_shared_by_event_loops_in_several_threads() -> None:
    gates = Gates()
    with Server(Scripted("ok", first=0.02)).in_thread() as server:
        gate = gates.open(server.url, EndpointLimits(concurrency=3), None)

        async def many(run: str) -> None:
            model = Limited(
                OpenAIModel("openai/x", base_url=server.url), EndpointLimits(concurrency=3), gates=gates
            )
            async with anyio.create_task_group() as tasks:
                for _ in range(12):
                    tasks.start_soon(call, model, run)
            await model.aclose()

        async def main() -> None:
            async with anyio.create_task_group() as tasks:
                for i in range(3):
                    tasks.start_soon(anyio.to_thread.run_sync, asyncio.run, many(f"run {i}"))

        asyncio.run(main())
        assert server.stats()["requests"] == 36
        assert 2 <= server.max_in_flight <= 3
    assert gate.in_flight == gate.waiting == 0
    del gate
    gc.collect()
    assert gates.known(server.url) is None


def test_a_timer_of_one_thread_serves_the_calls_of_another() -> None:
    gate = Gate(Fixed(9), requests_per_minute=600)
    window = gate._requests
    assert window is not None
    done: list[str] = []

    async def one(run: str) -> None:
        gate.leave(await gate.enter(run, 0))
        done.append(run)

    async def main() -> None:
        now = asyncio.get_running_loop().time()
        window.spend(now - 59.9, 600)  # room again in 0.1 s
        async with asyncio.timeout(5), anyio.create_task_group() as tasks:
            for i in range(3):
                tasks.start_soon(anyio.to_thread.run_sync, asyncio.run, one(f"run {i}"))

    asyncio.run(main())
    assert sorted(done) == ["run 0", "run 1", "run 2"]


async def test_the_rate_of_streams_reaches_the_limit() -> None:
    rates: list[float] = []

    class Watching(Adaptive):
        def streamed(self, began_in: int, in_flight: int, rate: float) -> None:
            rates.append(rate)

    async with Server(Scripted("one two three four five", each=0.03)) as server:
        inside = OpenAIModel("openai/x", base_url=server.url)
        model = limited(inside)
        (await model.gate()).concurrency = Watching(Opening(4, 1.0))
        log = await call(model)
        assert log.tokens == 7
        assert log.received > 500
        await model.aclose()
    assert len(rates) == 1


async def test_a_share_holds_beside_the_own_limit_and_may_change() -> None:
    gates = Gates()
    gates.limit_to({"e": Share(2)})
    gate = gates.open("e", EndpointLimits(concurrency=10), None)
    passes = [await gate.enter("", 0.0), await gate.enter("", 0.0)]
    third = asyncio.ensure_future(gate.enter("", 0.0))
    fourth = asyncio.ensure_future(gate.enter("", 0.0))
    await anyio.sleep(1)
    assert not third.done()
    gates.limit_to({"e": Share(3)})
    await anyio.sleep(0.1)
    assert (third.done(), fourth.done()) == (True, False)
    gates.limit_to({})
    passes += [await third, await fourth]
    gates.limit_to({"e": Share(0)})  # one call is always allowed: no run waits for ever
    for passed in passes:
        gate.leave(passed)
    gate.leave(await gate.enter("", 0.0))


async def test_a_share_of_requests_a_minute() -> None:
    gates = Gates()
    gate = gates.open("e", EndpointLimits(concurrency=10), None)
    gate.leave(await gate.enter("", 0.0))
    gates.limit_to({"e": Share(requests_per_minute=2)})
    gate.leave(await gate.enter("", 0.0))
    began = anyio.current_time()
    gate.leave(await gate.enter("", 0.0))
    assert anyio.current_time() - began == pytest.approx(60.0, abs=0.1)
