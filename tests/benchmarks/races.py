"""One call of many wins: how long until the server has seen all others leave."""

from __future__ import annotations

import asyncio
import json
import statistics
from typing import Any
from urllib.request import urlopen

from tests.benchmarks.quick_server import quick_server
from weaver import Task, Weaver
from weaver._coordination.joins.rules import First
from weaver._data.result import Answer
from weaver._models.compose import layered
from weaver._models.layers.limit import EndpointLimits, Gates
from weaver._models.openai.model import OpenAIModel
from weaver._runtime.run import Run


async def race(run: Run, task: Task) -> Answer:
    """Fork into as many threads as the task says, and take the first answer."""
    tasks = [Task("WINNER"), *(Task(f"LOSER {number}") for number in range(int(task.prompt) - 1))]
    async with run.fork(tasks) as threads:
        (winner,) = await threads.join(First())
    assert winner.answer is not None
    return winner.answer


def _times(url: str) -> dict[str, Any]:
    with urlopen(f"{url.removesuffix('/v1')}/times") as answer:
        times: dict[str, Any] = json.load(answer)
    return times


async def _races(url: str, size: int, rounds: int) -> list[float]:
    model = layered(
        OpenAIModel("openai/scripted", base_url=url), limits=EndpointLimits(100_000), gates=Gates()
    )
    milliseconds = []
    async with Weaver(model, strategy=race, max_threads=1_000_000) as weaver:
        for _ in range(rounds):
            await weaver.run(str(size))
            times = {"waiting": 1}
            while times["waiting"]:
                await asyncio.sleep(0.2)
                times = await asyncio.to_thread(_times, url)
            milliseconds.append((times["left_at"] - times["won_at"]) * 1e3)
    return milliseconds


def timed_disconnects(sizes: list[int], rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds from the winner's answer, as it is sent, to the last disconnect; medians."""
    rows: dict[str, dict[str, float]] = {}
    for size in sizes:
        with quick_server(1.0 + size / 1000) as url:
            rows[f"{size} threads"] = {"weaver": statistics.median(asyncio.run(_races(url, size, rounds)))}
    return rows
