"""The journal beside a run: opened before its first step, watched while it works, closed with its end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from weaver._data.result import Result
from weaver._data.task import Task
from weaver._runtime.limits.time_budget import TimeBudget
from weaver._runtime.state.record import Record
from weaver._runtime.state.run_state import RunState
from weaver._tools.approvals import Approval
from weaver.errors import JournalError, WeaverError

if TYPE_CHECKING:
    from weaver._journal.port import Status

LEAST_SECONDS = 1.0
"""Seconds that recording the end takes at most where the run was stopped or its deadline has passed."""


async def open_journal(state: RunState, task: Task, strategy: str) -> None:
    """Become the run's owner, and read what is recorded of it; nothing where it is not durable.

    Raises:
        JournalError: the journal cannot be used.
    """
    if state.journal is None:
        return
    about = {"question": task.question, "strategy": strategy, "model": state.model_for("thread").name}
    state.record = await Record.opened(
        state.journal,
        state.id,
        {**about, **state.about},
        halt=partial(state.halt, reason="parent"),
        on_paid=state.count_earlier_calls,
        accept_changes=state.accept_changes,
    )
    if state.events is not None:
        await state.events.open(state.journal, state.record)
    if state.record.is_resumed:
        # Asked now, endpoints are not asked during the replay, which would wait for nobody else.
        models = {id(model): model for model in state.models.values()}.values()
        await asyncio.gather(*(model.capabilities() for model in models), return_exceptions=True)


def accompany(state: RunState) -> list[asyncio.Task[None]]:
    """Start the tasks that work beside a durable run until they are cancelled."""
    record = state.record
    if record is None:
        return []

    def pass_answer(id_: str, value: Mapping[str, Any]) -> None:
        if id_ in state.tools.approvals.pending:
            state.tools.approvals.answer(id_, Approval(**value))

    beside = [record.until_replayed(), record.watch(pass_answer)]
    if state.events is not None:
        beside.append(state.events.publish())
    return [asyncio.ensure_future(work) for work in beside]


async def close_journal(state: RunState, result: Result[Any] | None, error: WeaverError | None) -> bool:
    """Record how the run ended: it may be resumed unless it is complete.

    A run that was stopped waits `LEAST_SECONDS` for its journal, any other one at least so long, until its
    deadline or until the journal gives up.

    Returns:
        Whether the end is recorded; True for a run that is not durable.
    """
    record = state.record
    if record is None:
        return state.journal is None
    # A run that could not be recorded has not failed: whoever goes on with it has all that was recorded.
    is_interrupted = (
        result is None or isinstance(error, JournalError) or state.cancel_reason in ("user", "parent")
    )
    recording = asyncio.ensure_future(_record_end(state, record, result, is_interrupted))
    try:
        with anyio.move_on_after(LEAST_SECONDS, shield=True):
            await asyncio.wait({recording})
        if not is_interrupted:
            await asyncio.wait({recording}, timeout=TimeBudget(state.deadline_at).left)
    finally:
        if not recording.done():
            recording.cancel()
    return recording.done() and recording.result()


async def _record_end(
    state: RunState, record: Record, result: Result[Any] | None, is_interrupted: bool
) -> bool:
    if state.events is not None:
        await state.events.finish()
    status: Status = "interrupted" if is_interrupted or result is None else result.status
    return await record.finish(status, None if result is None else result.as_dict())
