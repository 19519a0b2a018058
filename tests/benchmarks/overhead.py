"""What orchestration costs beside bare aiohttp: CPU per call and per chunk, memory per thread.

    python -m tests.benchmarks.overhead            # some minutes; prints medians and ratios
    python -m tests.benchmarks.overhead --quick    # K = 8 and 64, fewer rounds

One job everywhere: plan (1 streamed call), K threads at once (1 streamed call each), synthesis (1 streamed
call), against a model server in a process of its own on the loopback interface, without TLS. Contenders:

- `aiohttp`: the same requests by hand, with line-wise reading of events and `json.loads`;
- `adapter`: the same through `OpenAIModel`;
- `layers`: the same through `layered(OpenAIModel)`: limits and retries on;
- `weaver`: `Weaver.run` with the planner, the fork and the synthesis, a deadline and budgets; no listener;
- `events`: `Weaver.stream` with every event read; tracing is off (no SDK) in both.

Each contender runs in a process of its own; rounds are interleaved, so that a busy machine hits all alike.
CPU is that of the contender's process, the server's is not in it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import statistics
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from weaver.testing import Scripted, ServerProcess
from weaver.usage import Usage

CONTENDERS = ("aiohttp", "adapter", "layers", "weaver", "events")
TASK = "Answer these questions one by one:\n" + "\n".join(f"{i}. What is fact {i}?" for i in range(1, 6))


@dataclass(frozen=True)
class Job:
    """One plan, ``threads`` threads with ``words`` words each, one synthesis."""

    threads: int
    words: int
    memory: bool = False
    given_plan: bool = False

    @property
    def calls(self) -> int:
        return self.threads + (1 if self.given_plan else 2)


def script(job: Job, *, first: float, each: float) -> list[Scripted]:
    """What the server says: the plan to the planner, ``words`` words to threads, a sentence to the rest."""
    plan = {
        "parallel": True,
        "reason": "independent questions",
        "subtasks": [_subtask(i) for i in range(job.threads)],
    }
    usage = Usage(1, 100, job.words)
    # The plan's JSON has no spaces, so it comes as one chunk: its length is not what is measured.
    return [
        Scripted(
            json.dumps(plan, separators=(",", ":")).replace(" ", "_"), when="You decide how", usage=usage
        ),
        Scripted("word " * job.words, when="Look_up_fact", first=first, each=each, usage=usage),
        Scripted("All facts are known.", usage=usage),
    ]


def _subtask(i: int) -> dict[str, Any]:
    prompt = f"Look_up_fact_{i}"
    return {
        "id": f"s{i}",
        "title": f"fact_{i}",
        "prompt": prompt,
        "depends_on": [],
        "agent": None,
        "max_tokens": 500,
    }


# ---------------------------------------------------------------- contenders, each in a process of its own


async def run_aiohttp(url: str, job: Job) -> int:
    """The same requests by hand. Gives the number of calls."""
    import aiohttp

    async def call(session: aiohttp.ClientSession, *messages: tuple[str, str]) -> str:
        body = {
            "model": "scripted",
            "messages": [{"role": role, "content": content} for role, content in messages],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        text = []
        async with session.post(f"{url}/chat/completions", json=body) as response:
            response.raise_for_status()
            async for line in response.content:
                if line.startswith(b"data: ") and not line.startswith(b"data: [DONE]"):
                    chunk = json.loads(line[6:])
                    if chunk["choices"] and (said := chunk["choices"][0]["delta"].get("content")):
                        text.append(said)
        return "".join(text)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        if job.given_plan:
            subtasks = [_subtask(i) for i in range(job.threads)]
        else:
            plan = json.loads(await call(session, ("system", "You decide how"), ("user", TASK)))
            subtasks = plan["subtasks"]
        asked = [("system", "Work on this."), ("user", TASK)]
        found = await asyncio.gather(*(call(session, *asked, ("user", s["prompt"])) for s in subtasks))
        await call(session, ("user", "Merge:" + "x" * min(10_000, sum(map(len, found)))))
    return job.calls


async def run_model(url: str, job: Job, *, layers: bool) -> int:
    """The same requests through the adapter."""
    from weaver.messages import system, user
    from weaver.models.compose import layered
    from weaver.models.layers.limit import EndpointLimits
    from weaver.models.openai.model import OpenAIModel
    from weaver.models.protocol import Model, Request, Text

    model: Model = OpenAIModel("openai/scripted", base_url=url)
    if layers:
        model = layered(model, limits=EndpointLimits(concurrency=100_000))

    async def call(*messages: Any) -> str:
        async with model.stream(Request(messages=messages)) as deltas:
            return "".join([delta.text async for delta in deltas if type(delta) is Text])

    if job.given_plan:
        subtasks = [_subtask(i) for i in range(job.threads)]
    else:
        subtasks = json.loads(await call(system("You decide how"), user(TASK)))["subtasks"]
    asked = (system("Work on this."), user(TASK))
    found = await asyncio.gather(*(call(*asked, user(s["prompt"])) for s in subtasks))
    await call(user("Merge:" + "x" * min(10_000, sum(map(len, found)))))
    await model.aclose()
    return job.calls


async def run_weaver(url: str, job: Job, *, events: bool) -> int:
    """The whole thing."""
    from weaver import Plan, Subtask, Weaver
    from weaver.events import RunFinished
    from weaver.models.compose import layered
    from weaver.models.layers.limit import EndpointLimits
    from weaver.models.openai.model import OpenAIModel

    weaver = Weaver(
        model=layered(
            OpenAIModel("openai/scripted", base_url=url), limits=EndpointLimits(concurrency=100_000)
        ),
        strategy=f"adaptive:gate=off,max_subtasks={job.threads},speculate=false,conflicts=off,hedge=false,prune=off",
        deadline=300,
        max_calls=1_000_000,
        max_tokens=1_000_000_000,
        max_threads=1_000_000,
    )
    options: dict[str, Any] = {}
    if job.given_plan:
        options["plan"] = Plan(
            parallel=True, subtasks=[Subtask.model_validate(_subtask(i)) for i in range(job.threads)]
        )
    if events:
        result = None
        async with weaver.stream(TASK, **options) as run:
            async for event in run:
                if isinstance(event, RunFinished):
                    result = event.result
    else:
        result = await weaver.run(TASK, **options)
    await weaver.aclose()
    assert result is not None
    done = sum(t.state == "succeeded" and t.id.startswith("s") for t in result.threads)
    if result.status != "complete" or done != job.threads:
        raise RuntimeError(f"{result.status}, {done} threads, notes: {result.notes}")
    return result.usage.calls  # one more than by hand: under a deadline, a direct answer as insurance


async def run(contender: str, url: str, job: Job) -> int:
    """One job by one contender. Gives the number of calls."""
    match contender:
        case "aiohttp":
            return await run_aiohttp(url, job)
        case "adapter" | "layers":
            return await run_model(url, job, layers=contender == "layers")
        case _:
            return await run_weaver(url, job, events=contender == "events")


def work(contender: str) -> None:
    """The loop of a contender's process: a job per line, a measurement per line."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for line in sys.stdin:
        given = json.loads(line)
        url, job, loop = given["url"], Job(**given["job"]), given["loop"]
        factory = None
        if loop == "uvloop":
            import uvloop

            factory = uvloop.new_event_loop
        peak = _Peak() if job.memory else None
        cpu, wall = time.process_time(), time.perf_counter()
        try:
            with asyncio.Runner(loop_factory=factory) as runner:
                calls = runner.run(run(contender, url, job))
        except Exception as error:  # noqa: BLE001 - told to the parent
            print(json.dumps({"error": f"{type(error).__name__}: {error}"[:500]}), flush=True)
            continue
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        grown = peak.stop() if peak is not None else 0
        print(json.dumps({"cpu": cpu, "wall": wall, "grown": grown, "calls": calls}), flush=True)


class _Peak:
    """How far the process's memory grows meanwhile, in bytes."""

    def __init__(self) -> None:
        self._start = self._most = self._now()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        self._done.set()
        self._thread.join()
        return self._most - self._start

    def _watch(self) -> None:
        while not self._done.wait(0.05):
            self._most = max(self._most, self._now())

    @staticmethod
    def _now() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


class Contender:
    """A contender's process, told what to do line by line."""

    def __init__(self, name: str, loop: str) -> None:
        self.name = name
        self._loop = loop
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.overhead", "--worker", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def measure(self, url: str, job: Job) -> dict[str, float]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"url": url, "job": asdict(job), "loop": self._loop}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"The process of {self.name!r} ended with code {self._process.wait()}.")
        found: dict[str, Any] = json.loads(line)
        if "error" in found:
            raise SystemExit(f"{self.name}: {found['error']}")
        return found

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


# ---------------------------------------------------------------- measurements


def medians(
    contenders: list[Contender], job: Job, rounds: int, *, each: float = 0.0, by_call: bool = False
) -> dict[str, float]:
    """CPU seconds of one job, or of one of its calls, per contender: median over interleaved rounds.

    One more round comes first, for warming up.
    """
    found: dict[str, list[float]] = {c.name: [] for c in contenders}
    with ServerProcess(script(job, first=0.0, each=each), dialect="vllm") as server:
        for i in range(rounds + 1):
            for contender in contenders[i % len(contenders) :] + contenders[: i % len(contenders)]:
                measured = contender.measure(server.url, job)
                if i:
                    found[contender.name].append(measured["cpu"] / (measured["calls"] if by_call else 1))
    return {name: statistics.median(values) for name, values in found.items()}


def table(title: str, unit: str, rows: dict[str, dict[str, float]]) -> None:
    """Print values and their ratios to bare aiohttp."""
    print(f"\n{title}, {unit} (ratio to aiohttp)")
    width = max(map(len, rows))
    print(" " * width, *(f"{name:>16}" for name in next(iter(rows.values()))))
    for row, values in rows.items():
        base = values["aiohttp"]
        cells = (f"{value:9.2f} ({value / base:4.2f})" for value in values.values())
        print(f"{row:{width}}", *(f"{cell:>16}" for cell in cells), flush=True)


def per_call(contenders: list[Contender], sizes: list[int], rounds: int) -> dict[str, dict[str, float]]:
    """CPU milliseconds per model call of a whole job."""
    rows = {}
    for size in sizes:
        job = Job(size, 4)
        # Small jobs are quick and noisy.
        cpu = medians(contenders, job, max(rounds, 200 // size if size < 64 else rounds), by_call=True)
        rows[f"K={size}"] = {name: value * 1e3 for name, value in cpu.items()}
    return rows


def per_chunk(contenders: list[Contender], rounds: int) -> dict[str, dict[str, float]]:
    """CPU microseconds per streamed chunk: what 200 words cost more than 4."""
    rows = {}
    for row, threads, each in (("64 streams, 20 ms apart", 64, 0.02), ("64 streams in one burst", 64, 0.0)):
        short = medians(contenders, Job(threads, 4), rounds, each=each)
        long = medians(contenders, Job(threads, 204), rounds, each=each)
        rows[row] = {name: (long[name] - short[name]) / (threads * 200) * 1e6 for name in short}
    return rows


def per_thread(names: tuple[str, ...], loop: str, threads: int) -> dict[str, float]:
    """KiB of memory per thread, all of them in flight at once, each contender in a fresh process."""
    found = {}
    for name in names:
        contender = Contender(name, loop)
        with ServerProcess(script(Job(1, 4), first=0.0, each=0.0), dialect="vllm") as server:
            contender.measure(server.url, Job(1, 4))  # imports
        job = Job(threads, 4, memory=True, given_plan=True)
        with ServerProcess(script(job, first=1.0, each=0.0), dialect="vllm") as server:
            found[name] = contender.measure(server.url, job)["grown"] / threads / 1024
            if server.stats()["max_in_flight"] < threads * 0.99:
                print(f"  ({name}: only {server.stats()['max_in_flight']} were in flight at once)")
        contender.close()
    return found


def many_threads(loop: str, threads: int) -> None:
    """All at once in one process, without error."""
    contender = Contender("weaver", loop)
    job = Job(threads, 4, memory=True, given_plan=True)
    with ServerProcess(script(job, first=1.0, each=0.0), dialect="vllm") as server:
        measured = contender.measure(server.url, job)
        stats = server.stats()
    contender.close()
    print(
        f"\n{threads} threads at once through Weaver: {measured['wall']:.1f} s, "
        f"{measured['cpu'] / measured['calls'] * 1e3:.2f} ms of CPU per call, "
        f"{measured['grown'] / threads / 1024:.0f} KiB per thread, "
        f"{stats['max_in_flight']} in flight at once, {stats['finished']} finished, "
        f"{stats['failed'] + stats['disconnected']} not."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="What orchestration costs beside bare aiohttp.")
    parser.add_argument("--quick", action="store_true", help="K = 8 and 64 only, fewer rounds")
    parser.add_argument("--rounds", type=int, help="rounds per measurement (5; quick: 3)")
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    parser.add_argument("--only", help="contenders, separated by commas")
    parser.add_argument("--threads", type=int, default=10_000, help="for the last part; 0 leaves it out")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        work(given.worker)
        return
    rounds = given.rounds or (3 if given.quick else 5)
    names = tuple(n for n in CONTENDERS if not given.only or n in (*given.only.split(","), "aiohttp"))
    with ExitStack() as stack:
        contenders = [Contender(name, given.loop) for name in names]
        for contender in contenders:
            stack.callback(contender.close)
        sizes = [8, 64] if given.quick else [8, 64, 512]
        table("CPU per model call", "ms", per_call(contenders, sizes, rounds))
        table("CPU per streamed chunk", "µs", per_chunk(contenders, rounds))
    memory = per_thread(names, given.loop, 512)
    table("Memory per thread in flight", "KiB", {"K=512": memory})
    if given.threads and "weaver" in names:
        many_threads(given.loop, given.threads)


if __name__ == "__main__":
    main()
