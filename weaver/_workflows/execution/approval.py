"""What a run of a workflow is given besides its inputs: whom to ask, and what tests put in place."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from weaver._data.result import Conflict


@dataclass(frozen=True, slots=True)
class Question:
    """What a person is asked before a step starts.

    Attributes:
        workflow, step: names.
        message: the text to be read, with its values filled in. Part of it may be a model's.
        path: the step with those that use its workflow, outermost first: ``outer/inner``.
    """

    workflow: str
    step: str
    message: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the person says."""

    approved: bool
    comment: str = ""


EVERY_STEP = "all"
"""Stands for every step in `Setting.approved`."""

Approve = Callable[[Question], "bool | Reply | Awaitable[bool | Reply]"]
Ask = Callable[[Conflict], "str | Awaitable[str | None] | None"]


@dataclass(frozen=True, slots=True)
class Setting:
    """The surroundings of one run.

    Args:
        approve: asks a person; a plain function runs in a worker thread. None: nobody can be asked.
        ask: asks a person for the right value of a conflict, for the policy ``ask``.
        functions: results of functions that are not to be called, by name; for tests.
        approved: paths of steps that are approved beforehand, without asking; `EVERY_STEP` for all.
        turn: held while a person is asked; a lock where only one question can be asked at a time.
    """

    approve: Approve | None = None
    ask: Ask | None = None
    functions: Mapping[str, Any] = field(default_factory=dict)
    approved: frozenset[str] = frozenset()
    turn: AbstractAsyncContextManager[Any] = field(default_factory=nullcontext)

    def agreed(self, path: str) -> bool:
        """Return True if the step at ``path`` was approved beforehand."""
        return path in self.approved or EVERY_STEP in self.approved


current_step: ContextVar[tuple[str, int | None]] = ContextVar("weaver_workflow_step", default=("", None))
"""The step whose work is being done, ``outer/inner`` in used workflows, and the index of its item."""
