"""Which worker works on which run. The journal stays the truth about what a run has done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

QUEUE = "default"
LEASE_SECONDS = 5.0
"""A worker that has been silent for so long is dead: others take its runs."""


@dataclass(frozen=True, slots=True)
class Job:
    """A run to be worked on, by whichever worker.

    Attributes:
        about: JSON that the run is begun with, see `weaver._workers.submission`.
        queue: workers name the queues that they serve.
        submitter: submitters of equal priority get equal shares of the workers.
        priority: higher first.
        delay: seconds to wait before it may begin.
        at: Unix seconds before which it does not begin, or None.
        parent: the run that waits for it, or "".
        max_cost: US dollars that it may spend at most, or None.
    """

    run_id: str
    about: Mapping[str, Any] = field(default_factory=dict[str, Any])
    queue: str = QUEUE
    submitter: str = ""
    priority: int = 0
    delay: float = 0.0
    at: float | None = None
    parent: str = ""
    max_cost: float | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that a worker works on.

    Attributes:
        number: how often the job was claimed, this time included.
    """

    job: Job
    number: int


@dataclass(frozen=True, slots=True)
class Watch:
    """Callbacks of a worker. The functions are called in the loop of the worker.

    Attributes:
        on_job: there may be a job to claim.
        on_cancel: a run was cancelled; called with its id.
    """

    on_job: Callable[[], None]
    on_cancel: Callable[[str], None]


class Dispatcher(Protocol):
    """Hands jobs to workers. `weaver.testing` has checks for an implementation (`DispatcherChecks`).

    Whatever it does may happen twice, a job's work included: that a step is never done twice is up to the
    journal, where a second owner fences the first. Times are the dispatcher's own: the clocks of workers do
    not matter. All methods raise `JournalError` when it cannot be reached.

    Attributes:
        lease_seconds: a worker without a heartbeat for so long is dead.
    """

    lease_seconds: float

    async def submit(self, jobs: Sequence[Job]) -> None:
        """Add jobs, all or none; durable on return. A job whose run exists is left as it is."""
        ...

    async def claim(self, worker: str, limit: int, *, queues: Sequence[str] = (QUEUE,)) -> Sequence[Claim]:
        """Take up to ``limit`` jobs: by priority, then fairly between submitters, then the oldest first."""
        ...

    async def heartbeat(self, worker: str, claims: Sequence[Claim]) -> Sequence[Claim]:
        """Say that ``worker`` lives and has these claims; give jobs of dead workers back to the queue.

        Returns:
            Claims that are no longer the worker's: cancelled, or taken by somebody else.
        """
        ...

    async def release(self, worker: str, claim: Claim, *, broken: bool = False) -> None:
        """Give a job back unfinished; it keeps its place in the queue. A lost claim is left alone.

        Args:
            broken: the run could not go on; after ten times, deaths of workers included, it has failed.
        """
        ...

    async def finish(self, worker: str, claim: Claim) -> None:
        """Say that the job's run has ended. A lost claim is left alone."""
        ...

    async def cancel(self, run_id: str) -> bool:
        """Cancel a run and the runs that it waits for, wherever they are worked on.

        Returns:
            False where the run had ended, or there is none.
        """
        ...

    async def wait(self, run_id: str) -> None:
        """Wait until the job's run has ended, or is gone."""
        ...

    async def leave(self, worker: str) -> None:
        """Say that ``worker`` ends; what it still has goes back to the queue."""
        ...

    def watch(self, watch: Watch) -> Callable[[], None]:
        """Call back about changes, as soon as they are known; returns how to stop it.

        A worker also looks by itself: `claim` every second, `heartbeat` several times a lease.
        """
        ...

    async def aclose(self) -> None:
        """Release connections."""
        ...
