"""What orchestration costs beside bare aiohttp, in one command; ratios on the screen, everything as JSON.

    python -m tests.benchmarks.performance                  # some ten minutes
    python -m tests.benchmarks.performance --quick          # K = 8 and 64, fewer rounds
    python -m tests.benchmarks.performance --loop uvloop --json figures.json

Rounds are interleaved, so that a busy machine hits all contenders alike: trust the ratios, not the seconds.
CPU is that of the contender's process; the server's is not in it. Tracing is off.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.benchmarks.contenders import CONTENDERS, Contender, Job, script, work
from tests.benchmarks.endpoint import refusing
from tests.benchmarks.graphs import random_graphs
from tests.benchmarks.quick_server import quick_server
from tests.benchmarks.races import timed_disconnects
from weaver.testing import ServerProcess

Rows = dict[str, dict[str, float]]


def medians(
    contenders: list[Contender],
    job: Job,
    rounds: int,
    *,
    first: float = 0.0,
    each: float = 0.0,
    of: Callable[[dict[str, float]], float],
) -> dict[str, float]:
    """A figure of one job per contender, at its own scripted server; see `medians_at`."""
    with ServerProcess(script(job, first=first, each=each), dialect="vllm") as server:
        return medians_at(server.url, contenders, job, rounds, of=of)


def medians_at(
    url: str,
    contenders: list[Contender],
    job: Job,
    rounds: int,
    *,
    of: Callable[[dict[str, float]], float],
) -> dict[str, float]:
    """A figure of one job per contender: median over interleaved rounds, after one for warming up."""
    figures: dict[str, list[float]] = {c.name: [] for c in contenders}
    for number in range(rounds + 1):
        turn = number % len(contenders)
        for contender in contenders[turn:] + contenders[:turn]:
            measured = contender.measure(url, job)
            if number:
                figures[contender.name].append(of(measured))
    return {name: statistics.median(values) for name, values in figures.items()}


def per_call(measured: dict[str, float]) -> float:
    """CPU milliseconds of one model call."""
    return measured["cpu"] / measured["calls"] * 1e3


def cpu_per_call(contenders: list[Contender], sizes: list[int], rounds: int) -> Rows:
    """CPU of a call by the number of calls at once, without waiting and with answers that take 50 ms."""
    rows = {}
    for size in sizes:
        many = max(rounds, 100 // size)  # small jobs are quick and noisy
        rows[f"K={size}"] = medians(contenders, Job(size, 4), many, of=per_call)
    for size in sizes[1:]:
        rows[f"K={size}, 50 ms"] = medians(contenders, Job(size, 4), rounds, each=0.0125, of=per_call)
    return rows


def cpu_per_chunk(contenders: list[Contender], rounds: int) -> Rows:
    """CPU of a streamed chunk: what 200 words cost more than 4."""
    rows = {}
    for row, threads, each in (("64 streams, 20 ms apart", 64, 0.02), ("64 streams in one burst", 64, 0.0)):
        short, long = (
            medians(contenders, Job(threads, words), rounds, each=each, of=lambda m: m["cpu"] * 1e6)
            for words in (4, 204)
        )
        rows[row] = {name: (long[name] - short[name]) / (threads * 200) for name in short}
    return rows


def memory_per_thread(names: list[str], loop: str, threads: int) -> Rows:
    """Memory of a thread, all of them in flight at once, each contender in a fresh process."""
    row = {}
    for name in names:
        contender = Contender(name, loop)
        with ServerProcess(script(Job(1, 4)), dialect="vllm") as server:
            contender.measure(server.url, Job(1, 4))  # imports
        job = Job(threads, 4, memory=True)
        with ServerProcess(script(job, first=1.0), dialect="vllm") as server:
            row[name] = contender.measure(server.url, job)["grown"] / threads / 1024
        contender.close()
    return {f"K={threads}": row}


def calls_at_once(contenders: list[Contender], sizes: list[int], rounds: int) -> Rows:
    """Seconds until so many calls of 1 s have ended, on an endpoint that takes them all. Nothing is set."""
    rows = {}
    for size in sizes:
        job = Job(size, 4, learns=True)
        with quick_server(1.0) as url:
            rows[f"{size} calls of 1 s"] = medians_at(url, contenders, job, rounds, of=lambda m: m["wall"])
    return rows


def seconds_to_start() -> Rows:
    """CPU seconds of a whole `weaver run` and of imports, each in a new process; medians of 5.

    With compiled files, as an installed package has them.
    """
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    programs = {
        "python -c pass": ["-c", "pass"],
        "import weaver": ["-c", "import weaver"],
        "from weaver import Weaver": ["-c", "from weaver import Weaver"],
    }
    with ServerProcess("ok", dialect="vllm") as server:
        run = [
            "--model",
            "openai/scripted",
            "--base-url",
            server.url,
            "--strategy",
            "sequential",
            "--json",
            "Hi?",
        ]
        programs["weaver run"] = ["-m", "weaver", "run", *run]
        seconds: dict[str, list[float]] = {name: [] for name in programs}
        for _ in range(6):
            for name, arguments in programs.items():
                before = resource.getrusage(resource.RUSAGE_CHILDREN)
                subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env=environ)
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                seconds[name].append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return {"seconds": {name: statistics.median(values[1:]) for name, values in seconds.items()}}


def show(title: str, rows: Rows, *, base: str | None = "aiohttp", digits: int = 2) -> None:
    """Print values, and their ratios to bare aiohttp."""
    print(f"\n{title}" + (" (ratio to aiohttp)" if base else ""))
    width = max(map(len, rows))
    print(" " * width, *(f"{name:>26}" for name in next(iter(rows.values()))))
    for row, values in rows.items():
        cells = (
            f"{value:.{digits}f}" + (f" ({value / values[base]:4.2f})" if base else "")
            for value in values.values()
        )
        print(f"{row:{width}}", *(f"{cell:>26}" for cell in cells), flush=True)


def measure(*, quick: bool, rounds: int, loop: str, names: list[str]) -> dict[str, Rows]:
    """Every figure, by what it is."""
    figures: dict[str, Rows] = {}

    def take(title: str, rows: Rows, *, base: str | None = "aiohttp", digits: int = 2) -> None:
        figures[title] = rows
        show(title, rows, base=base, digits=digits)

    with ExitStack() as stack:
        contenders = [Contender(name, loop) for name in names]
        for contender in contenders:
            stack.callback(contender.close)
        take(
            "CPU per model call, ms", cpu_per_call(contenders, [8, 64] if quick else [1, 8, 64, 512], rounds)
        )
        take("CPU per streamed chunk, us", cpu_per_chunk(contenders, rounds))
        take(
            "Calls at once, s", calls_at_once(contenders, [1000] if quick else [1000, 10_000], min(rounds, 3))
        )
    take("Memory per thread in flight, KiB", memory_per_thread(names, loop, 512))
    capacities = [32] if quick else [32, 200, 1000]
    take("Endpoints that answer 429 above their capacity", refusing(capacities), base=None, digits=3)
    sizes = [64, 512] if quick else [64, 512, 4096]
    take("First result wins: ms to the last disconnect", timed_disconnects(sizes, min(rounds, 5)), base=None)
    sizes = [20] if quick else [20, 64, 200]
    graphs = random_graphs(sizes, min(rounds, 3))
    take("Random graphs: time over the longest chain, less 1", graphs, base=None, digits=4)
    take("Start, s of CPU", seconds_to_start(), base=None)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description="What orchestration costs beside bare aiohttp.")
    parser.add_argument("--quick", action="store_true", help="fewer sizes and rounds")
    parser.add_argument("--rounds", type=int, help="rounds per measurement (5; quick: 3)")
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    parser.add_argument("--only", help="contenders besides aiohttp, separated by commas")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        work(given.worker, given.loop)
        return
    chosen = given.only.split(",") if given.only else list(CONTENDERS)
    names = [name for name in CONTENDERS if name == "aiohttp" or name in chosen]
    rounds = given.rounds or (3 if given.quick else 5)
    with tempfile.TemporaryDirectory() as home:
        os.environ.update(WEAVER_HOME=home, WEAVER_TRACE_STORE="off")
        figures = measure(quick=given.quick, rounds=rounds, loop=given.loop, names=names)
    if given.json:
        about = {"python": platform.python_version(), "cpus": os.cpu_count(), "loop": given.loop}
        given.json.write_text(
            json.dumps({"about": about, "rounds": rounds, "figures": figures}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
