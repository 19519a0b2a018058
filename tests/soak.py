"""A soak: runs of mixed strategies against a server on which everything goes wrong.

``python tests/soak.py --runs 1000`` prints what came of them and exits with 1 if anything leaked, hung or was
not accounted for. The test suite runs a smaller one.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import sys
import time
import tracemalloc
from collections import Counter
from dataclasses import dataclass, field

import anyio
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

from weaver import Weaver, WeaverError
from weaver._models.compose import layered
from weaver._models.layers.limit import Gates
from weaver._models.openai.model import OpenAIModel
from weaver._testing.faults import bad_weather
from weaver.testing import Scripted, Server

STRATEGIES = (
    "adaptive",
    "adaptive:conflicts=off,hedge=false",
    "sequential",
    "self_consistency:samples=4",
    "best_of_n:samples=3",
)
QUESTIONS = (
    "What is 1+1? What is 2+2? What is 3+3?",
    "Why does a ship float although it is made of iron, and a nail not?",
    "2+2",
)
PLAN = {"parallel": True, "subtasks": [{"id": n, "prompt": f"What is {n}?"} for n in "abc"]}
GRACE = 0.25


def replies() -> list[Scripted]:
    """A planner, a judge, and answers of some length, all slow enough to be cut in the middle."""
    return [
        Scripted(json.dumps(PLAN), when="You decide how", first=0.01, each=0.001),
        Scripted("7", when="rate", first=0.01),
        Scripted("it is four, " * 12, first=0.01, each=0.002),
    ]


class Counting(SpanProcessor):
    """Usage summed over call spans, by trace; and spans that never ended."""

    def __init__(self) -> None:
        self.open = 0
        self.tokens: Counter[int] = Counter()
        self.calls: Counter[int] = Counter()

    def on_start(self, span, parent_context=None) -> None:
        self.open += 1

    def on_end(self, span: ReadableSpan) -> None:
        self.open -= 1
        if span.name.startswith(("chat ", "text_completion ")):
            trace = span.context.trace_id
            self.calls[trace] += 1
            self.tokens[trace] += span.attributes["gen_ai.usage.input_tokens"]
            self.tokens[trace] += span.attributes["gen_ai.usage.output_tokens"]


@dataclass
class Outcome:
    """What came of a soak. ``problems`` is empty when all is well."""

    runs: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    latest: float = 0.0
    lag: float = 0.0
    kilobytes_per_run: float = 0.0
    problems: list[str] = field(default_factory=list)


async def soak(
    runs: int, *, seed: int = 0, at_once: int = 16, deadline: float = 2.0, rate: float = 0.4
) -> Outcome:
    """Run so many runs, and check after each and at the end that nothing leaked.

    Args:
        at_once: runs at the same time.
        deadline: seconds of each run; some get a tenth of it.
        rate: share of requests that something happens to.
    """
    outcome = Outcome()
    chance = random.Random(seed)
    counting = Counting()
    provider = TracerProvider()
    provider.add_span_processor(counting)
    before = len(asyncio.all_tasks())
    places = anyio.Semaphore(at_once)
    async with Server(replies(), faults=bad_weather(rate, patience=1.0), seed=seed, slots=64) as server:
        model = layered(OpenAIModel("soak", base_url=server.url, idle_timeout=1.0), retries=2, gates=Gates())
        weaver = Weaver(model, tracer_provider=provider)

        async def one(strategy: str, question: str, seconds: float) -> None:
            async with places:
                began = time.monotonic()
                try:
                    result = await weaver.run(question, strategy=strategy, deadline=seconds)
                except WeaverError as error:
                    result = error.result
                    outcome.errors[type(error).__name__] += 1
                took = time.monotonic() - began
            outcome.runs += 1
            outcome.statuses[result.status] += 1
            outcome.latest = max(outcome.latest, took - seconds)
            trace = int(result.trace_id, 16)
            if (counting.calls[trace], counting.tokens[trace]) != (
                result.usage.calls,
                result.usage.total_tokens,
            ):
                outcome.problems.append(f"usage of {strategy} {result.run_id} does not add up")
            del counting.calls[trace], counting.tokens[trace]

        async with weaver, anyio.create_task_group() as watching:
            watching.start_soon(_measure_lag, outcome)
            first = min(runs, max(at_once, runs // 5))
            await _batch(one, first, chance, deadline)
            tracemalloc.start()
            _forget(server)
            grown_from = _memory()
            await _batch(one, runs - first, chance, deadline)
            _forget(server)
            if runs > first:
                outcome.kilobytes_per_run = (_memory() - grown_from) / 1024 / (runs - first)
            tracemalloc.stop()
            watching.cancel_scope.cancel()
        await server.until(lambda s: s.connections == 0 and s.in_flight == 0)
    if outcome.latest > GRACE + outcome.lag:
        outcome.problems.append(f"a run ended {outcome.latest:.2f} s after its deadline")
    if counting.open:
        outcome.problems.append(f"{counting.open} spans never ended")
    await asyncio.sleep(0)
    if (left := len(asyncio.all_tasks()) - before) > 0:
        outcome.problems.append(f"{left} tasks are left")
    return outcome


async def _batch(one, runs: int, chance: random.Random, deadline: float) -> None:
    async with anyio.create_task_group() as group:
        for i in range(runs):
            seconds = deadline * (0.1 if chance.random() < 0.1 else 1)
            group.start_soon(one, STRATEGIES[i % len(STRATEGIES)], chance.choice(QUESTIONS), seconds)


async def _measure_lag(outcome: Outcome) -> None:
    """How late a busy machine wakes a task up: no program can be more punctual than that."""
    while True:
        began = time.monotonic()
        await asyncio.sleep(0.01)
        outcome.lag = max(outcome.lag, time.monotonic() - began - 0.01)


def _forget(server: Server) -> None:
    """The server's own records would look like a leak."""
    server.requests.clear()
    server.script.requests.clear()


def _memory() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=0.4)
    given = parser.parse_args()
    outcome = asyncio.run(soak(given.runs, seed=given.seed, rate=given.rate))
    print(f"{outcome.runs} runs: {dict(outcome.statuses)}, errors {dict(outcome.errors)}")
    print(
        f"latest {outcome.latest:+.3f} s after its deadline, {outcome.kilobytes_per_run:.1f} KB kept per run"
    )
    for problem in outcome.problems:
        print(f"PROBLEM: {problem}")
    return 1 if outcome.problems else 0


if __name__ == "__main__":
    sys.exit(main())
