"""Measure whether forking pays at an endpoint.

python -m tests.benchmarks.forking --base-url http://127.0.0.1:8080/v1 --model NAME
python -m tests.benchmarks.forking --simulated 0.03
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import anyio

from tests.benchmarks.forking import report, tasks, world
from tests.benchmarks.forking.measuring import CountingModel, Row, measure_all
from weaver import Weaver
from weaver._models.compose import layered
from weaver._models.openai.model import OpenAIModel
from weaver._models.protocol import Model
from weaver.testing import SimulatedModel, virtual_time


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base-url")
    parser.add_argument("--model", default="default")
    parser.add_argument("--api-key")
    parser.add_argument(
        "--simulated", type=float, metavar="BETA", help="a hosted endpoint, simulated; no model"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--each", type=int, default=4, help="tasks of each kind")
    parser.add_argument(
        "--concurrency", type=int, default=1, help="runs at a time; more than 1 spoils seconds"
    )
    parser.add_argument("--strategies", default=",".join((report.DIRECT, report.FORKING, report.GATED)))
    parser.add_argument("--routing-goal", type=float, default=0.95, help="0.9 for models below 1.5B")
    parser.add_argument("--json", type=Path, help="where the rows go, as they come")
    arguments = parser.parse_args()
    if (arguments.base_url is None) == (arguments.simulated is None):
        parser.error("give either --base-url or --simulated")
    return arguments


def _model(arguments: argparse.Namespace, chosen: list[tasks.BenchmarkTask]) -> Model:
    if arguments.simulated is not None:
        return SimulatedModel(
            world.BenchmarkWorld(chosen), first_token=0.35, prompt_speed=5000, speed=80, slots=64,
            slowdown=arguments.simulated, skill=1.0, half_life=float("inf"), chunk=1,
        )  # fmt: skip
    return layered(OpenAIModel(arguments.model, base_url=arguments.base_url, api_key=arguments.api_key))


async def _run(arguments: argparse.Namespace, home: str) -> list[Row]:
    chosen = list(tasks.tasks(arguments.seed, arguments.each))
    strategies = arguments.strategies.split(",")
    count = len(chosen) * len(strategies)
    finished = 0

    def done(row: Row) -> None:
        nonlocal finished
        finished += 1
        if arguments.json is not None:
            with arguments.json.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row.as_dict(), ensure_ascii=False) + "\n")
        print(
            f"{finished}/{count} {row.strategy} {row.kind} {row.status} {row.seconds:.1f} s", file=sys.stderr
        )

    weaver = Weaver(CountingModel(_model(arguments, chosen)), seed=arguments.seed)
    async with weaver:
        return await measure_all(weaver, chosen, strategies, concurrency=arguments.concurrency, done=done)


def main() -> None:
    """Run it, and print the tables."""
    arguments = _arguments()
    if arguments.json is not None:
        arguments.json.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as home:
        if arguments.simulated is not None:
            backend, options = virtual_time()
            rows = anyio.run(_run, arguments, home, backend=backend, backend_options=options)
        else:
            rows = anyio.run(_run, arguments, home)
    print(report.markdown(rows, routing_goal=arguments.routing_goal))


if __name__ == "__main__":
    main()
