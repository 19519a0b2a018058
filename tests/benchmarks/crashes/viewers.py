"""Kill the viewer of a run a hundred times, and the run a few times; compare what was seen with the journal.

python -m tests.benchmarks.crashes.viewers
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import anyio

from tests.benchmarks.crashes.checks import events_in
from tests.benchmarks.crashes.child import RUN
from weaver import Weaver
from weaver._journal.following import follow
from weaver._journal.sqlite import SQLiteJournal
from weaver.testing import Scripted, ServerProcess

LONG = "".join(f"word {number} after " for number in range(700))  # repetition would end the call


def watch(folder: Path, after: int, pipe: int) -> None:
    """Write each event as a line, until killed or until the run is over."""

    async def read() -> None:
        journal = SQLiteJournal(folder / "journal.sqlite")
        with os.fdopen(pipe, "w") as lines:
            async for number, event in follow(
                journal, RUN, after=after, is_over=lambda head: head.status == "complete"
            ):
                lines.write(json.dumps([number, event]) + "\n")
                lines.flush()

    anyio.run(read)


def work(folder: Path, url: str) -> None:
    """Do the run, or go on with it."""

    async def run() -> None:
        journal = SQLiteJournal(folder / "journal.sqlite")
        options: dict[str, Any] = {"base_url": url, "api_key": "none", "journal": journal, "trace": False}
        async with Weaver("openai/scripted", strategy="self_consistency:samples=3", **options) as weaver:
            await weaver.run("q", run_id=RUN)
        await journal.aclose()

    anyio.run(run)


def fork(function: Any, *arguments: Any) -> int:
    """Call a function in a process of its own; returns its id."""
    pid = os.fork()
    if pid == 0:
        function(*arguments)
        os._exit(0)
    return pid


def viewed(folder: Path, after: int, seconds: float | None) -> list[tuple[int, Any]]:
    """Return what a viewer got that lived for so long, or until the end of the run."""
    read, write = os.pipe()
    pid = fork(watch, folder, after, write)
    os.close(write)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
    with os.fdopen(read) as lines:
        text = lines.read()
    os.waitpid(pid, 0)
    # Without the line that was cut.
    return [(number, event) for number, event in map(json.loads, text.split("\n")[:-1])]


def main() -> int:
    """Returns 1 where a viewer missed an event or got one twice."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--viewers", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    chance, folder, after = random.Random(arguments.seed), Path(tempfile.mkdtemp(prefix="viewers-")), 0
    total: list[tuple[int, Any]] = []
    with ServerProcess([Scripted(LONG, each=0.01)], dialect="vllm") as server:
        worker, killed = fork(work, folder, server.url), 0
        for number in range(arguments.viewers):
            total += viewed(folder, after, chance.uniform(0.02, 0.4))
            after = total[-1][0] if total else 0
            if number and number % (arguments.viewers // 3) == 0 and os.waitpid(worker, os.WNOHANG) == (0, 0):
                os.kill(worker, signal.SIGKILL)
                os.waitpid(worker, 0)
                worker, killed = fork(work, folder, server.url), killed + 1
        total += viewed(folder, after, None)
        os.waitpid(worker, 0)
    recorded = list(events_in(folder))
    is_right = total == recorded and [n for n, _ in total] == list(range(1, len(total) + 1))
    print(
        f"{arguments.viewers} viewers and the run {killed} times killed: {len(total)} events seen of "
        f"{len(recorded)}, {'no gap and no repetition' if is_right else 'NOT the same'}."
    )
    return int(not is_right)


if __name__ == "__main__":
    sys.exit(main())
