"""The walks of docs/architecture.md name functions that real runs call, in the order of the calls."""

from __future__ import annotations

import asyncio
import re
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from weaver import Answer, Run, Task, Weaver
from weaver._tracing.export.local import flush
from weaver._tracing.store.sqlite import Store
from weaver._tracing.views.html import page_of
from weaver._tracing.views.run_view import view_of
from weaver.events import ThreadDelta
from weaver.testing import Scripted, ScriptedModel, Server
from weaver.workflows import Workflow

ROOT = Path(__file__).parents[2]
PACKAGE = f"{ROOT / 'weaver'}/"
PAGE = (ROOT / "docs/architecture.md").read_text("utf-8")
WALKS = PAGE[PAGE.index("## Walks") : PAGE.index("## Measures")]
PLACE = re.compile(r"`(_\w[\w/]*\.py):\s+([\w.]+)`")
Calls = list[tuple[str, str]]
"""Files below weaver/ and qualified names of the functions that were called or resumed, in order."""


def chains(walk: str) -> list[Calls]:
    """Return the chains of a walk: one for each sentence with arrows, of the first place between two."""
    text = re.search(rf"\*\*{walk}\*\*(.*?)\n\n", WALKS, re.DOTALL)
    assert text is not None, walk
    sentences = re.split(r"\. (?=[A-Z])", " ".join(text[1].split()))
    parts = [
        [PLACE.search(part) for part in sentence.split("→")] for sentence in sentences if "→" in sentence
    ]
    return [[(place[1], place[2]) for place in chain if place] for chain in parts]


@contextmanager
def calls_seen() -> Iterator[Calls]:
    """Write down the calls of weaver's functions, in all threads."""
    calls: Calls = []

    def watch(frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(PACKAGE):
            calls.append((code.co_filename.removeprefix(PACKAGE), code.co_qualname))

    threading.setprofile(watch)
    sys.setprofile(watch)
    try:
        yield calls
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def missing(chain: Calls, calls: Calls) -> tuple[str, str] | None:
    """Return the first place of a chain that is not called after the place before it; None if all are."""
    rest = iter(calls)
    for file, name in chain:
        is_class = name.rpartition(".")[2][:1].isupper()
        inside = f"{name}." if is_class else f"{name}.<locals>."
        if not any(f == file and (n == name or n.startswith(inside)) for f, n in rest):
            return file, name
    return None


async def ask(server: Server, **options: Any) -> None:
    async with Weaver(
        "openai/test", base_url=server.url, api_key="x", strategy="sequential", **options
    ) as weaver:
        await weaver.run("What is six times seven?")


async def follow(server: Server, *, is_cancelled: bool = False) -> None:
    async def method(run: Run, task: Task) -> Answer:
        async with run.fork([task]) as threads:
            (thread,) = await threads.join()
        return thread.result

    async with (
        Weaver("openai/test", base_url=server.url, api_key="x", strategy=method) as weaver,
        weaver.stream("What is six times seven?") as run,
    ):
        async for event in run:
            if is_cancelled and isinstance(event, ThreadDelta):
                run.cancel()


async def cancel(server: Server) -> None:
    await follow(server, is_cancelled=True)


async def work_through(server: Server) -> None:
    flow = Workflow.from_yaml(
        f"""
version: weaver/v1
name: sums
models:
  default: {{name: openai/test, base_url: "{server.url}"}}
steps:
  add: {{task: What is six times seven?}}
outputs:
  answer: ${{{{ steps.add.output }}}}
"""
    )
    await flow.run()


async def show(server: Server) -> None:
    await ask(server)
    assert flush()
    store = Store()
    page_of([view_of(store.spans(store.find()))])
    store.close()


RUNS: dict[str, Callable[[Server], Awaitable[None]]] = {
    "A task": ask,
    "A step": work_through,
    "A span": show,
    "A cancel": cancel,
    "A usage number": ask,
    "An event": follow,
}


def test_every_walk_is_tried() -> None:
    assert set(re.findall(r"^\*\*(An? [a-z ]+)\*\*", WALKS, re.MULTILINE)) == set(RUNS)
    assert all(len(chain) > 1 for walk in RUNS for chain in chains(walk))


@pytest.mark.parametrize("walk", RUNS)
def test_a_run_calls_the_places_of_a_walk_in_order(walk: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEAVER_TRACE_STORE", "on")
    monkeypatch.setenv("OPENAI_API_KEY", "x")

    async def main() -> None:
        async with Server(ScriptedModel(Scripted("forty-two " * 10, each=0.005))) as server:
            await RUNS[walk](server)

    with calls_seen() as calls:
        asyncio.run(main())

    for chain in chains(walk):
        place = missing(chain, calls)
        assert place is None, f"{walk}: {place} is not called there; it is called {calls.count(place)} times"
