"""Parts of a run that other workers do, as runs of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Part:
    """One step of a workflow, one of its items, or a thread that a strategy works on.

    Attributes:
        path: of its thread; unique within the run, and the same when the run is resumed.
        steps: ids that lead to the step: those of steps that use a workflow, then its own; none for a thread.
        names: JSON that expressions of the step may read.
        prompt: its task with the texts filled in; "" for what has no task.
        task: other fields of a thread's task, JSON.
        settings: its strategy, and its share of the run's limits: ``max_cost``, ``max_total_tokens``,
            ``max_calls``, ``deadline``.
    """

    path: str
    steps: Sequence[str] = ()
    names: Mapping[str, Any] = field(default_factory=dict[str, Any])
    prompt: str = ""
    task: Mapping[str, Any] = field(default_factory=dict[str, Any])
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def with_settings(self, settings: Mapping[str, Any]) -> Part:
        """Return the part with other settings."""
        return replace(self, settings=settings)


class Placer(Protocol):
    """Has parts of the present run done by any worker."""

    async def place(self, part: Part) -> Mapping[str, Any]:
        """Wait for the part's run and return its result (``Result.as_dict``) with its ``status``.

        A part that was placed before, by a process that has died, is not placed again. Cancelling this
        cancels the part, unless the present run goes on elsewhere.

        Raises:
            JournalError: it cannot be placed.
        """
        ...


current_placer: ContextVar[Placer | None] = ContextVar("weaver_placer", default=None)
"""That of the worker that works on the present run; None where there are no workers."""
