"""From threads to settled conflicts: find them, climb the ladder for each, record what came of it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import anyio

from weaver._coordination.answers.protocol import Equivalence
from weaver._coordination.conflicts.detection import find_conflicts
from weaver._coordination.conflicts.policies.ladder import DEFAULT_LADDER, climb, is_free
from weaver._coordination.conflicts.policies.positions import Policy, about
from weaver._coordination.conflicts.statements import Told
from weaver._data.result import Answer, Conflict, Resolution
from weaver._data.task import Task
from weaver._runtime.run import Run
from weaver.errors import BudgetExceededError
from weaver.events import ConflictFound

if TYPE_CHECKING:
    from opentelemetry.trace import Span

MAX_PAID = 8
"""Most conflicts of one run that policies with calls are tried on; the others stay with the free ones."""


async def settle_conflicts(
    run: Run,
    threads: Sequence[Told],
    *,
    ladder: Sequence[Policy] = DEFAULT_LADDER,
    same: str | Equivalence | Callable[[str], Any] | None = None,
    seconds: float | None = None,
) -> tuple[Conflict, ...]:
    """Find the conflicts between ``threads`` and settle them by ``ladder``.

    Never fails a run: what cannot be settled stays open, with a note that says why. Every conflict becomes an
    event, a span and a part of the result; verdicts are journaled, so a resumed run asks nobody again.

    Args:
        threads: finished threads of a fork, in the order they were started.
        ladder: policies tried in order for each conflict; empty: find them and leave them open.
        same: when answers to the same question are the same; by default the task's own equivalence.
        seconds: most time for all of it; by default half of what the thread has left.

    Returns:
        All conflicts, in the order of their first statements; ``resolution`` is None for those left open.
    """
    work = _Settling(run, threads, ladder)
    limit = run.context.time.for_conflicts(seconds)
    with anyio.move_on_after(limit) as clock:
        await work.find(same)
        await work.settle()
    if clock.cancelled_caught:
        run.note(f"Settling conflicts was stopped after {limit:.1f} s.")
    return work.done()


class _Settling:
    """The conflicts of one fork, from finding them to the record of how each went."""

    def __init__(self, run: Run, threads: Sequence[Told], ladder: Sequence[Policy]) -> None:
        self._run = run
        self._threads = threads
        # What only needs counting is done first, and at once.
        free = len(list(takewhile(is_free, ladder)))
        self._free, self._paid = ladder[:free], ladder[free:]
        self._found: list[Conflict] = []
        self._told: set[int] = set()

    async def find(self, same: str | Equivalence | Callable[[str], Any] | None) -> None:
        """Find the conflicts."""
        self._found = await find_conflicts(self._run, self._threads, same=same)

    async def settle(self) -> None:
        """Climb the ladder for each."""
        run = self._run
        remaining: list[int] = []
        for i, conflict in enumerate(self._found):
            resolution = await climb(run, conflict, self._threads, self._free)
            if resolution is None and self._paid:
                remaining.append(i)
            else:
                await self._settle(run, i, partial(_known, resolution))
        if len(remaining) > MAX_PAID:
            run.note(f"{len(remaining) - MAX_PAID} conflicts are left open: there are too many to look into.")
            remaining = remaining[:MAX_PAID]
        depth = run.remaining.depth
        if len(remaining) == 1 or (depth is not None and depth < 2):
            for i in remaining:
                await self._look_into(run, i)
        elif remaining:
            await self._at_once(remaining)

    async def _at_once(self, left: Sequence[int]) -> None:
        """Several conflicts at the same time, each in a thread with a path and randomness of its own."""
        async with self._run.fork(name="conflict") as threads:
            for i in left:
                task = Task(
                    prompt=self._run.context.task.question, title=f"conflict: {about(self._found[i])}"[:80]
                )
                try:
                    threads.start(task, body=partial(self._alone, i))
                except BudgetExceededError as error:
                    self._run.note(f"Conflict about {about(self._found[i])} is left open: {error.message}")
            threads.close()
            _ = [thread async for thread in threads.as_finished()]

    async def _alone(self, i: int, run: Run, task: Task) -> Answer:  # noqa: ARG002 - a body's signature
        await self._look_into(run, i)
        resolution = self._found[i].resolution
        return Answer(resolution.value if resolution else "It stays open.")

    async def _look_into(self, run: Run, i: int) -> None:
        """Try the policies that cost something."""

        async def climbed() -> Resolution | None:
            return await climb(run, self._found[i], self._threads, self._paid)

        await self._settle(run, i, climbed)

    async def _settle(self, run: Run, i: int, how: Callable[[], Awaitable[Resolution | None]]) -> None:
        """Settle conflict ``i``, within its span and once per journal."""
        conflict = self._found[i]

        async def verdict() -> dict[str, str] | None:
            resolution = await how()
            return None if resolution is None else asdict(resolution)

        span = self._span(run, conflict)
        try:
            with run.context.under(span):
                recorded = await run.step(f"verdict/conflict/{_slug(conflict)}", verdict)
            if recorded is not None:
                conflict = self._found[i] = replace(conflict, resolution=Resolution(**recorded))
        finally:
            run.context.state.tracing.conflicts.end(span, conflict)
            self._tell(i)

    def _span(self, run: Run, conflict: Conflict) -> Span:
        involved = [thread for value in conflict.values for thread in value.threads]
        return run.context.state.tracing.conflicts.start(
            run.context.span, subject=conflict.subject, attribute=conflict.attribute, threads=involved
        )

    def _tell(self, i: int) -> None:
        if i not in self._told:
            self._told.add(i)
            self._run.emit(ConflictFound(self._found[i]))

    def done(self) -> tuple[Conflict, ...]:
        """The conflicts as they are now; those that were not looked into are told about too."""
        for i, conflict in enumerate(self._found):
            if i not in self._told:
                self._run.context.state.tracing.conflicts.end(self._span(self._run, conflict), conflict)
            self._tell(i)
        self._run.context.state.conflicts.extend(self._found)
        return tuple(self._found)


async def _known(resolution: Resolution | None) -> Resolution | None:
    return resolution


def _slug(conflict: Conflict) -> str:
    """The conflict's structural name: the same conflict has the same one in a resumed run."""
    values = [[v.value, *v.threads] for v in conflict.values]
    content = json.dumps([conflict.subject, conflict.attribute, values])
    words = re.sub(r"[^a-z0-9]+", "-", about(conflict).casefold()).strip("-")[:40]
    return f"{words}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"
