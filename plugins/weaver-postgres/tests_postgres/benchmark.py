"""What one worker and one database carry: the figures of docs/scaling.md.

    python plugins/weaver-postgres/tests_postgres/benchmark.py

It starts a database and a model server that answers at once, and prints JSON. Rates are those of a machine
that may have other work; CPU times are steadier.
"""

from __future__ import annotations

import asyncio
import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))

from tests.postgres import running
from weaver._dispatch.port import Job
from weaver._journal.port import Entry
from weaver._testing.scripted import Scripted
from weaver._testing.server_process import ServerProcess
from weaver._workers.running import Runs
from weaver._workers.submission import Submission
from weaver._workers.worker import Worker
from weaver_postgres.dispatcher import PostgresDispatcher
from weaver_postgres.journal import PostgresJournal


def cpu() -> float:
    """CPU seconds of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


@asynccontextmanager
async def measured(figures: dict[str, Any], name: str, count: int) -> AsyncIterator[None]:
    """Add rate and CPU of what happens in the block ``count`` times."""
    began, used = time.perf_counter(), cpu()
    yield
    seconds, used = time.perf_counter() - began, cpu() - used
    figures[name] = {
        "count": count,
        "per_second": round(count / seconds),
        "cpu_ms_each": round(1_000 * used / count, 3),
    }


async def journal_figures(url: str, figures: dict[str, Any]) -> None:
    """Entries in bulk and alone, and opening a long run."""
    journal = PostgresJournal(url)
    epoch = (await journal.open("bulk")).epoch
    async with measured(figures, "entries_from_256_threads", 10_000):
        room = asyncio.Semaphore(256)

        async def add(number: int) -> None:
            async with room:
                await journal.append("bulk", epoch, (Entry(f"s{number}/call/0", "ok", "x" * 200, "f"),))

        await asyncio.gather(*(add(number) for number in range(10_000)))
    epoch = (await journal.open("alone")).epoch
    async with measured(figures, "entries_one_by_one", 300):
        for number in range(300):
            await journal.append("alone", epoch, (Entry(f"s{number}", "ok", "x" * 200, "f"),))
    async with measured(figures, "opening_a_run_of_10000_entries", 1):
        await journal.open("bulk")
    await journal.aclose()


async def queue_figures(url: str, figures: dict[str, Any]) -> None:
    """Submitting, and claiming from a long queue of 20 submitters."""
    journal = PostgresJournal(url)
    dispatcher = PostgresDispatcher(journal.database)
    jobs = [Job(f"q{i}", {"question": "q"}, queue="long", submitter=f"s{i % 20}") for i in range(20_000)]
    async with measured(figures, "submitting_in_batches_of_500", len(jobs)):
        for start in range(0, len(jobs), 500):
            await dispatcher.submit(jobs[start : start + 500])
    async with measured(figures, "claims_of_8_from_20000_jobs", 60):
        for _ in range(60):
            await dispatcher.claim("w", 8, queues=["long"])
    await journal.aclose()


async def run_figures(url: str, model: str, figures: dict[str, Any], runs: int) -> None:
    """Whole runs of one call each, in this process."""
    journal = PostgresJournal(url)
    dispatcher = PostgresDispatcher(journal.database)
    settings = {"model": "scripted", "base_url": model, "strategy": "sequential"}
    jobs = [Job(f"r{i}", Submission(f"q{i}", settings=settings).about()) for i in range(runs)]
    await dispatcher.submit(jobs)
    worker = Worker(dispatcher, journal, Runs(journal), concurrency=100)
    async with measured(figures, "runs_of_one_call_100_at_once", runs):
        serving = asyncio.ensure_future(worker.serve())
        while True:
            query = "SELECT count(*) FROM weaver.jobs WHERE state <> 'done' AND queue = 'default'"
            if not (await journal.database.rows(query))[0][0]:
                break
            await asyncio.sleep(0.1)
        worker.drain()
        await serving
    await journal.aclose()


async def cancel_figures(url: str, model: str, figures: dict[str, Any]) -> None:
    """Seconds from cancelling a run until its worker has stopped it."""
    journal, other = PostgresJournal(url), PostgresJournal(url)
    dispatcher, user = PostgresDispatcher(journal.database), PostgresDispatcher(other.database)
    settings = {"model": "scripted", "base_url": model, "strategy": "sequential"}
    worker = Worker(dispatcher, journal, Runs(journal), concurrency=30)
    serving = asyncio.ensure_future(worker.serve())
    seconds: list[float] = []
    for number in range(20):
        await user.submit([Job(f"c{number}", Submission("slow", settings=settings).about())])
        while not worker.running:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.5)
        began = time.perf_counter()
        await user.cancel(f"c{number}")
        while worker.running:
            await asyncio.sleep(0.002)
        seconds.append(time.perf_counter() - began)
    figures["cancel_seconds"] = {
        "median": round(statistics.median(seconds), 3),
        "max": round(max(seconds), 3),
    }
    worker.drain()
    await serving
    await journal.aclose()
    await other.aclose()


async def measure(url: str, runs: int) -> dict[str, Any]:
    """All figures."""
    figures: dict[str, Any] = {}
    with ServerProcess("42") as fast, ServerProcess(Scripted("4 2", each=3_600.0)) as slow:
        await journal_figures(url, figures)
        await queue_figures(url, figures)
        await run_figures(url, fast.url, figures, runs)
        await cancel_figures(url, slow.url, figures)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024
    return {**figures, "peak_megabytes": round(peak)}


def main() -> None:
    """Run it."""
    import os

    with tempfile.TemporaryDirectory() as home, running(syncs=True) as server:
        os.environ["WEAVER_HOME"], os.environ["WEAVER_TRACE_STORE"] = home, "off"
        print(json.dumps(asyncio.run(measure(server.new_database("runs"), 1_000)), indent=2))


if __name__ == "__main__":
    main()
