"""Plans whose subtasks depend on each other at random: the time of the run over that of the longest chain."""

from __future__ import annotations

import asyncio
import random
import statistics
import time

from weaver import Plan, Subtask, Weaver
from weaver._models.compose import layered
from weaver._models.layers.limit import EndpointLimits, Gates
from weaver._models.openai.model import OpenAIModel
from weaver.testing import Scripted, ServerProcess

_FAMILY = 20
"""A subtask depends on up to three of so many before it."""


def _graph(threads: int, chance: random.Random) -> tuple[list[float], list[list[int]]]:
    """How long each subtask's call takes, in seconds, and what it depends on."""
    seconds = [chance.uniform(0.2, 1.0) for _ in range(threads)]
    needs = [
        sorted(chance.sample(range(max(0, at - _FAMILY), at), min(at, chance.randint(0, 3))))
        for at in range(threads)
    ]
    return seconds, needs


def _longest(seconds: list[float], needs: list[list[int]]) -> float:
    ends: list[float] = []
    for took, before in zip(seconds, needs, strict=True):
        ends.append(took + max((ends[at] for at in before), default=0.0))
    return max(ends)


async def _run(url: str, plan: Plan) -> float:
    """Seconds of the second run of a plan; the first one opens the connections."""
    limits = EndpointLimits(100_000)
    model = layered(OpenAIModel("openai/scripted", base_url=url), limits=limits, gates=Gates())
    strategy = "adaptive:gate=off,merge=concat,speculate=false,conflicts=off,hedge=false,prune=off"
    wall = 0.0
    async with Weaver(model, strategy=strategy, deadline=300, max_threads=1_000) as weaver:
        for _ in range(2):
            began = time.perf_counter()
            result = await weaver.run("Look the facts up.", plan=plan)
            wall = time.perf_counter() - began
            if result.status != "complete" or len(result.threads) != len(plan.subtasks):
                raise RuntimeError(f"{result.status}, {len(result.threads)} threads")
    return wall


def random_graphs(sizes: list[int], rounds: int) -> dict[str, dict[str, float]]:
    """Time over the longest chain of answers, less one; median over as many graphs as ``rounds``."""
    rows: dict[str, dict[str, float]] = {}
    for size in sizes:
        shares = []
        for number in range(rounds):
            seconds, needs = _graph(size, random.Random(number))
            replies = [
                Scripted("It is known.", when=f"Look_up_fact_{at}.", first=took)
                for at, took in enumerate(seconds)
            ]
            subtasks = [
                Subtask(
                    id=f"s{at}",
                    title=f"fact {at}",
                    prompt=f"Look_up_fact_{at}.",
                    depends_on=[f"s{earlier}" for earlier in before],
                )
                for at, before in enumerate(needs)
            ]
            with ServerProcess(replies, dialect="vllm") as server:
                wall = asyncio.run(_run(server.url, Plan(parallel=True, subtasks=subtasks)))
            shares.append(wall / _longest(seconds, needs) - 1)
        rows[f"{size} threads"] = {"weaver": statistics.median(shares)}
    return rows
