"""Who is measured: bare aiohttp, our layers, and the whole of weaver, each in a process of its own.

One job everywhere: K calls at once and one after them, each streamed, against a model server in a process of
its own on the loopback interface, without TLS. Each contender keeps its connections from job to job.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from weaver._data.usage import Usage
from weaver.testing import Scripted

TASK = "Answer these questions one by one:\n" + "\n".join(f"{i}. What is fact {i}?" for i in range(1, 6))


@dataclass(frozen=True)
class Job:
    """``threads`` calls at once with ``words`` words each, and one call that merges them.

    Args:
        memory: watch how far the process grows meanwhile.
        learns: weaver learns how many calls at once the endpoint takes, instead of sending all.
    """

    threads: int
    words: int
    memory: bool = False
    learns: bool = False

    @property
    def calls(self) -> int:
        return self.threads + 1


def script(job: Job, *, first: float = 0.0, each: float = 0.0) -> list[Scripted]:
    """What the server says: ``words`` words to threads, a sentence to the rest."""
    varied = "".join(f"word{number} " for number in range(job.words))  # repetition would end the call
    usage = Usage(1, 100, job.words)
    return [
        Scripted(varied, when="Look_up_fact", first=first, each=each, usage=usage),
        Scripted("All facts are known.", usage=usage),
    ]


class Client(Protocol):
    """A contender at one server."""

    async def do(self, job: Job) -> int:
        """Do a job. Gives the number of calls."""
        ...

    async def aclose(self) -> None: ...


class Bare:
    """The requests by hand: line-wise reading of events, and `json.loads`."""

    def __init__(self, url: str) -> None:
        import aiohttp

        self._url = f"{url}/chat/completions"
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))

    async def do(self, job: Job) -> int:
        asked = [("system", "Work on this."), ("user", TASK)]
        texts = await asyncio.gather(
            *(self._call(*asked, ("user", f"Look_up_fact_{i}")) for i in range(job.threads))
        )
        await self._call(("user", "Merge:" + "x" * min(10_000, sum(map(len, texts)))))
        return job.calls

    async def _call(self, *messages: tuple[str, str]) -> str:
        body = {
            "model": "scripted",
            "messages": [{"role": role, "content": content} for role, content in messages],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        text = []
        async with self._session.post(self._url, json=body) as response:
            response.raise_for_status()
            async for line in response.content:
                if line.startswith(b"data: ") and not line.startswith(b"data: [DONE]"):
                    chunk = json.loads(line[6:])
                    if chunk["choices"] and (said := chunk["choices"][0]["delta"].get("content")):
                        text.append(said)
        return "".join(text)

    async def aclose(self) -> None:
        await self._session.close()


class Layers:
    """The same through `layered(OpenAIModel)`: limits and retries on."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._models: dict[bool, Any] = {}

    def _model(self, learns: bool) -> Any:
        from weaver._models.compose import layered
        from weaver._models.layers.limit import EndpointLimits, Gates
        from weaver._models.openai.model import OpenAIModel

        if learns not in self._models:
            limits = EndpointLimits(None if learns else 100_000)
            inside = OpenAIModel("openai/scripted", base_url=self._url)
            self._models[learns] = layered(inside, limits=limits, gates=Gates())
        return self._models[learns]

    async def do(self, job: Job) -> int:
        from weaver._data.messages import system, user
        from weaver._models.layers.call_log import CallLog, current_call
        from weaver._models.protocol import Request, Text

        model = self._model(job.learns)

        async def call(*messages: Any) -> str:
            current_call.set(CallLog())
            async with model.stream(Request(messages=messages)) as deltas:
                return "".join([delta.text async for delta in deltas if type(delta) is Text])

        asked = (system("Work on this."), user(TASK))
        texts = await asyncio.gather(*(call(*asked, user(f"Look_up_fact_{i}")) for i in range(job.threads)))
        await call(user("Merge:" + "x" * min(10_000, sum(map(len, texts)))))
        return job.calls

    async def aclose(self) -> None:
        for model in self._models.values():
            await model.aclose()


class Whole:
    """`Weaver` with a given plan: forks, a deadline, budgets, the merge; conflicts and hedges off.

    Args:
        events: read every event of `Weaver.stream`, instead of `Weaver.run`.
    """

    def __init__(self, url: str, *, events: bool = False) -> None:
        self._url, self._events = url, events
        self._weavers: dict[bool, Any] = {}

    def _weaver(self, learns: bool) -> Any:
        from weaver import Weaver
        from weaver._models.compose import layered
        from weaver._models.layers.limit import EndpointLimits, Gates
        from weaver._models.openai.model import OpenAIModel

        if learns not in self._weavers:
            limits = EndpointLimits(None if learns else 100_000)
            self._weavers[learns] = Weaver(
                layered(OpenAIModel("openai/scripted", base_url=self._url), limits=limits, gates=Gates()),
                strategy="adaptive:gate=off,merge=write,speculate=false,conflicts=off,hedge=false,prune=off",
                deadline=300,
                max_calls=1_000_000,
                max_total_tokens=1_000_000_000,
                max_threads=1_000_000,
            )
        return self._weavers[learns]

    async def do(self, job: Job) -> int:
        from weaver import Plan, Subtask
        from weaver.events import RunFinished

        subtasks = [
            Subtask(id=f"s{i}", title=f"fact_{i}", prompt=f"Look_up_fact_{i}") for i in range(job.threads)
        ]
        plan = Plan(parallel=True, subtasks=subtasks)
        weaver = self._weaver(job.learns)
        if self._events:
            result = None
            async with weaver.stream(TASK, plan=plan) as run:
                async for event in run:
                    if isinstance(event, RunFinished):
                        result = event.result
        else:
            result = await weaver.run(TASK, plan=plan)
        assert result is not None
        done = sum(t.state == "succeeded" for t in result.threads)
        if result.status != "complete" or done != job.threads:
            raise RuntimeError(f"{result.status}, {done} threads, notes: {result.notes}")
        calls: int = result.usage.calls
        return calls

    async def aclose(self) -> None:
        for weaver in self._weavers.values():
            await weaver.aclose()


CONTENDERS: dict[str, Callable[[str], Client]] = {
    "aiohttp": Bare,
    "layers": Layers,
    "weaver": Whole,
    "events": lambda url: Whole(url, events=True),
}


def work(name: str, loop: str) -> None:
    """The loop of a contender's process: a job per line, a measurement per line."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    factory = None
    if loop == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    clients: dict[str, Client] = {}

    async def do(url: str, job: Job) -> int:
        if url not in clients:
            for client in clients.values():
                await client.aclose()
            clients.clear()
            clients[url] = CONTENDERS[name](url)
        return await clients[url].do(job)

    async def close() -> None:
        for client in clients.values():
            await client.aclose()

    with asyncio.Runner(loop_factory=factory) as runner:
        for line in sys.stdin:
            given = json.loads(line)
            job = Job(**given["job"])
            peak = _Peak() if job.memory else None
            cpu, wall = time.process_time(), time.perf_counter()
            try:
                calls = runner.run(do(given["url"], job))
            except Exception as error:  # noqa: BLE001 - told to the parent
                print(json.dumps({"error": f"{type(error).__name__}: {error}"[:500]}), flush=True)
                continue
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            grown = peak.stop() if peak is not None else 0
            print(json.dumps({"cpu": cpu, "wall": wall, "grown": grown, "calls": calls}), flush=True)
        runner.run(close())


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
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.performance", "--worker", name, "--loop", loop],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def measure(self, url: str, job: Job) -> dict[str, float]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"url": url, "job": asdict(job)}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"The process of {self.name!r} ended with code {self._process.wait()}.")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise SystemExit(f"{self.name}: {answer['error']}")
        return answer

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()
