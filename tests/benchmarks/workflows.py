"""What a YAML workflow costs beside the same threads started from Python, and how exactly it keeps its width.

    python -m tests.benchmarks.workflows             # 1,000 items, 15 rounds each, some minutes
    python -m tests.benchmarks.workflows --quick     # 200 items, 5 rounds each

One job everywhere: so many prompts, one streamed call each, at most ``--width`` at a time, against a model
server in a process of its own on the loopback interface. Contenders:

- `semaphore`: a strategy that forks one thread per prompt at once, a semaphore keeping the width;
- `in turn`: a strategy that starts a thread when another has ended, as the workflow does;
- `workflow`: a step with `for_each` and `max_parallel` that makes the same prompts of a template.

All run in this process, in turns, so that a busy machine hits all alike; CPU is that of this process. The
number that counts is the median of the ratios of neighbouring rounds; on a busy machine, the ratio of the
best rounds says more. Starting a thousand threads at once keeps the processor's caches warmer than starting
them in turn, which is most of what `semaphore` saves; in retired instructions per item (valgrind, 20 words)
it was 2.28 million for `semaphore` and 2.35 million for `workflow`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import statistics
import time
from typing import Any

import anyio

from weaver import Answer, Run, Task, Weaver
from weaver._data.usage import Usage
from weaver._models.openai.model import OpenAIModel
from weaver.testing import Scripted, ServerProcess
from weaver.workflows import Workflow

FLOW = """\
version: weaver/v1
name: wide
inputs: {{items: {{type: array, items: {{properties: {{name: string, size: integer}}}}}}}}
steps:
  each:
    for_each: inputs.items
    max_parallel: {width}
    task: |
      Describe ${{{{ item.name }}}} of size ${{{{ item.size }}}} in one sentence.
"""


async def by_python(weaver: Weaver, items: list[dict[str, Any]], width: int) -> int:
    """One thread per item from Python; the number of answers."""

    async def method(run: Run, task: Task) -> Answer:
        slots = anyio.Semaphore(width)

        async def body(inner: Run, one: Task) -> Answer:
            async with slots:
                return await inner.reason(one)

        tasks = [
            Task(f"Describe {item['name']} of size {item['size']} in one sentence.\n", title=f"each {index}")
            for index, item in enumerate(items, 1)
        ]
        async with run.fork(tasks, body=body) as threads:
            return Answer("done", output=[thread.text for thread in await threads.join()])

    result = await weaver.run("wide", strategy=method, max_threads=len(items) + 1)
    return len(result.output)


async def in_turn(weaver: Weaver, items: list[dict[str, Any]], width: int) -> int:
    """One thread per item from Python, each started by one that has ended; the number of answers."""

    async def method(run: Run, task: Task) -> Answer:
        left = iter(enumerate(items, 1))
        async with run.fork() as threads:

            async def body(inner: Run, one: Task) -> Answer:
                try:
                    return await inner.reason(one)
                finally:
                    start_next()

            def start_next() -> None:
                index, item = next(left, (0, {}))
                if not index:
                    threads.close()
                    return
                prompt = f"Describe {item['name']} of size {item['size']} in one sentence.\n"
                threads.start(Task(prompt, title=f"each {index}"), body=body)

            for _ in range(width):
                start_next()
            return Answer("done", output=[thread.text for thread in await threads.join()])

    result = await weaver.run("wide", strategy=method, max_threads=len(items) + 1)
    return len(result.output)


async def by_workflow(weaver: Weaver, workflow: Workflow, items: list[dict[str, Any]]) -> int:
    """The same from the file; the number of answers."""
    result = await workflow.run({"items": items}, weaver=weaver)
    return len(result.output["each"])


async def measure(count: int, width: int, rounds: int, words: int) -> None:
    """Print CPU per item of both, their ratio, and the widths that the server saw."""
    items = [{"name": f"thing {n}", "size": n} for n in range(count)]
    workflow = Workflow.from_yaml(FLOW.format(width=width))
    reply = Scripted("word " * words, first=0.002, usage=Usage(1, 20, words))
    times: dict[str, list[float]] = {"semaphore": [], "in turn": [], "workflow": []}
    seen: dict[str, int] = {}

    async def work(name: str, weaver: Weaver) -> int:
        if name == "workflow":
            return await by_workflow(weaver, workflow, items)
        return await (by_python if name == "semaphore" else in_turn)(weaver, items, width)

    with ServerProcess(reply, dialect="vllm") as server:
        model = OpenAIModel("bench", base_url=server.url, model_id="bench")
        async with Weaver(model) as weaver:
            for number in range(rounds + 1):
                for name in list(times) if number % 2 else list(reversed(times)):
                    gc.collect()
                    began = time.process_time()
                    assert await work(name, weaver) == count
                    if number:  # the first round warms up
                        times[name].append(time.process_time() - began)
    for name in times:
        with ServerProcess(reply, dialect="vllm") as server:
            model = OpenAIModel("bench", base_url=server.url, model_id="bench")
            async with Weaver(model) as weaver:
                await work(name, weaver)
            seen[name] = server.stats()["max_in_flight"]
    print(f"{count:,} items, {words} words each, at most {width} at a time, {rounds} rounds")
    for name, values in times.items():
        each = statistics.median(values) / count
        print(f"{name:10} {each * 1e6:8.1f} us of CPU per item   most in flight at the server: {seen[name]}")
    for name in ("semaphore", "in turn"):
        ratios = [w / p for p, w in zip(times[name], times["workflow"], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
        best = min(times["workflow"]) / min(times[name])
        print(f"workflow / {name}: {middle:.3f} ({low:.3f} to {high:.3f}); best rounds: {best:.3f}")


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--words", type=int, default=20)
    given = parser.parse_args()
    if given.quick:
        given.items, given.rounds = 200, 5
    asyncio.run(measure(given.items, given.width, given.rounds, given.words))


if __name__ == "__main__":
    main()
