"""The main job over real HTTP: what the server sees while a run plans, forks, cancels and answers."""

from __future__ import annotations

import json
import time

import anyio
import anyio.to_thread
import pytest

from tests.real import Llama
from weaver import Answer, Run, Task, Weaver
from weaver._models.openai.model import OpenAIModel
from weaver.events import Planned, ThreadStarted
from weaver.testing import Scripted, Server

pytestmark = pytest.mark.anyio

SURE = "Compare the sums 1+1, 2+2 and 3+3."
UNSURE = "Explain how a bicycle stays upright and why it matters for the design of the front fork"
PLAN = json.dumps(
    {"parallel": True, "reason": "sums", "subtasks": [{"id": n, "prompt": f"part {n}"} for n in "abc"]}
)


def scripted(**timing: float) -> list[Scripted]:
    return [
        Scripted(PLAN, when="You decide how", **timing),
        Scripted("merged", when="Several workers"),
        Scripted("found it", when="part "),
        Scripted("a b c d e f g h", first=0.1, each=0.05),
    ]


async def test_the_first_threads_request_arrives_before_the_plans_stream_has_ended():
    async with Server(scripted(each=0.015)) as server, Weaver("openai/x", base_url=server.url) as weaver:
        result = await weaver.run(SURE)
        plan, first = server.requests[0], server.requests[1]
        assert first.at < plan.closed_at
    assert result.answer == "merged"
    assert len(result.threads) == 3


async def test_a_question_that_the_planner_calls_simple_takes_no_longer_than_its_direct_answer():
    simple = Scripted(
        '{"parallel": false, "reason": "one", "subtasks": []}', when="You decide how", first=0.1
    )
    async with Server([simple, *scripted()[1:]]) as server, Weaver("openai/x", base_url=server.url) as weaver:
        result = await weaver.run(UNSURE)
        direct = next(r for r in server.requests if "You decide" not in r.request.messages[0].content)
        last = max(r.closed_at for r in server.requests)
    assert result.answer == "a b c d e f g h"
    assert direct.at == pytest.approx(server.requests[0].at, abs=0.2), "it must not wait for the planner"
    assert last == direct.closed_at
    assert result.metrics.critical_path_tokens == 8


async def test_leaving_a_fork_closes_every_open_connection():
    async def method(run: Run, task: Task) -> Answer:
        async with run.fork([Task(f"endless {i}") for i in range(20)]):
            await server.until(lambda s: s.in_flight == 20)
        left.append(time.monotonic())
        return Answer("done")

    left: list[float] = []
    async with Server([Scripted("on " * 5000, each=0.05)], slots=64) as server:
        model = OpenAIModel("x", base_url=server.url)
        async with Weaver(model, strategy=method) as weaver:
            result = await weaver.run("go")
            await server.until(lambda s: s.in_flight == 0)
        closed = [r.closed_at for r in server.requests]
    assert {r.closed for r in server.requests} == {"disconnected"}
    assert len(closed) == 20
    assert {t.cancel_reason for t in result.threads} == {"not_needed"}
    assert max(closed) - left[0] < 1


async def test_usage_over_http_is_the_servers_own():
    async with Server(scripted()) as server, Weaver("openai/x", base_url=server.url) as weaver:
        result = await weaver.run(SURE)
        sent = sum(r.events for r in server.requests)
    assert result.usage.calls == 5
    assert not result.usage.estimated
    assert result.usage.output_tokens == sum(t.usage.output_tokens for t in result.threads) + 1 + len(
        PLAN.split()
    )
    assert sent > result.usage.output_tokens


@pytest.mark.heavy
@pytest.mark.timeout(900)
async def test_a_real_plan_runs_in_parallel_slots_and_cancelling_frees_them(llama: Llama):
    question = "What is 12+30? What is 45+22? What is 31+18? What is 27+11?"
    busy: list[int] = []

    async def watch() -> None:
        while True:
            busy.append(await anyio.to_thread.run_sync(llama.busy))
            await anyio.sleep(0.05)

    async with Weaver(
        "openai/small", base_url=llama.url, temperature=0, seed=1, strategy="adaptive:gate=off"
    ) as weaver:
        async with anyio.create_task_group() as group:
            group.start_soon(watch)
            result = await weaver.run(question)
            group.cancel_scope.cancel()
        assert len(result.plan.subtasks) >= 3
        assert sum(t.state == "succeeded" for t in result.threads) >= 3
        assert max(busy) >= 2
        assert result.metrics.max_in_flight >= 2
        assert result.answer
        async with weaver.stream(question) as run:
            started = 0
            async for event in run:
                started += isinstance(event, ThreadStarted)
                if isinstance(event, Planned) or started == 2:
                    run.cancel()
        assert run.result.status in ("partial", "failed")
        with anyio.fail_after(10):  # a second on an idle machine
            while await anyio.to_thread.run_sync(llama.busy):
                await anyio.sleep(0.05)
