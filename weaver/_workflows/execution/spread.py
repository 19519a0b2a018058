"""Steps with ``spread: true``: they, or each of their items, are runs of their own on any worker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import anyio
from pydantic_core import to_jsonable_python

from weaver._data.result import Answer
from weaver._data.task import Task
from weaver._data.usage import Usage
from weaver._dispatch.placing import Part, Placer, current_placer
from weaver._runtime.limits.budget_ledger import Ledger, Reservation
from weaver._runtime.run import Run
from weaver.errors import StepError

if TYPE_CHECKING:
    from weaver._workflows.execution.step_run import StepRun
    from weaver._workflows.validation.compiled import CompiledStep

LEAST_SECONDS = 0.1
"""A part is not placed for less time than that."""


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
    step, context = work.step, run.context
    steps = [*filter(None, work.progress.path.split("/")), step.id]
    task = task or step.action.task(work, names, run.context.task.title)
    share = hold_share(context.ledger, max(1, work.shares))
    work.shares -= 1
    settings = {name: value for name, value in share_settings(share, context.ledger).items() if value}
    if context.deadline < float("inf"):
        settings["deadline"] = max(LEAST_SECONDS, context.deadline - anyio.current_time())
    part = Part(run.path, steps, to_jsonable_python(dict(names)), task.prompt if task else "", settings)

    async def result() -> dict[str, Any]:
        return dict(await placer.place(part))

    try:
        outcome = await context.step("placed", result)
    finally:
        context.ledger.release(share)
    usage = outcome.get("usage") or {}
    values = {name: usage[name] for name in Usage.__dataclass_fields__ if name in usage}
    context.state.accounting.record(Usage(**values), ledger=context.ledger, thread=context.thread)
    return answer_of(step.id, outcome)


def answer_of(step: str, outcome: Mapping[str, Any]) -> Answer:
    """The answer of a part's run.

    Raises:
        StepError: it has none.
    """
    status = outcome.get("status")
    if status in ("complete", "partial"):
        missing = () if status == "complete" else tuple(outcome.get("notes") or ("a part of it",))
        text, output = str(outcome.get("answer") or ""), outcome.get("output")
        return Answer(text, output=output, complete=status == "complete", missing=missing)
    error = outcome.get("error") or {}
    why = error.get("message") or f"its run {outcome.get('run_id', '')} is {status}"
    raise StepError(f"Step {step} was done by another worker, and failed: {why}")


def hold_share(ledger: Ledger, shares: int) -> Reservation:
    """Set aside one of ``shares`` equal shares of what is left of the limits."""
    tokens, cost, calls = ledger.tokens_left, ledger.cost_left, ledger.calls_left
    return ledger.hold(
        0 if tokens is None else tokens // shares,
        0.0 if cost is None else cost / shares,
        0 if calls is None else max(1, calls // shares),
    )


def share_settings(share: Reservation, ledger: Ledger) -> dict[str, Any]:
    """The share as settings of a run; limits that the run does not have are None."""
    return {
        "max_tokens": None if ledger.tokens_left is None else max(1, share.tokens),
        "max_cost": None if ledger.cost_left is None else share.cost_usd,
        "max_calls": None if ledger.calls_left is None else max(1, share.calls),
    }
