"""What `weaver serve` adds: latency and CPU of streamed answers, and memory of clients at the same time.

``python -m tests.benchmarks.serving [CLIENTS [PAUSE]]`` starts a model server and `weaver serve` in processes
of their own, asks the model server directly and through Weaver, and prints a table.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp

from weaver.testing import Scripted, ServerProcess

SECONDS = 3.0
PAUSE = 0.05


@dataclass
class Figures:
    """Of all clients: seconds to the first text and to the end, and how many chunks came."""

    first: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    chunks: int = 0
    errors: int = 0


async def ask(http: aiohttp.ClientSession, url: str, model: str, figures: Figures, mark: int) -> None:
    """One client: stream an answer, and check that it is its own."""
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": f"mark-{mark}"}]}
    began = time.perf_counter()
    first = None
    text: list[str] = []
    try:
        async with http.post(f"{url}/chat/completions", json=body) as answer:
            async for line in answer.content:
                if b'"content":"' not in line or b'"content":""' in line:
                    continue
                figures.chunks += 1
                text.append(line.decode())
                first = first or time.perf_counter()
    except aiohttp.ClientError:
        figures.errors += 1
        return
    marks = set(re.findall(r"mark-\d+", "".join(text)))
    if first is None or marks != {f"mark-{mark}"}:
        figures.errors += 1
        return
    figures.first.append(first - began)
    figures.whole.append(time.perf_counter() - began)


async def load(url: str, model: str, clients: int, *, within: float = 2.0) -> Figures:
    """Ask with so many clients, who come within so many seconds."""
    figures = Figures()
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(120)) as http:

        async def later(number: int) -> None:
            await asyncio.sleep(within * number / clients)
            await ask(http, url, model, figures, number)

        await asyncio.gather(*(later(number) for number in range(clients)))
    return figures


@contextmanager
def serving(upstream: str, folder: Path) -> Iterator[tuple[str, int]]:
    """A `weaver serve` process; its URL and process id."""
    command = [sys.executable, "-m", "weaver", "serve", "--port", "0", "--model", "openai/scripted"]
    environ = {**os.environ, "WEAVER_HOME": str(folder), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [*command, "--base-url", upstream], cwd=folder, env=environ, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            yield line.split(" at ")[1].split()[0], process.pid
        finally:
            process.terminate()
            process.wait(20)


def memory(pid: int) -> float:
    """Resident megabytes of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024


def cpu(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def descriptors(pid: int) -> int:
    """Open files and sockets of a process."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def percentile(values: list[float], share: float) -> float:
    """The value that ``share`` of the values do not pass."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


@contextmanager
def sampled(pid: int) -> Iterator[list[float]]:
    """Megabytes of a process, twice a second, in a thread."""
    import threading

    values: list[float] = []
    stop = threading.Event()

    def sample() -> None:
        while not stop.wait(0.5):
            values.append(memory(pid))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield values
    finally:
        stop.set()
        thread.join()


def report(name: str, figures: Figures, expected: float) -> None:
    """One row."""
    added = [value - expected for value in figures.whole]
    print(
        f"| {name} | {len(figures.whole)} | {figures.errors} | {1000 * statistics.median(figures.first):.0f} "
        f"| {1000 * percentile(figures.first, 0.99):.0f} | {1000 * percentile(added, 0.99):.0f} |"
    )


def disconnects(models: ServerProcess, url: str, times: int = 30) -> list[float]:
    """Seconds from the end of a client to the end of its call at the model server."""
    values = []
    host, port = url.removeprefix("http://").removesuffix("/v1").split(":")
    body = json.dumps(
        {"model": "weaver/direct", "stream": True, "messages": [{"role": "user", "content": "mark-0"}]}
    )
    for _ in range(times):
        with socket.create_connection((host, int(port))) as sock:
            head = (
                f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            sock.sendall((head + body).encode())
            while not models.stats()["in_flight"]:
                time.sleep(0.001)
            time.sleep(0.1)
        began = time.perf_counter()
        while models.stats()["in_flight"]:
            time.sleep(0.001)
        values.append(time.perf_counter() - began)
    return values


def measure(clients: int, pause: float = PAUSE) -> dict[str, Any]:
    """Measure with so many clients, whose answers have a word every ``pause`` seconds; prints the table."""
    with TemporaryDirectory() as folder, ServerProcess(replies(clients, pause)) as models:
        expected = SECONDS - pause  # the first word comes at once
        print("| | answers | errors | first text, median ms | p99 ms | p99 after the expected end, ms |")
        print("|---|---|---|---|---|---|")
        direct = asyncio.run(load(models.url, "scripted", clients))
        report("model server alone", direct, expected)
        with serving(models.url, Path(folder)) as (url, pid):
            asyncio.run(load(url, "weaver/direct", 5))
            idle, began = memory(pid), cpu(pid)
            with sampled(pid) as sizes:
                through = asyncio.run(load(url, "weaver/direct", clients))
            used = cpu(pid) - began
            report("through weaver serve", through, expected)
            per_client = 1024 * (max(sizes) - idle) / clients
            print(f"\nCPU of the server: {1e6 * used / max(1, through.chunks):.0f} microseconds a chunk")
            print(f"Memory: {idle:.0f} MB idle, {per_client:.0f} KB more for each client at once")
            time.sleep(1)
            print(f"After it: {descriptors(pid)} open files")
            gone = disconnects(models, url)
            median, most = 1000 * statistics.median(gone), 1000 * max(gone)
            print(f"A client leaves: its call ends after {median:.0f} ms (median), {most:.0f} ms (longest)")
    return {"errors": through.errors, "per_client_kb": per_client}


def replies(clients: int, pause: float = PAUSE, *, seconds: float = SECONDS) -> list[Scripted]:
    """Make a reply for each client that repeats the mark of its question, and takes so many seconds."""
    return [
        Scripted(
            " ".join([f"mark-{n}"] * round(seconds / pause)), when=re.compile(rf"mark-{n}\b"), each=pause
        )
        for n in range(clients)
    ]


if __name__ == "__main__":
    arguments = sys.argv[1:]
    measure(int(arguments[0]) if arguments else 200, float(arguments[1]) if arguments[1:] else PAUSE)
