"""Workers that are killed while they work: nothing is lost, nothing is done twice, and takeover is quick.

Run it with a PostgreSQL that is installed, nothing else (about two minutes)::

    python plugins/weaver-postgres/tests_postgres/acceptance.py --runs 500

It starts a database, a model server that counts, and workers. Every few seconds it kills one that has runs
(SIGKILL), and starts another one a second later. It prints JSON and exits with 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT))

from tests.postgres import running  # noqa: E402
from weaver._dispatch.port import Job  # noqa: E402
from weaver._testing.scripted import Scripted  # noqa: E402
from weaver._testing.server import Server  # noqa: E402
from weaver._workers.submission import Submission  # noqa: E402
from weaver_postgres.dispatcher import PostgresDispatcher  # noqa: E402
from weaver_postgres.journal import PostgresJournal  # noqa: E402

FLOW = """\
version: weaver/v1
name: chain
inputs: {n: string}
steps:
  one: {task: 'First of ${{ inputs.n }}.'}
  two: {task: 'Second of ${{ inputs.n }}, after ${{ steps.one.output }}.'}
  three: {task: 'Third of ${{ inputs.n }}, after ${{ steps.two.output }}.'}
outputs: {all: '${{ steps.three.output }}'}
"""
FAN = """\
version: weaver/v1
name: fan
inputs: {n: string}
steps:
  each: {for_each: [a, b, c], task: 'Part ${{ item }} of ${{ inputs.n }}.', spread: true}
outputs: {all: '${{ steps.each.output }}'}
"""
TAKEOVER_GOAL = 10.0


@dataclass
class Kills:
    """Workers that were killed, and how long the runs that they had waited for another one.

    Attributes:
        taken: seconds from the kill to the next claim, by run.
    """

    count: int = 0
    orphans: int = 0
    taken: list[float] = field(default_factory=list)


def job(server: Server, number: int) -> Job:
    """One of four kinds of runs: a call, samples and a vote, a chain of steps, items on other workers."""
    settings: dict[str, Any] = {"model": "scripted", "base_url": server.url}
    run_id = f"run-{number:05}"
    if number % 4 == 0:
        submission = Submission(f"Question {run_id}?", settings={**settings, "strategy": "sequential"})
    elif number % 4 == 1:
        strategy = "self_consistency:samples=3"
        submission = Submission(f"Question {run_id}?", settings={**settings, "strategy": strategy})
    else:
        inputs = {"n": run_id}
        files = {"f.yaml": FLOW if number % 4 == 2 else FAN}
        submission = Submission(settings=settings, files=files, path="f.yaml", inputs=inputs)
    return Job(run_id, submission.about(), submitter=f"team{number % 4}")


class Workers:
    """Processes of ``weaver worker``."""

    def __init__(self, url: str, concurrency: int, folder: Path) -> None:
        self._url, self._concurrency, self._folder = url, concurrency, folder
        self.processes: list[asyncio.subprocess.Process] = []

    async def start(self) -> None:
        """Start one more."""
        environment = {
            **os.environ,
            "WEAVER_JOURNAL": self._url,
            "WEAVER_HOME": str(self._folder),
            "WEAVER_TRACE_STORE": "off",
        }
        with (self._folder / "workers.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "weaver", "worker", "-c", str(self._concurrency),
                env=environment, cwd=self._folder, stdout=log, stderr=log,
            )  # fmt: skip
        self.processes.append(process)

    async def end(self) -> None:
        """Drain all."""
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        await asyncio.gather(*(process.wait() for process in self.processes))


async def kill_now_and_then(workers: Workers, journal: PostgresJournal, every: float, kills: Kills) -> None:
    """Kill a worker as soon as one has runs, then another every few seconds, and watch their runs."""
    watching: set[asyncio.Task[None]] = set()
    while True:
        victim, orphans = await _busy_worker(workers, journal)
        workers.processes.remove(victim)
        victim.kill()
        await victim.wait()
        kills.count += 1
        kills.orphans += len(orphans)
        for run_id, claim in orphans:
            watching.add(asyncio.ensure_future(_watch(journal, run_id, claim, kills)))
        await asyncio.sleep(1.0)
        await workers.start()
        await asyncio.sleep(every * random.uniform(0.6, 1.4))


async def _busy_worker(
    workers: Workers, journal: PostgresJournal
) -> tuple[asyncio.subprocess.Process, list[tuple[str, int]]]:
    """Wait for a worker that has claimed runs; returns it with the runs and their claims."""
    while True:
        for process in random.sample(workers.processes, len(workers.processes)):
            claimed = await journal.database.rows(
                "SELECT run_id, claim FROM weaver.jobs WHERE state = 'claimed' "
                "AND split_part(worker, ':', 2) = %s",
                [str(process.pid)],
            )
            if claimed:
                return process, [(run_id, claim) for run_id, claim in claimed]
        await asyncio.sleep(0.05)


async def _watch(journal: PostgresJournal, run_id: str, claim: int, kills: Kills) -> None:
    began = time.monotonic()
    while True:
        query = "SELECT claim, state FROM weaver.jobs WHERE run_id = %s"
        ((number, state),) = await journal.database.rows(query, [run_id])
        if number > claim or state == "done":
            kills.taken.append(time.monotonic() - began)
            return
        await asyncio.sleep(0.2)


async def done_twice(journal: PostgresJournal, server: Server, runs: list[str]) -> list[str]:
    """Steps that were asked again although their end was recorded before."""
    offset = time.time() - time.monotonic()  # the server notes times of the monotonic clock
    requests = sorted((offset + r.at, json.dumps(r.body["messages"])) for r in server.requests)
    twice: list[str] = []
    parts: dict[str, list[str]] = {}
    for head in await journal.heads():
        if "parent" in head.about:
            parts.setdefault(head.about["parent"], []).append(head.run_id)
    for run_id in runs:
        mine = [(at, text) for at, text in requests if run_id in text]
        entries = list(await journal.entries(run_id))
        for part in parts.get(run_id, ()):
            entries += [replace(e, key=f"{part}/{e.key}") for e in await journal.entries(part)]
        asked = Counter(text for _, text in mine)
        ended = [entry for entry in entries if entry.kind == "ok" and "/call/" in f"/{entry.key}"]
        # Of each step with a recorded end, no request may begin after that end. Steps of a run that ask the
        # same (samples) are told apart by their number.
        last = max((entry.at for entry in ended), default=0.0)
        twice += [f"{run_id}: {text[:80]}" for at, text in mine if at > last + 0.001]
        for text, count in asked.items():
            same = [entry for entry in entries if entry.kind == "started" and _asks(entry.value, text)]
            if count > len(same):
                twice.append(f"{run_id}: {count} requests, {len(same)} announced: {text[:80]}")
        by_key: dict[str, float] = {}
        for entry in entries:
            if entry.kind == "ok":
                by_key[entry.key] = entry.at
            elif entry.kind == "started" and entry.key in by_key:
                twice.append(f"{run_id}: {entry.key} was begun again")
    return twice


def _asks(announced: Any, messages: str) -> bool:
    question = json.loads(messages)[-1]["content"]
    return isinstance(announced, str) and json.dumps(question)[1:-1] in announced


async def measure(options: argparse.Namespace, url: str, server: Server, folder: Path) -> dict[str, Any]:
    """Submit, kill, wait; returns the figures."""
    journal = PostgresJournal(url)
    dispatcher = PostgresDispatcher(journal.database)
    kinds = options.kinds or range(4)
    jobs = [job(server, 4 * number + kinds[number % len(kinds)]) for number in range(options.runs)]
    begun = time.monotonic()
    for start in range(0, len(jobs), 100):
        await dispatcher.submit(jobs[start : start + 100])
    submitted = time.monotonic() - begun
    workers, kills = Workers(url, options.concurrency, folder), Kills()
    for _ in range(options.workers):
        await workers.start()
    killer = asyncio.ensure_future(kill_now_and_then(workers, journal, options.every, kills))
    try:
        async with asyncio.timeout(options.timeout):
            while True:
                query = "SELECT count(*) FROM weaver.jobs WHERE state <> 'done'"
                ((open_jobs,),) = await journal.database.rows(query)
                if killer.done():
                    killer.result()
                if not open_jobs:
                    break
                await asyncio.sleep(0.5)
    finally:
        killer.cancel()
        seconds = time.monotonic() - begun
        await workers.end()
    runs = [job.run_id for job in jobs]
    heads = {head.run_id: head for head in await journal.heads()}
    wrong = [
        f"{run_id}: {heads[run_id].status}: {json.dumps(heads[run_id].result)[:600]}"
        for run_id in runs
        if heads[run_id].status != "complete" or "42" not in json.dumps(heads[run_id].result)
    ]
    twice = await done_twice(journal, server, runs)
    deaths = await journal.database.rows("SELECT sum(deaths), sum(claim) FROM weaver.jobs")
    await journal.aclose()
    return {
        "runs": len(runs),
        "lost_or_wrong": wrong,
        "steps_done_twice": twice,
        "kills": kills.count,
        "runs_of_killed_workers": kills.orphans,
        "takeover_seconds": {
            "max": round(max(kills.taken, default=0.0), 2),
            "median": round(sorted(kills.taken)[len(kills.taken) // 2], 2) if kills.taken else None,
        },
        "claims": int(deaths[0][1]),
        "requests": len(server.requests),
        "requests_cut_off": sum(r.closed == "disconnected" for r in server.requests),
        "seconds": round(seconds, 1),
        "submit_seconds": round(submitted, 2),
    }


def main() -> int:
    """Run it; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--concurrency", type=int, default=12, help="runs at once of a worker")
    parser.add_argument("--every", type=float, default=6.0, help="seconds between kills")
    parser.add_argument("--timeout", type=float, default=540.0)
    parser.add_argument("--kinds", type=int, nargs="*", choices=range(4), help="kinds of runs, see `job`")
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    random.seed(options.seed)
    replies = Scripted("The answer is 42.", first=0.6, each=0.05)
    with (
        tempfile.TemporaryDirectory() as name,
        running(syncs=True) as database,
        Server(replies).in_thread() as server,
    ):
        figures = asyncio.run(measure(options, database.new_database("runs"), server, Path(name)))
    print(json.dumps(figures, indent=2))
    slow = figures["takeover_seconds"]["max"] > TAKEOVER_GOAL
    return int(bool(figures["lost_or_wrong"] or figures["steps_done_twice"] or slow))


if __name__ == "__main__":
    sys.exit(main())
