"""What tracing costs: CPU per span, and its share of a run's CPU, with the exporter on, off and dead.

    python tests/benchmarks/tracing.py            # about two minutes
    python tests/benchmarks/tracing.py --quick

A *span* here is one of a thread or of a model call, with the attributes that a real one has. *Hot* is CPU of
the thread that runs the event loop; *all* is CPU of the process until everything has been written and sent.
A *run* is plan, K threads, synthesis over real HTTP against a model server in another process; its variants
are interleaved, and medians are printed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from weaver import Answer, Task, Weaver
from weaver._data.messages import system, user
from weaver._data.result import ThreadReport
from weaver._data.usage import Usage
from weaver._models.protocol import Request
from weaver._models.reply import Reply
from weaver._testing.server_process import ServerProcess
from weaver._tracing.export.local import flush, local_tracing
from weaver._tracing.export.setup import Telemetry, configure
from weaver._tracing.tracer import Tracing

SINK = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200); self.send_header("Content-Length", "0"); self.end_headers()
    def log_message(self, *_): pass
server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""

REQUEST = Request(
    messages=(system("Answer briefly."), user("What is it? " * 20)), max_tokens=600, temperature=0.7, seed=1
)


@contextmanager
def sink() -> Iterator[str]:
    """A collector in another process that takes everything and keeps nothing."""
    with subprocess.Popen([sys.executable, "-c", SINK], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


def telemetry(**variables: str) -> Callable[[], Telemetry]:
    """Set-ups by environment variables; without any, nothing records."""

    def make() -> Telemetry:
        keep = {k: os.environ.pop(k) for k in list(os.environ) if k.startswith(("OTEL_", "WEAVER_TRACE"))}
        os.environ.update(variables)
        try:
            return configure()
        finally:
            for name in variables:
                del os.environ[name]
            os.environ.update(keep)

    return make


class PythonDefault:
    """What a `Weaver` in a program does: the local store, without the SDK."""

    def __init__(self, **variables: str) -> None:
        os.environ.update(variables)
        self.tracing = local_tracing()
        for name in variables:
            del os.environ[name]

    def __enter__(self) -> PythonDefault:
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()

    def shutdown(self) -> None:
        """Wait until all is written."""
        flush(10)


def variants(collector: str) -> dict[str, Callable[[], Any]]:
    """Every way that tracing can be set up."""
    no_store = {"WEAVER_TRACE_STORE": "off"}
    otlp = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector}
    dead = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    return {
        "off": telemetry(OTEL_SDK_DISABLED="true"),
        "sampled out": telemetry(**no_store, **otlp, OTEL_TRACES_SAMPLER="always_off"),
        "store, no texts": telemetry(WEAVER_TRACE_TEXTS="off"),
        "store": telemetry(),
        "python": PythonDefault,
        "python, no texts": lambda: PythonDefault(WEAVER_TRACE_TEXTS="off"),
        "otlp": telemetry(**no_store, **otlp),
        "otlp + store": telemetry(**otlp),
        "dead collector": telemetry(**no_store, **dead),
        "otlp + content": telemetry(**otlp, OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="SPAN_ONLY"),
    }


def make_spans(tracing: Tracing, pairs: int) -> None:
    """``pairs`` threads with a call each."""
    root = tracing.runs.start(run_id="r", strategy="bench", model="m", question="q")
    usage = Usage(1, 120, 80, cost_usd=0.001)
    for i in range(pairs):
        name = f"s{i}"
        thread = tracing.threads.start(
            root, id=name, title="A title", agent="worker", depth=1, depends_on=("s0",)
        )
        call = tracing.calls.start(
            thread, model="openai/m", provider="openai", endpoint="http://localhost:8080/v1", role="thread",
            request=REQUEST,
        )  # fmt: skip
        tracing.headers(call)
        reply = Reply("call/0", "thread", "openai/m", "openai", "http://localhost:8080/v1")
        reply.text, reply.state, reply.finish, reply.usage = "An answer. " * 20, "succeeded", "stop", usage
        reply.seconds, reply.first_delta = 1.0, 0.2
        tracing.calls.end(call, reply, REQUEST)
        report = ThreadReport(
            name, None, "A title", 1, "succeeded", answer=reply.text, usage=usage, seconds=1.0
        )
        tracing.threads.end(thread, report)
    tracing.steps.end(root)


def span_cost(make: Callable[[], Any], pairs: int) -> tuple[float, float]:
    """CPU µs per span: hot, and all."""
    with make() as session:
        make_spans(session.tracing, 20)
        whole, hot = time.process_time(), time.thread_time()
        make_spans(session.tracing, pairs)
        hot = time.thread_time() - hot
        session.shutdown()
        whole = time.process_time() - whole
    return hot / pairs / 2 * 1e6, whole / pairs / 2 * 1e6


async def spread(run: Any, task: Task, *, width: int = 64, **_: Any) -> Answer:
    """Plan (one call), ``width`` threads, synthesis (one call)."""
    await run.think("Plan it.", role="planner", name="plan")
    async with run.fork([Task(prompt=f"Part {i}", title=f"part {i}") for i in range(width)]) as threads:
        done = await threads.join()
    reply = await run.think("Merge it.", role="synthesizer", name="synthesis")
    return Answer(f"{reply.text} {len(done)}")


async def run_cost(make: Callable[[], Any], url: str, width: int, runs: int) -> tuple[float, float]:
    """CPU ms per model call of whole runs: of the event loop's thread, and of the process with the flush."""
    with make() as session:
        async with Weaver(
            "openai/bench", base_url=url, api_key="none", strategy=spread, tracing=session.tracing
        ) as weaver:
            await weaver.run("Warm up.")
            whole, hot = time.process_time(), time.thread_time()
            for _ in range(runs):
                await weaver.run("Go.", strategy=lambda run, task, **_: spread(run, task, width=width))
            hot = time.thread_time() - hot
        session.shutdown()
        whole = time.process_time() - whole
    calls = runs * (width + 2)
    return hot / calls * 1e3, whole / calls * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    options = parser.parse_args()
    rounds, pairs, runs, width = (2, 500, 2, 32) if options.quick else (5, 2000, 4, 64)
    found: dict[str, dict[str, float]] = {}
    with (
        tempfile.TemporaryDirectory() as home,
        sink() as collector,
        ServerProcess("An answer of a few words.") as server,
    ):
        os.environ["WEAVER_HOME"] = home
        made = variants(collector)
        spans: dict[str, list[tuple[float, float]]] = {name: [] for name in made}
        costs: dict[str, list[tuple[float, float]]] = {name: [] for name in made}
        for _ in range(rounds):
            for name, make in made.items():
                spans[name].append(span_cost(make, pairs))
                costs[name].append(asyncio.run(run_cost(make, server.url, width, runs)))
    for name in made:
        found[name] = {
            "span_hot_us": statistics.median(hot for hot, _ in spans[name]),
            "span_all_us": statistics.median(whole for _, whole in spans[name]),
            "call_hot_ms": statistics.median(hot for hot, _ in costs[name]),
            "call_all_ms": statistics.median(whole for _, whole in costs[name]),
        }
        found[name]["share_of_run"] = 1 - found["off"]["call_all_ms"] / found[name]["call_all_ms"]
    if options.json:
        print(json.dumps(found))
        return
    heads = ("µs/span hot", "µs/span all", "ms/call hot", "ms/call all", "of the run")
    print(" " * 18 + "".join(f"{head:>13}" for head in heads))
    for name, row in found.items():
        print(
            f"{name:18}{row['span_hot_us']:13.1f}{row['span_all_us']:13.1f}{row['call_hot_ms']:13.3f}"
            f"{row['call_all_ms']:13.3f}{row['share_of_run']:13.0%}"
        )


if __name__ == "__main__":
    main()
