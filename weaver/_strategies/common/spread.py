"""Threads that any worker can work on, as runs of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import anyio

from weaver._data.result import Answer
from weaver._data.task import Task
from weaver._data.usage import Usage
from weaver._dispatch.placing import Part, Placer, current_placer
from weaver._runtime.limits.budget_ledger import Ledger, Reservation
from weaver._runtime.run import Run
from weaver._runtime.state.run_state import RunState
from weaver._runtime.threads.thread_options import Body
from weaver._strategies.common.registry import find
from weaver.errors import StepError

LEAST_SECONDS = 0.1
"""A part is not placed for less time than that."""
LEAST_COST = 1e-6
"""US dollars; where no more are left, no call of the part can begin."""
_TRAVELS = ("context", "guidance", "max_tokens", "temperature", "seed")
"""Fields of a task that are sent besides its question."""
_STAYS = ("messages", "output", "tools", "agent", "equivalence", "documents", "metadata")
"""Fields that a worker elsewhere could not use."""
_placed: WeakKeyDictionary[RunState, set[str]] = WeakKeyDictionary()
"""Threads of a run that have got their shares."""


def spread(strategy: str) -> Body:
    """Return a body for `Run.fork`: each of its threads is a run of its own, on any worker.

    The run gets the thread's deadline and an equal share of what is left of the tokens, calls and money;
    what it uses counts here too. It survives the death of this process: a resumed run finds it again.
    Where there are no workers (`weaver worker`), and for a task with tools, an agent, an output type, earlier
    messages or documents, the strategy works on the thread here.

    Args:
        strategy: ``NAME`` or ``NAME:key=value,...``, of a strategy that is installed on the workers.

    Raises:
        UnknownNameError, ConfigurationError: there is no such strategy, or an option is wrong.
    """
    known, options = find(strategy)

    async def body(run: Run, task: Task) -> Answer:
        placer = current_placer.get()
        staying = [name for name in _STAYS if getattr(task, name)]
        if placer is None or staying:
            if placer is not None:
                run.note(f"Thread {run.path} is worked on here: its {' and '.join(staying)} cannot be sent.")
            answer: Answer = await known.function(run, task, **options)
            return answer
        sent = {name: value for name in _TRAVELS if (value := getattr(task, name))}
        settings: dict[str, Any] = {"strategy": strategy}
        remaining = run.remaining
        shares = _unplaced(run)
        if remaining.depth is not None:
            settings["max_depth"] = remaining.depth
        if remaining.threads is not None:
            settings["max_threads"] = max(1, remaining.threads // shares)
        part = Part(run.path, prompt=task.prompt, task=sent, settings=settings)
        return answer_of(f"Thread {run.path}", await place(run, placer, part, shares))

    return body


async def place(run: Run, placer: Placer, part: Part, shares: int) -> Mapping[str, Any]:
    """Have a part done by any worker, and return its result; what it used counts here as well.

    Args:
        part: gets its share of the limits, and the time that is left, beside its own settings.
        shares: the part gets one of so many equal shares of what is left.

    Raises:
        JournalError: it cannot be placed.
    """
    context = run.context
    share = hold_share(context.ledger, max(1, shares))
    settings = {**part.settings, **share_settings(share, context.ledger)}
    if context.deadline_at < float("inf"):
        settings["deadline"] = max(LEAST_SECONDS, context.deadline_at - anyio.current_time())

    async def result() -> dict[str, Any]:
        return dict(await placer.place(part.with_settings(settings)))

    try:
        outcome = await context.step("placed", result)
    finally:
        context.ledger.release(share)
    usage: dict[str, Any] = outcome.get("usage") or {}
    values = {name: usage[name] for name in Usage.__dataclass_fields__ if name in usage}
    context.state.accounting.record(Usage(**values), ledger=context.ledger, thread=context.thread)
    return outcome


def answer_of(what: str, outcome: Mapping[str, Any]) -> Answer:
    """Return the answer of a part's run.

    Args:
        what: the part, for messages.

    Raises:
        StepError: it has none.
    """
    status = outcome.get("status")
    if status in ("complete", "partial"):
        missing = () if status == "complete" else tuple(outcome.get("notes") or ("a part of it",))
        text, output = str(outcome.get("answer") or ""), outcome.get("output")
        return Answer(text, output=output, complete=status == "complete", missing=missing)
    error: dict[str, Any] = outcome.get("error") or {}
    why = error.get("message") or f"its run {outcome.get('run_id', '')} is {status}"
    raise StepError(f"{what} was done by another worker, and failed: {why}")


def hold_share(ledger: Ledger, shares: int) -> Reservation:
    """Set aside one of ``shares`` equal shares of what is left of the limits."""
    tokens, cost, calls = ledger.tokens_left, ledger.cost_left, ledger.calls_left
    return ledger.hold(
        0 if tokens is None else tokens // shares,
        0.0 if cost is None else cost / shares,
        0 if calls is None else max(1, calls // shares),
    )


def share_settings(share: Reservation, ledger: Ledger) -> dict[str, Any]:
    """Return the share as settings of a run, without those that the run has no limit for."""
    limits = {
        "max_total_tokens": None if ledger.tokens_left is None else max(1, share.tokens),
        "max_cost": None if ledger.cost_left is None else max(LEAST_COST, share.cost_usd),
        "max_calls": None if ledger.calls_left is None else max(1, share.calls),
    }
    return {name: value for name, value in limits.items() if value is not None}


def _unplaced(run: Run) -> int:
    """Return how many threads of this thread's fork have no share yet, this one included."""
    state, path = run.context.state, run.path
    placed = _placed.setdefault(state, set())
    parent = path.rpartition("/")[0]
    siblings = {
        thread.id
        for thread in state.threads
        if thread.id.rpartition("/")[0] == parent and not thread.finished
    }
    number = len(siblings - placed)
    placed.add(path)
    return max(1, number)
