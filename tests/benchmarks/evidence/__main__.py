"""Measure what docs/evidence.md shows, at any endpoint, and write that page.

python -m tests.benchmarks.evidence --base-url http://127.0.0.1:8080/v1 --model NAME --json rows.jsonl
python -m tests.benchmarks.evidence --from rows.jsonl,gpu.jsonl --page docs/evidence.md
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

from tests.benchmarks.evidence import mix, page, report, world
from tests.benchmarks.evidence.long_tasks import long_tasks
from tests.benchmarks.evidence.measuring import (
    CODE,
    LONG,
    PUZZLES,
    Row,
    measure_code,
    measure_long,
    measure_mix,
    measure_puzzles,
)
from tests.benchmarks.forking import tasks as forking_tasks
from weaver import Weaver
from weaver._models.layers.configured import Configured
from weaver.models import Model, OpenAIModel, layered
from weaver.testing import virtual_time

PARTS = ("mix", "code", "puzzles", "long")


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--base-url", help="an OpenAI-compatible endpoint, `/v1` included")
    source.add_argument("--simulated", action="store_true", help="no endpoint; long inputs only")
    source.add_argument("--from", dest="files", help="rows of earlier runs, files separated by commas")
    parser.add_argument("--model", default="default")
    parser.add_argument("--api-key")
    parser.add_argument("--machine", default="", help="what the model runs on, for the tables")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--window", type=int, default=2000, help="tokens; long inputs get no more at once")
    parser.add_argument("--sizes", default="1,5", help="of documents, in windows; all: 1,5,20,50")
    parser.add_argument("--each", type=int, default=1, help="long tasks of each kind and size")
    parser.add_argument("--programs", type=int, default=4, help="problems of HumanEval")
    parser.add_argument("--puzzles", type=int, default=4, help="puzzles of Game of 24")
    parser.add_argument("--mixed", type=int, default=1, help="tasks of each kind for routing")
    parser.add_argument("--strategies", default=" ".join(LONG), help="for long inputs, separated by blanks")
    parser.add_argument("--arms", default=" ".join(mix.ARMS), help="for routing, separated by blanks")
    parser.add_argument("--code", default=" ".join(CODE), help="for programs, separated by blanks")
    parser.add_argument("--solvers", default=" ".join(PUZZLES), help="for puzzles, separated by blanks")
    parser.add_argument("--at-once", type=int, default=1, help="tasks measured at the same time")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas")
    parser.add_argument("--deadline", type=float, default=180, help="seconds of one run")
    parser.add_argument("--json", type=Path, help="where the rows are appended, as they come")
    parser.add_argument("--page", type=Path, help="where the page is written")
    options = parser.parse_args(arguments)
    options.parts = [part for part in options.only.split(",") if part]
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"--only: there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if options.simulated:
        options.parts = ["long"]
    return options


def _model(options: argparse.Namespace) -> tuple[Model, Model]:
    """The model, and the same with a small window."""
    if options.simulated:
        model: Model = world.simulated(options.window)
        return model, layered(Configured(model, context=options.window))
    model = OpenAIModel(options.model, base_url=options.base_url, api_key=options.api_key)
    return layered(model), layered(Configured(model, context=options.window))


async def measured(options: argparse.Namespace) -> list[Row]:
    """Run everything that the options name."""
    rows: list[Row] = []
    began = time.monotonic()

    def done(row: Row) -> None:
        row.machine = options.machine
        if options.json is not None:
            with options.json.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row.as_dict(), ensure_ascii=False) + "\n")
        size = f" {row.size} x" if row.size else ""
        seconds = time.monotonic() - began
        text = f"{seconds:5.0f} s  {row.kind}{size} {row.strategy}: {row.score:.2f} in {row.seconds:.1f} s"
        print(text, file=sys.stderr)

    # A virtual clock runs on while worker threads search documents.
    deadline = None if options.simulated else options.deadline
    model, small = _model(options)
    async with Weaver(model, seed=options.seed, trace=False, deadline=deadline) as weaver:
        if "mix" in options.parts:
            mixed = list(forking_tasks.tasks(options.seed, options.mixed))
            rows += await measure_mix(weaver, mixed, options.arms.split(), done, options.at_once)
        if "code" in options.parts:
            rows += await measure_code(
                weaver, options.seed, options.programs, options.code.split(), done, options.at_once
            )
        if "puzzles" in options.parts:
            rows += await measure_puzzles(
                weaver, options.seed, options.puzzles, options.solvers.split(), done, options.at_once
            )
    async with Weaver(small, seed=options.seed, trace=False, deadline=deadline) as weaver:
        if "long" in options.parts:
            sizes = [int(size) for size in options.sizes.split(",")]
            tasks = list(long_tasks(options.seed, options.window, sizes, options.each))
            rows += await measure_long(weaver, tasks, options.strategies.split(), done, options.at_once)
    return rows


def main() -> None:
    """Run it, or read rows of earlier runs; print the tables, and write the page."""
    options = parsed()
    if options.files:
        files = [Path(name) for name in options.files.split(",")]
        rows = [Row(**json.loads(line)) for file in files for line in file.read_text("utf-8").splitlines()]
    elif options.simulated:
        backend, choices = virtual_time()
        rows = anyio.run(measured, options, backend=backend, backend_options=choices)
    else:
        rows = anyio.run(measured, options)
    print(report.markdown(rows))
    if options.page is not None:
        options.page.write_text(page.written(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
