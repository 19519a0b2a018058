"""The planner: one streamed call whose subtasks are handed over while it is still writing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from weaver.errors import PlanInvalid, WeaverError
from weaver.events import Planned, SubtaskPlanned
from weaver.messages import assistant, user
from weaver.models.protocol import OutputSchema, Request
from weaver.plan import Plan, Subtask
from weaver.planning.prompts import plan_schema, planner_messages
from weaver.planning.reader import PlanReader
from weaver.runtime.run import Run
from weaver.runtime.structured_output import asking_for, output_piece
from weaver.task import Agent, Task

REPAIRS = 2
"""How often an invalid plan is asked for again."""
DEFAULT_SUBTASKS = 8
TOKENS_PER_SUBTASK = 400
PATIENCE = 4
"""Deltas after the end of the plan that are waited through for the model to end by itself."""


async def make_plan(
    run: Run,
    task: Task,
    *,
    agents: Sequence[Agent] = (),
    max_subtasks: int = DEFAULT_SUBTASKS,
    on_parallel: Callable[[bool], None] | None = None,
    on_subtask: Callable[[Subtask], None] | None = None,
    on_restart: Callable[[], None] | None = None,
) -> Plan:
    """Ask the planner for a decomposition of ``task``.

    Args:
        max_subtasks: most subtasks; a plan with more is not valid, for what was cut off would be missing.
        on_parallel: called as soon as the model has decided.
        on_subtask: called with each subtask as soon as its JSON is complete.
        on_restart: what was handed over is void; a repaired plan follows.

    Returns:
        A valid plan. With ``parallel=False`` the call is left as soon as the model has said so.

    Raises:
        PlanInvalid: no valid plan after two repairs.
        ModelError, BudgetExceeded: the planner could not be asked.
    """
    span = run.state.tracing.start_plan(run.span)
    error: BaseException | None = None
    plan: Plan | None = None
    try:
        schema = OutputSchema("plan", plan_schema(max_subtasks))
        request = asking_for(
            Request(
                messages=planner_messages(task, agents, max_subtasks),
                max_tokens=TOKENS_PER_SUBTASK * max(2, max_subtasks),
                temperature=0.0,
            ),
            schema,
            await run.capabilities("planner"),
        )
        for attempt in range(REPAIRS + 1):
            reader = PlanReader(max_subtasks=max_subtasks)
            try:
                with run.under(span):
                    await _read(run, request, reader, on_parallel, on_subtask)
                plan = reader.finish()
                break
            except PlanInvalid as invalid:
                if attempt == REPAIRS:
                    raise
                run.note(f"The plan was asked for again: {invalid.message}")
                if on_restart is not None:
                    on_restart()
                again = (
                    assistant(reader.text),
                    user(f"{invalid} Write the whole plan again, corrected."),
                )
                request = replace(request, messages=(*request.messages, *again))
        assert plan is not None
        if run.parent is None:
            run.state.plan = plan
        run.emit(Planned(plan))
        return plan
    except WeaverError as failed:
        error = failed
        raise
    finally:
        stopped = run.why_cancelled if plan is None and error is None else None
        run.state.tracing.end_plan(span, plan=plan, error=error, cancel_reason=stopped)


async def _read(
    run: Run,
    request: Request,
    reader: PlanReader,
    on_parallel: Callable[[bool], None] | None,
    on_subtask: Callable[[Subtask], None] | None,
) -> None:
    async with run.call(request, role="planner", name="plan") as call:
        babble = 0
        async for delta in call:
            if not (piece := output_piece(delta)):
                continue
            undecided = reader.parallel is None
            subtasks = reader.feed(piece)
            if undecided and reader.parallel is not None and on_parallel is not None:
                on_parallel(reader.parallel)
            if reader.parallel is False:
                reader.done = True
                return
            for subtask in subtasks:
                run.emit(SubtaskPlanned(subtask))
                if on_subtask is not None:
                    on_subtask(subtask)
            if reader.done:
                # A model that ends here reports its usage; one that babbles on is cut.
                if babble > PATIENCE:
                    return
                babble += 1
