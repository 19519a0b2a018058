"""What one thread with one call costs, counted and not timed: lines, tasks, callbacks, objects.

The bounds are a little above the counts. They may only fall: argue in its commit for a change that needs
more. Seconds are measured by ``python -m tests.benchmarks.performance``.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from tests.counting import operations
from weaver import Plan, Subtask, Weaver
from weaver._models.compose import layered
from weaver._models.http.client import HTTPClient
from weaver._models.http.response import whole_body
from weaver._models.layers.limit import EndpointLimits, Gates
from weaver._models.openai.chunks.reader import ChunkReader
from weaver._testing.clock import VirtualTimeLoop
from weaver.testing import Scripted, ScriptedModel, ServerProcess

LINES = 1500
TASKS = 1.1
CALLBACKS = 3.2
OBJECTS = 100
LINES_OF_CHUNK = 24
KEPT = 10
"""Requests on one kept connection."""


class CountingLoop(VirtualTimeLoop):
    """Counts what is scheduled."""

    tasks = callbacks = 0

    def create_task(self, *arguments: Any, **options: Any) -> Any:
        self.tasks += 1
        return super().create_task(*arguments, **options)

    def call_soon(self, *arguments: Any, **options: Any) -> Any:
        self.callbacks += 1
        return super().call_soon(*arguments, **options)


def run(threads: int, *, first: float = 0.1, during: Callable[[], None] | None = None) -> CountingLoop:
    """A plan of so many threads, each with one call, and a merge."""
    loops: list[CountingLoop] = []

    def make_loop() -> CountingLoop:
        loops.append(CountingLoop())
        return loops[-1]

    async def main() -> None:
        inside = ScriptedModel(Scripted("four words of text", first=first))
        model = layered(inside, limits=EndpointLimits(100_000), gates=Gates())
        subtasks = [Subtask(id=f"s{i}", title=f"T{i}", prompt=f"Look up fact {i}.") for i in range(threads)]
        strategy = "adaptive:gate=off,merge=concat,conflicts=off,hedge=false,prune=off"
        async with Weaver(model, strategy=strategy, max_threads=10**6, deadline=300) as weaver, \
                anyio.create_task_group() as group:  # fmt: skip
            if during is not None:
                loop = asyncio.get_running_loop()
                loop.call_later(first / 2, during)
            result = await weaver.run("Look the facts up.", plan=Plan(parallel=True, subtasks=subtasks))
            group.cancel_scope.cancel()
        assert len(result.threads) == threads
        assert result.status == "complete"

    anyio.run(main, backend_options={"loop_factory": make_loop})
    return loops[0]


class RealCountingLoop(asyncio.SelectorEventLoop):
    """Counts what is scheduled, on the real clock."""

    tasks = timers = 0

    def create_task(self, *arguments: Any, **options: Any) -> Any:
        self.tasks += 1
        return super().create_task(*arguments, **options)

    def call_at(self, *arguments: Any, **options: Any) -> Any:
        self.timers += 1
        return super().call_at(*arguments, **options)


def per_thread(measure: Callable[[int], float]) -> float:
    """What one thread more adds to a measure."""
    return (measure(60) - measure(20)) / 40


@pytest.fixture(autouse=True)
def _warm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEAVER_TRACE_STORE", "off")
    run(3)


def test_lines_of_python() -> None:
    assert per_thread(lambda count: operations(lambda: run(count), within="weaver")) <= LINES


def test_tasks_and_callbacks() -> None:
    assert per_thread(lambda count: run(count).tasks) <= TASKS
    assert per_thread(lambda count: run(count).callbacks) <= CALLBACKS


def test_objects_of_a_thread_in_flight() -> None:
    def objects(count: int) -> float:
        counted: list[int] = []

        def look() -> None:
            gc.collect()
            counted.append(len(gc.get_objects()))

        gc.collect()
        before = len(gc.get_objects())
        run(count, first=10.0, during=look)
        return counted[0] - before

    assert per_thread(objects) <= OBJECTS


def test_a_finished_run_leaves_no_cycles_for_the_collector() -> None:
    def left_behind(count: int) -> float:
        gc.collect()
        gc.disable()
        try:
            run(count)
            return gc.collect()
        finally:
            gc.enable()

    assert per_thread(left_behind) == 0.0


def test_lines_of_a_chunk_of_text() -> None:
    chunk = b'{"id":"c","choices":[{"index":0,"delta":{"content":"word "},"finish_reason":null}]}'

    def read(count: int) -> float:
        reader = ChunkReader()

        def all_chunks() -> None:
            for _ in range(count):
                reader.read(chunk)

        return operations(all_chunks, within="weaver")

    read(3)
    assert per_thread(read) <= LINES_OF_CHUNK


@pytest.mark.skipif(sys.platform == "win32", reason="the transport of selectors is counted")
def test_a_request_on_a_kept_connection_is_one_write_and_no_task_or_timer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writes: list[int] = []
    body = b'{"model":"scripted","stream":true,"messages":[{"role":"user","content":"Hi"}]}'

    async def ask(client: HTTPClient, url: str) -> None:
        headers = {"Content-Type": "application/json"}
        response = await client.send("POST", f"{url}/chat/completions", headers, body)
        assert b"[DONE]" in await whole_body(response, most=2**20)

    async def main(url: str) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, RealCountingLoop)
        client = HTTPClient(connect_timeout=10, idle_timeout=60)
        await ask(client, url)
        (connection,) = client._connections
        assert connection._transport is not None
        transport = type(connection._transport)
        write = transport.write

        def counted(self: Any, data: bytes) -> None:
            writes.append(len(data))
            write(self, data)

        monkeypatch.setattr(transport, "write", counted)
        loop.tasks = loop.timers = 0
        for _ in range(KEPT):
            await ask(client, url)
        assert (len(writes), loop.tasks, loop.timers) == (KEPT, 0, 0)
        await client.aclose()

    with (
        ServerProcess("four words of text") as server,
        asyncio.Runner(loop_factory=RealCountingLoop) as runner,
    ):
        runner.run(main(server.url))
