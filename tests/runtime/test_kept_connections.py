"""A `Weaver` that is kept keeps its connections, and leaves none behind."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys

import pytest

from weaver import Task, Weaver
from weaver._coordination.joins.rules import First
from weaver._data.result import Answer
from weaver._runtime.run import Run
from weaver.testing import Scripted, Server

pytestmark = pytest.mark.anyio


def weaver_at(url: str) -> Weaver:
    return Weaver("openai/scripted", base_url=url, strategy="sequential")


async def test_connections_are_kept_between_runs_and_closed_by_aclose() -> None:
    async with Server("ok", dialect="vllm") as server:
        weaver = weaver_at(server.url)
        await weaver.run("Question?")
        kept = server.connections
        assert kept >= 1
        for _ in range(3):
            await weaver.run("Question?")
        async with weaver.stream("Question?") as run:
            async for _ in run:
                pass
        assert server.connections == kept
        await weaver.aclose()
        await server.until(lambda s: s.connections == 0)
        assert (await weaver.run("Question?")).answer == "ok"
        await weaver.aclose()


async def test_the_last_to_leave_closes() -> None:
    async with Server("ok", dialect="vllm") as server:
        weaver = weaver_at(server.url)
        async with weaver:
            await weaver.run("Question?")
            assert server.connections >= 1
        await server.until(lambda s: s.connections == 0)


async def test_a_dropped_weaver_closes_its_connections() -> None:
    async with Server("ok", dialect="vllm") as server:
        weaver = weaver_at(server.url)
        await weaver.run("Question?")
        del weaver
        gc.collect()
        await server.until(lambda s: s.connections == 0)


def test_one_weaver_serves_several_event_loops() -> None:
    with Server("ok", dialect="vllm").in_thread() as server:
        weaver = weaver_at(server.url)
        for _ in range(3):
            assert asyncio.run(weaver.run("Question?")).answer == "ok"
            assert weaver.run_sync("Question?").answer == "ok"
        gc.collect()


PROGRAM = """
import asyncio, gc, sys
from weaver import Weaver

weaver = Weaver("openai/scripted", base_url=sys.argv[1], strategy="sequential")


async def main():
    for _ in range(2):
        assert (await weaver.run("Question?")).answer == "ok"


{end}
"""


@pytest.mark.parametrize(
    "end",
    [
        "asyncio.run(main())",
        "asyncio.run(main()); asyncio.run(main()); weaver.run_sync('Question?')",
        "asyncio.run(main()); del weaver; gc.collect()",
        "loop = asyncio.new_event_loop(); loop.run_until_complete(main())",
        "loop = asyncio.new_event_loop(); loop.run_until_complete(main()); loop.close()",
        "with asyncio.Runner() as runner: runner.run(main()); runner.run(main())",
    ],
)
def test_a_program_ends_without_warnings(end: str) -> None:
    with Server("ok", dialect="vllm").in_thread() as server:
        program = PROGRAM.format(end=end)
        command = [sys.executable, "-W", "always::ResourceWarning", "-c", program, server.url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


async def test_a_loser_closes_its_connection_and_not_that_of_another_call() -> None:
    """Connections are closed before their threads are unwound, and never when another call has them."""
    replies = [
        Scripted("first", when="WINNER"),
        Scripted("later " * 50, when="stream", each=0.05),
        Scripted("late", when="wait", first=30.0),
        Scripted("ok"),
    ]
    async with Server(replies, dialect="vllm") as server:

        async def race(run: Run, task: Task) -> Answer:
            tasks = [Task(f"stream {i}") for i in range(5)] + [Task(f"wait {i}") for i in range(5)]
            async with run.fork([Task("WINNER"), *tasks]) as threads:
                await server.until(lambda s: s.in_flight >= 10)
                (winner,) = await threads.join(First())
                await server.until(lambda s: s.in_flight == 0)
            assert winner.answer is not None
            return winner.answer

        weaver = Weaver("openai/scripted", base_url=server.url)
        for _ in range(3):
            result = await weaver.run("Question?", strategy=race)
            assert result.answer == "first"
            assert [t.state for t in result.threads] == ["succeeded", *["cancelled"] * 10]
            assert (await weaver.run("Question?", strategy="sequential")).answer == "ok"
        await weaver.aclose()
