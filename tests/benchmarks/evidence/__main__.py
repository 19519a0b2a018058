"""Measure long inputs, tests as verifiers, and routing at an endpoint.

python -m tests.benchmarks.evidence --base-url http://127.0.0.1:8080/v1 --model NAME
python -m tests.benchmarks.evidence --simulated
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import anyio

from tests.benchmarks.evidence import report, world
from tests.benchmarks.evidence.long_tasks import long_tasks
from tests.benchmarks.evidence.measuring import LONG, Row, measure_code, measure_long
from tests.benchmarks.forking import measuring as forking_measuring
from tests.benchmarks.forking import report as forking_report
from tests.benchmarks.forking import tasks as forking_tasks
from weaver import Weaver
from weaver._models.layers.configured import Configured
from weaver.models import Model, OpenAIModel, layered
from weaver.testing import virtual_time

PARTS = ("long", "code", "routing")


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base-url")
    parser.add_argument("--model", default="default")
    parser.add_argument("--api-key")
    parser.add_argument("--simulated", action="store_true", help="no endpoint; long inputs only")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--window", type=int, default=2000, help="tokens; the model gets no more at once")
    parser.add_argument("--sizes", default="1,5", help="of documents, in windows; all: 1,5,20,50")
    parser.add_argument("--each", type=int, default=1, help="long tasks of each kind and size")
    parser.add_argument("--programs", type=int, default=4, help="problems of HumanEval")
    parser.add_argument("--mixed", type=int, default=1, help="tasks of each kind for routing")
    parser.add_argument("--strategies", default=" ".join(LONG), help="for long inputs, separated by blanks")
    parser.add_argument("--only", default="long,code", help=f"parts: {','.join(PARTS)}")
    parser.add_argument("--deadline", type=float, default=180, help="seconds of one run")
    parser.add_argument("--json", type=Path, help="where the rows go, as they come")
    options = parser.parse_args(arguments)
    if (options.base_url is None) == (not options.simulated):
        parser.error("give either --base-url or --simulated")
    options.parts = [part for part in options.only.split(",") if part]
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"--only: there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if options.simulated:
        options.parts = ["long"]
    return options


def _model(options: argparse.Namespace) -> Model:
    if options.simulated:
        return world.simulated(options.window)
    model = OpenAIModel(options.model, base_url=options.base_url, api_key=options.api_key)
    return layered(Configured(model, context=options.window))


async def measured(options: argparse.Namespace) -> tuple[list[Row], list[str]]:
    """Run everything that the options name; rows, and the figures of routing."""
    rows: list[Row] = []
    figures: list[str] = []
    began = time.monotonic()

    def done(row: Row) -> None:
        if options.json is not None:
            with options.json.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row.as_dict(), ensure_ascii=False) + "\n")
        size = f" {row.size} x" if row.size else ""
        seconds = time.monotonic() - began
        text = f"{seconds:5.0f} s  {row.kind}{size} {row.strategy}: {row.score:.2f} in {row.seconds:.1f} s"
        print(text, file=sys.stderr)

    # A virtual clock runs on while worker threads search documents.
    deadline = None if options.simulated else options.deadline
    async with Weaver(_model(options), seed=options.seed, trace=False, deadline=deadline) as weaver:
        if "long" in options.parts:
            sizes = [int(size) for size in options.sizes.split(",")]
            tasks = list(long_tasks(options.seed, options.window, sizes, options.each))
            rows += await measure_long(weaver, tasks, options.strategies.split(), done)
        if "code" in options.parts:
            rows += await measure_code(weaver, options.seed, options.programs, done)
        if "routing" in options.parts:
            mixed = list(forking_tasks.tasks(options.seed, options.mixed))
            routed = await forking_measuring.measure_all(
                weaver, mixed, [forking_report.FORKING], concurrency=1, done=lambda row: None
            )
            figures.append(str(forking_report.figures(routed, routing_goal=0.9)[0]))
    return rows, figures


def main() -> None:
    """Run it, and print the tables."""
    options = parsed()
    if options.json is not None:
        options.json.unlink(missing_ok=True)
    if options.simulated:
        backend, choices = virtual_time()
        rows, figures = anyio.run(measured, options, backend=backend, backend_options=choices)
    else:
        rows, figures = anyio.run(measured, options)
    print("\n".join([report.markdown(rows), *figures]))


if __name__ == "__main__":
    main()
