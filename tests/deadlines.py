"""Deadlines against bad servers: strategies x kinds of misbehaviour x phases.

``python tests/deadlines.py`` runs the whole matrix (about 20 minutes) and prints who was late or blocked the
event loop; ``--strategies``, ``--kinds`` and ``--phases`` choose a part. The test suite runs a small one.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from tests.bad_server import KINDS
from weaver import Weaver, WeaverError
from weaver._models.compose import layered
from weaver._models.layers.limit import Gates
from weaver._models.openai.model import OpenAIModel
from weaver._strategies.common import registry

PHASES = (0, 1, 3)
DEADLINE = 1.0
QUESTION = "Write three things about A and B, in sections: 1. A 2. B 3. both together."
COUNTDOWN = "27:[22, 26, 31, 53]"


@dataclass(frozen=True)
class Timing:
    """How one run went: seconds until it was over, and the longest block of the event loop, in seconds."""

    strategy: str
    kind: str
    phase: int
    seconds: float
    lag: float
    status: str

    @property
    def is_good(self) -> bool:
        return self.seconds <= DEADLINE + 0.25 and self.lag <= 0.1


@contextmanager
def bad_server() -> Iterator[int]:
    """A server process; its port."""
    command = [sys.executable, str(Path(__file__).with_name("bad_server.py"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


async def _lag(worst: list[float]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        await asyncio.sleep(0.005)
        worst[0] = max(worst[0], loop.time() - began - 0.005)


async def one(port: int, strategy: str, kind: str, phase: int) -> Timing:
    """Run ``strategy`` against a server of ``kind`` with a deadline of `DEADLINE` seconds."""
    url = f"http://127.0.0.1:{port}/{kind}/{phase}-{strategy}-{time.monotonic_ns()}/v1"
    model = layered(OpenAIModel("openai/m", base_url=url), gates=Gates())
    worst = [0.0]
    watch = asyncio.create_task(_lag(worst))
    await asyncio.sleep(0.01)
    began = time.monotonic()
    try:
        result = await Weaver(model, strategy=strategy).run(
            COUNTDOWN if strategy == "apr" else QUESTION, deadline=DEADLINE
        )
        status = result.status
    except WeaverError as error:
        status = type(error).__name__
    seconds = time.monotonic() - began
    watch.cancel()
    return Timing(strategy, kind, phase, seconds, worst[0], status)


async def matrix(
    strategies: Sequence[str],
    kinds: Sequence[str],
    phases: Sequence[int],
    *,
    show: bool = False,
    at_once: int = 1,
) -> list[Timing]:
    """Time all combinations, after a run that loads what is loaded lazily.

    Args:
        show: print those that are late or block the event loop.
        at_once: runs at the same time; with more than one, ``lag`` is of all that run meanwhile.
    """
    timings = []
    places = asyncio.Semaphore(at_once)

    async def timed(*combination: Any) -> None:
        async with places:
            timing = await one(port, *combination)
        timings.append(timing)
        if show and not timing.is_good:
            print(timing, flush=True)

    with bad_server() as port:
        await one(port, "sequential", "models_stall", 9)
        async with asyncio.TaskGroup() as group:
            for combination in product(strategies, kinds, phases):
                group.create_task(timed(*combination))
    return timings


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--strategies", nargs="*", default=registry.names())
    parser.add_argument("--kinds", nargs="*", default=list(KINDS))
    parser.add_argument("--phases", nargs="*", type=int, default=list(PHASES))
    options = parser.parse_args()
    timings = asyncio.run(matrix(options.strategies, options.kinds, options.phases, show=True))
    late = [t for t in timings if t.seconds > DEADLINE + 0.25]
    blocked = [t for t in timings if t.lag > 0.1]
    print(
        f"{len(timings)} runs: {len(late)} late (latest {max(t.seconds for t in timings):.2f} s), "
        f"{len(blocked)} blocked the loop for more than 0.1 s (longest {max(t.lag for t in timings):.2f} s)"
    )
    return 1 if late or blocked else 0


if __name__ == "__main__":
    sys.exit(main())
