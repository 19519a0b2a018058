"""An endpoint in its own process that refuses above a capacity."""

from __future__ import annotations

import argparse
import asyncio
import json
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


def serve(capacity: float, seconds: float, place: Path) -> None:
    """Serve on a free port, whose number goes to the file ``place``."""
    counts: dict[str, float] = {"in_flight": 0, "calls": 0, "refused": 0}
    ends: list[float] = []

    async def chat(request: web.Request) -> web.StreamResponse:
        await request.text()
        counts["calls"] += 1
        if counts["in_flight"] >= capacity:
            counts["refused"] += 1
            return web.json_response({"error": {"message": "Too many requests at once"}}, status=429)
        counts["in_flight"] += 1
        try:
            await asyncio.sleep(seconds)
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            await response.write((_EVENT % '"stop"' + "data: [DONE]\n\n").encode())
            ends.append(time.perf_counter())
        finally:
            counts["in_flight"] -= 1
        return response

    async def stats(_: web.Request) -> web.Response:
        told = {**counts, "ends": list(ends)}
        counts.update(calls=0, refused=0)
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
def endpoint(*, capacity: float = 1e9, seconds: float = 1.0) -> Iterator[str]:
    """The address of a running endpoint, without ``/v1``."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "port")
        options = ["--capacity", str(capacity), "--seconds", str(seconds), "--place", str(place)]
        command = [sys.executable, "-m", "tests.benchmarks.endpoint", *options]
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


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--capacity", type=float)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--place", type=Path)
    arguments = parser.parse_args()
    serve(arguments.capacity, arguments.seconds, arguments.place)
