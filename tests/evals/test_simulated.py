"""The simulated endpoint: waiting, speed, slots and mistakes behave as described, on virtual time."""

from __future__ import annotations

import anyio
import pytest

from weaver import Weaver
from weaver._data.messages import user
from weaver._models.protocol import Finish, Reasoning, Request, Text, UsageReport
from weaver.testing import SimulatedModel, Work, virtual_time

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


def fixed(**changes):
    """A world with the same work for every request."""
    work = Work(**{"right": "yes " * 20, "wrong": "no", "thinking": 40, "difficulty": 0.0, **changes})
    return lambda request, rng: work


def ask(text: str = "q", **changes) -> Request:
    return Request(messages=(user(text),), **changes)


async def collect(model: SimulatedModel, request: Request) -> list:
    async with model.stream(request) as deltas:
        return [d async for d in deltas]


async def test_time_is_first_token_plus_prompt_plus_tokens_over_speed() -> None:
    model = SimulatedModel(fixed(), first_token=0.5, prompt_speed=100, speed=10)
    deltas = await collect(model, ask("four" * 100))
    assert anyio.current_time() == pytest.approx(0.5 + 100 / 100 + 60 / 10)
    assert sum(isinstance(d, Reasoning) for d in deltas) == 5
    assert "".join(d.text for d in deltas if isinstance(d, Text)) == "yes " * 20
    [report] = [d.usage for d in deltas if isinstance(d, UsageReport)]
    assert (report.input_tokens, report.output_tokens, report.reasoning_tokens) == (100, 60, 40)
    assert deltas[-1] == Finish("stop")


async def test_streams_slow_each_other_down_but_together_they_are_faster() -> None:
    model = SimulatedModel(fixed(), first_token=0, prompt_speed=1e9, speed=10, slowdown=0.25, slots=4)
    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(collect, model, ask())
    alone = 60 / 10
    assert anyio.current_time() == pytest.approx(alone * (1 + 0.25 * 3), rel=0.05)
    assert not any(s.alone for s in model.served)


async def test_requests_beyond_the_slots_wait_in_order() -> None:
    model = SimulatedModel(fixed(), first_token=0, prompt_speed=1e9, speed=10, slowdown=0, slots=2)
    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(collect, model, ask())
    assert anyio.current_time() == pytest.approx(18)
    assert [round(s.queued) for s in model.served] == [0, 0, 6, 6, 12]


async def test_mistakes_grow_with_difficulty_and_context() -> None:
    model = SimulatedModel(fixed(), skill=0.9, half_life=1000)
    assert model.chance(0, 0) == 1
    assert model.chance(1, 0) == pytest.approx(0.9)
    assert model.chance(1, 1000) == pytest.approx(0.45)
    hard = SimulatedModel(fixed(difficulty=7), skill=0.9, half_life=1e9)
    for i in range(300):
        await collect(hard, ask(f"question {i}"))
    share = sum(s.right for s in hard.served) / 300
    assert share == pytest.approx(0.9**7, abs=0.08)


async def test_the_same_seed_makes_the_same_mistakes_whatever_the_timing() -> None:
    def served(model: SimulatedModel) -> list[bool]:
        return [s.right for s in sorted(model.served, key=lambda s: s.request.messages[0].content)]

    one = SimulatedModel(fixed(difficulty=5), seed=4)
    for i in range(30):
        await collect(one, ask(f"{i:02}"))
    two = SimulatedModel(fixed(difficulty=5), seed=4)
    async with anyio.create_task_group() as group:
        for i in reversed(range(30)):
            group.start_soon(collect, two, ask(f"{i:02}"))
    three = SimulatedModel(fixed(difficulty=5), seed=5)
    for i in range(30):
        await collect(three, ask(f"{i:02}"))
    assert served(one) == served(two) != served(three)
    assert set(served(one)) == {True, False}


async def test_limits_stops_and_leaving_early_are_honoured() -> None:
    model = SimulatedModel(fixed())
    deltas = await collect(model, ask(max_tokens=50))
    assert deltas[-1] == Finish("length")
    assert "".join(d.text for d in deltas if isinstance(d, Text)).split() == ["yes"] * 10
    deltas = await collect(model, ask(stop=("yes yes",)))
    assert deltas[-1] == Finish("stop", "yes yes")
    async with model.stream(ask()) as stream:
        await anext(aiter(stream))
    assert (model.served[-1].closed, model.served[-1].tokens, model.in_flight) == ("cancelled", 8, 0)


async def test_a_run_on_a_simulation() -> None:
    result = await Weaver(SimulatedModel(fixed()), strategy="sequential").run("q")
    assert result.model == "simulation"
    assert result.usage.reasoning_tokens == 40
