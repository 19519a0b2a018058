"""Steps with ``spread: true``: they, or each of their items, are runs of their own on any worker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic_core import to_jsonable_python

from weaver._data.result import Answer
from weaver._data.task import Task
from weaver._dispatch.placing import Part, Placer, current_placer
from weaver._runtime.run import Run
from weaver._strategies.common import spread

if TYPE_CHECKING:
    from weaver._workflows.execution.step_run import StepRun
    from weaver._workflows.validation.compiled import CompiledStep


def placer_for(step: CompiledStep) -> Placer | None:
    """Return the placer of this step, if it is to be placed and there are workers."""
    return current_placer.get() if step.spec.spread and step.action.can_be_placed else None


async def place(
    work: StepRun, run: Run, names: Mapping[str, Any], task: Task | None, placer: Placer
) -> Answer:
    """Have the work done by any worker; what it used counts here as well.

    Raises:
        StepError: the part's run failed or was cancelled.
        JournalError: it cannot be placed.
    """
    step = work.step
    steps = [*filter(None, work.progress.path.split("/")), step.id]
    task = task or step.action.task(work, names, run.context.task.title)
    shares = work.shares
    work.shares -= 1
    part = Part(run.path, steps, to_jsonable_python(dict(names)), task.prompt if task else "")
    return spread.answer_of(f"Step {step.id}", await spread.place(run, placer, part, shares))
