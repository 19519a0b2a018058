"""An endpoint in a process of its own that refuses above a capacity, and says when its clients have left."""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from aiohttp import web

_EVENT = 'data: {"choices":[{"index":0,"delta":{"content":"ok"},"finish_reason":%s}]}\n\n'


def serve(capacity: float, seconds: float, forever: bool, place: Path) -> None:
    """Serve on a free port, whose number goes to the file ``place``."""
    counts: dict[str, float] = {"in_flight": 0, "calls": 0, "refused": 0, "left_at": 0.0}
    ends: list[float] = []

    async def chat(request: web.Request) -> web.StreamResponse:
        winner = "WINNER" in await request.text()
        counts["calls"] += 1
        if counts["in_flight"] >= capacity:
            counts["refused"] += 1
            return web.json_response({"error": {"message": "Too many requests at once"}}, status=429)
        counts["in_flight"] += 1
        try:
            await asyncio.sleep(3600 if forever and not winner else seconds)
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            await response.write((_EVENT % '"stop"' + "data: [DONE]\n\n").encode())
            ends.append(time.perf_counter())
        except asyncio.CancelledError:
            counts["left_at"] = time.perf_counter()
            raise
        finally:
            counts["in_flight"] -= 1
        return response

    async def stats(_: web.Request) -> web.Response:
        told = {**counts, "ends": list(ends)}
        counts.update(calls=0, refused=0, left_at=0.0)
        ends.clear()
        return web.json_response(told)

    async def models(_: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "scripted"}]})

    async def main() -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", chat)
        app.router.add_get("/v1/models", models)
        app.router.add_get("/stats", stats)
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=16_384)
        await site.start()
        place.write_text(str(runner.addresses[0][1]))
        await asyncio.Event().wait()

    asyncio.run(main())


@contextmanager
def endpoint(*, capacity: float = 1e9, seconds: float = 1.0, forever: bool = False) -> Iterator[str]:
    """The address of a running endpoint, without ``/v1``."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "port")
        options = ["--capacity", str(capacity), "--seconds", str(seconds), "--place", str(place)]
        command = [sys.executable, "-m", "tests.benchmarks.endpoint", *options, *["--forever"] * forever]
        process = subprocess.Popen(command)
        try:
            while not (place.exists() and place.read_text()):
                time.sleep(0.05)
            yield f"http://127.0.0.1:{place.read_text()}"
        finally:
            process.kill()
            process.wait()


def _stats(url: str) -> dict[str, Any]:
    with urlopen(f"{url}/stats") as answer:
        told: dict[str, Any] = json.load(answer)
    return told


def refusing(capacities: list[int]) -> dict[str, dict[str, float]]:
    """Ten times as many calls of 1 s (1,000 at least) as an endpoint takes at once, by a layered model."""
    from weaver._data.messages import user
    from weaver._models.compose import layered
    from weaver._models.layers.limit import Gates
    from weaver._models.openai.model import OpenAIModel
    from weaver._models.protocol import Request

    async def ask(url: str, calls: int) -> None:
        model = layered(OpenAIModel("openai/scripted", base_url=f"{url}/v1"), gates=Gates())

        async def one() -> None:
            async with model.stream(Request(messages=(user("Hi?"),))) as deltas:
                async for _ in deltas:
                    pass

        await asyncio.gather(*(one() for _ in range(calls)))
        await model.aclose()

    rows: dict[str, dict[str, float]] = {}
    for capacity in capacities:
        calls = max(1000, 10 * capacity)
        with endpoint(capacity=capacity) as url:
            began = time.perf_counter()
            asyncio.run(ask(url, calls))
            wall = time.perf_counter() - began
            told = _stats(url)
        five = sum(end - began < 6.0 for end in told["ends"]) / 5 / capacity
        rows[f"capacity {capacity}, {calls} calls"] = {
            "refused, share of calls": told["refused"] / calls,
            "capacity used in 5 trips": min(1.0, five),
            "seconds over the least": wall / (calls / capacity),
        }
    return rows


def timed_disconnects(sizes: list[int], rounds: int) -> dict[str, dict[str, float]]:
    """One call of many wins: how long until the server has seen all others leave."""
    from weaver import Task, Weaver
    from weaver._coordination.joins.rules import First
    from weaver._data.result import Answer
    from weaver._models.compose import layered
    from weaver._models.layers.limit import EndpointLimits, Gates
    from weaver._models.openai.model import OpenAIModel
    from weaver._runtime.run import Run

    won_at = 0.0

    async def race(run: Run, task: Task) -> Answer:
        nonlocal won_at
        tasks = [Task("WINNER"), *(Task(f"part {i}") for i in range(int(task.prompt) - 1))]
        async with run.fork(tasks) as threads:
            (winner,) = await threads.join(First())
            won_at = time.perf_counter()
        assert winner.answer is not None
        return winner.answer

    async def main(url: str, size: int) -> list[float]:
        model = layered(
            OpenAIModel("openai/scripted", base_url=f"{url}/v1"),
            limits=EndpointLimits(100_000),
            gates=Gates(),
        )
        milliseconds = []
        async with Weaver(model, strategy=race, max_threads=1_000_000) as weaver:
            for _ in range(rounds):
                await weaver.run(str(size))
                told = {"in_flight": 1}
                while told["in_flight"]:
                    await asyncio.sleep(0.2)
                    told = await asyncio.to_thread(_stats, url)
                    if told["left_at"]:
                        milliseconds.append((told["left_at"] - won_at) * 1e3)
        return milliseconds

    rows: dict[str, dict[str, float]] = {}
    for size in sizes:
        with endpoint(forever=True, seconds=1.0 + size / 500) as url:
            rows[f"{size} threads"] = {"weaver": statistics.median(asyncio.run(main(url, size)))}
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--capacity", type=float)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--forever", action="store_true")
    parser.add_argument("--place", type=Path)
    arguments = parser.parse_args()
    serve(arguments.capacity, arguments.seconds, arguments.forever, arguments.place)
