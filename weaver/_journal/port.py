"""The port to the record of what a run has finished and decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from weaver._journal.retention import Retention

Kind = Literal["started", "ok", "error", "timeout", "cancelled", "verdict"]
ONCE: frozenset[Kind] = frozenset(("ok", "verdict"))
"""Kinds that a step has at most one entry of: the first writer wins."""
POLL_SECONDS = 0.5
"""Between two looks at a run whose journal does not say when it changes."""
Status = Literal["queued", "running", "complete", "partial", "failed", "interrupted", "cancelled"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened to one step of a run.

    Attributes:
        key: structural path of the step: ``plan``, ``s3/call/0``, ``verdict/join``.
        kind: ``started`` stands before everything that is paid for; ``ok``, ``error``, ``timeout`` and
            ``cancelled`` are ends; ``verdict`` is a decision.
        value: JSON.
        fingerprint: hash of what the step was asked; "" where it has no arguments.
        usage: what it cost (the fields of `weaver.models.Usage`), or None for what costs nothing.
        seq: place in the run's journal, from 1; given by the journal.
        epoch: ownership under which it was written; 0 for somebody who does not own the run.
        at: Unix seconds; given by the journal.
    """

    key: str
    kind: Kind
    value: Any = None
    fingerprint: str = ""
    usage: Mapping[str, Any] | None = None
    seq: int = 0
    epoch: int = 0
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class RunHead:
    """One run, as lists show it.

    Attributes:
        epoch: how often somebody has become its owner.
        owner: who works on it or did so last: ``HOST:PID``.
        created, updated: Unix seconds.
        about: JSON that the run was begun with: question, strategy, model, and how to go on with it.
        result: JSON of the result, or None while there is none.
        alive: whether its owner lives; None: the journal does not know.
    """

    run_id: str
    status: Status
    epoch: int
    owner: str
    created: float
    updated: float
    about: Mapping[str, Any] = field(default_factory=dict[str, Any])
    result: Any = None
    alive: bool | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """A run that has a new owner.

    Attributes:
        epoch: to be given with every entry.
        entries: everything recorded so far, in order.
        before: the status that the run had; None for a new run.
    """

    epoch: int
    entries: Sequence[Entry] = ()
    before: Status | None = None


class Journal(Protocol):
    """Steps and decisions of runs. `weaver._testing.journals` checks an implementation.

    All methods raise `JournalError` when the journal cannot be read or written.
    """

    async def open(self, run_id: str, *, owner: str = "", about: Mapping[str, Any] | None = None) -> Opened:
        """Become the owner of a run, new or not; its earlier owner can write no more.

        Args:
            about: kept with a new run.
        """
        ...

    async def append(self, run_id: str, epoch: int, entries: Sequence[Entry]) -> None:
        """Record entries, all or none; durable on return. Of a kind in `ONCE` the first entry stays.

        Args:
            epoch: of `open`; 0 for a decision of somebody who does not own the run.

        Raises:
            RunTakenOverError: another owner has opened the run since.
        """
        ...

    async def finish(self, run_id: str, epoch: int, status: Status, result: Any = None) -> None:
        """Record how the run ended. It may be opened again.

        Raises:
            RunTakenOverError: another owner has opened the run since.
        """
        ...

    async def entries(self, run_id: str, *, after: int = 0) -> Sequence[Entry]:
        """Entries with a ``seq`` greater than ``after``, in order."""
        ...

    async def publish(self, run_id: str, epoch: int, events: Sequence[Mapping[str, Any]]) -> None:
        """Record what viewers of the run are shown next: the JSON of `weaver.events`, all or none.

        The journal numbers them from 1, without gaps, over all owners of the run. They are in the order that
        they were given in, and on disk before a reader gets them.

        Raises:
            RunTakenOverError: another owner has opened the run since.
        """
        ...

    async def events(
        self, run_id: str, *, after: int = 0, limit: int | None = None
    ) -> Sequence[tuple[int, Mapping[str, Any]]]:
        """Events with a number greater than ``after``, each with its number, in order."""
        ...

    async def head(self, run_id: str) -> RunHead | None:
        """One run, or None."""
        ...

    async def heads(self, *, status: Status | None = None, limit: int | None = None) -> Sequence[RunHead]:
        """Runs, those updated last first."""
        ...

    async def changed(self, run_id: str, *, follow: bool = False) -> None:
        """Wait until the run may have changed: its owner, or decisions of somebody who does not own it.

        Returns after some time also when nothing has changed; a journal that cannot know waits half a second.

        Args:
            follow: wait for everything that is recorded, also by the run's owner.
        """
        ...

    async def cancel(self, run_id: str) -> None:
        """Take a run away from its owner, who stops, and set its status to ``cancelled``."""
        ...

    async def remove(self, run_id: str) -> None:
        """Forget a run, and content that no other run refers to."""
        ...

    async def prune(self, keep: Retention) -> int:
        """Forget runs that are not to be kept; returns how many. It may leave some for the next time."""
        ...

    async def aclose(self) -> None:
        """Release files and connections. The journal may be used again afterwards."""
        ...
