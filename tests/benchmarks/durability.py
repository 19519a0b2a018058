"""What durable runs cost: CPU of a model call, recorded steps a second, seconds until a long run goes on.

    python -m tests.benchmarks.durability            # half a minute

Times are CPU seconds of the whole process, its writer thread included, and the least of some rounds: other
programs on the machine make them larger, never smaller. Wall seconds are given where they are promised.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from weaver import Answer, Run, Task, Weaver
from weaver._journal.port import Entry
from weaver._journal.sqlite import SQLiteJournal
from weaver._runtime.state.record import Record
from weaver.testing import ScriptedModel

CALLS = 200
WORDS = 100
ENTRIES = 20_000
WRITERS = 256
LONG = 10_000


async def many(run: Run, task: Task) -> Answer:
    """As many threads as calls, each with one."""
    async with run.fork([Task(f"part {i}") for i in range(CALLS)]) as threads:
        return Answer(str(len(await threads.join())))


async def cpu_of_calls(folder: Path, rounds: int) -> dict[str, float]:
    """CPU milliseconds of a model call, durable and not, and what the difference is."""
    model = ScriptedModel("word " * WORDS)
    least = {"plain": float("inf"), "durable": float("inf")}
    for number in range(rounds + 1):
        for kind in ("plain", "durable"):
            journal = SQLiteJournal(folder / "calls.sqlite") if kind == "durable" else None
            weaver = Weaver(model, strategy=many, journal=journal, trace=False)
            began = time.process_time()
            await weaver.run("q", run_id=f"{kind}-{number}")
            if journal is not None:
                await journal.aclose()
            if number:
                least[kind] = min(least[kind], (time.process_time() - began) / CALLS * 1e3)
    return {
        "plain_ms_a_call": least["plain"],
        "durable_ms_a_call": least["durable"],
        "durable_adds_ms_a_call": least["durable"] - least["plain"],
    }


async def bulk(folder: Path) -> dict[str, float]:
    """Entries a second from many threads at once, each on disk before its thread goes on; and one alone."""
    journal = SQLiteJournal(folder / "bulk.sqlite")
    epoch = (await journal.open("r")).epoch

    async def write(writer: int) -> None:
        for i in range(ENTRIES // WRITERS):
            await journal.append("r", epoch, (Entry(f"s{writer}/{i}", "ok", "a reply of some words " * 8),))

    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(write(writer) for writer in range(WRITERS)))
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    began = time.perf_counter()
    for i in range(50):
        await journal.append("r", epoch, (Entry(f"alone/{i}", "ok", "x"),))
    alone = (time.perf_counter() - began) / 50
    await journal.aclose()
    count = ENTRIES // WRITERS * WRITERS
    return {
        "entries_a_second": count / seconds,
        "cpu_ms_an_entry": cpu / count * 1e3,
        "alone_ms": alone * 1e3,
    }


async def resume(folder: Path) -> dict[str, float]:
    """Seconds until a run of 10,000 entries is read, and until all of it has been replayed."""
    journal = SQLiteJournal(folder / "long.sqlite")

    async def steps(run: Run, task: Task) -> Answer:
        async def work() -> str:
            return "a recorded value " * 8

        for _ in range(LONG // 100):
            await asyncio.gather(*(run.step("s", work) for _ in range(100)))
        return Answer("done")

    weaver = Weaver(ScriptedModel("ok"), strategy=steps, journal=journal, trace=False)
    await weaver.run("q", run_id="r")
    began = time.perf_counter()
    opened = await journal.open("r")
    record = Record(journal, "r", opened, halt=lambda _: None, on_paid=lambda *_: None)
    read = time.perf_counter() - began
    assert record.find("s/17") is not None
    began = time.perf_counter()
    await weaver.run("q", run_id="r")
    replayed = time.perf_counter() - began
    await journal.aclose()
    return {"read_10000_entries_s": read, "replay_10000_entries_s": replayed}


async def measured(rounds: int) -> dict[str, Any]:
    """All figures."""
    with tempfile.TemporaryDirectory(prefix="weaver-durability-") as name:
        folder = Path(name)
        figures: dict[str, Any] = {"python": platform.python_version(), "machine": platform.machine()}
        figures |= await cpu_of_calls(folder, rounds)
        figures |= await bulk(folder)
        return figures | await resume(folder)


def main() -> int:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    figures = asyncio.run(measured(parser.parse_args().rounds))
    rounded = {name: round(v, 3) if isinstance(v, float) else v for name, v in figures.items()}
    print(json.dumps(rounded, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
