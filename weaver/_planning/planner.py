"""The planner: one streamed call whose subtasks are handed over while it is still writing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import anyio

from weaver._data.plan import Plan, Subtask
from weaver._data.task import Agent, Task
from weaver._models.protocol import OutputSchema, Request
from weaver._models.reply import Reply
from weaver._planning.prompts import plan_schema, planner_messages
from weaver._planning.reader import PlanReader
from weaver._runtime.output.asking import Asking
from weaver._runtime.output.structured_output import output_piece, output_text
from weaver._runtime.run import Run
from weaver._tools.protocol import Tool
from weaver.errors import InvalidPlanError, ModelError, StreamInterruptedError, WeaverError
from weaver.events import Planned, SubtaskPlanned

REPAIRS = 2
"""How often an invalid plan is asked for again."""
DEFAULT_SUBTASKS = 8
TOKENS_PER_SUBTASK = 400
PATIENCE = 4
"""Deltas after the end of the plan that are waited through for the model to end by itself."""


class Planner(Protocol):
    """Takes a task apart, and hands each subtask over as soon as it is known (see `make_plan`)."""

    async def __call__(
        self,
        run: Run,
        task: Task,
        *,
        agents: Sequence[Agent] = (),
        max_subtasks: int = DEFAULT_SUBTASKS,
        on_parallel: Callable[[bool], None] | None = None,
        on_subtask: Callable[[Subtask], None] | None = None,
        on_restart: Callable[[], None] | None = None,
    ) -> Plan:
        """Return a valid plan; ``parallel=False`` to answer directly. Raises as `make_plan`."""
        ...


async def make_plan(
    run: Run,
    task: Task,
    *,
    agents: Sequence[Agent] = (),
    max_subtasks: int = DEFAULT_SUBTASKS,
    on_parallel: Callable[[bool], None] | None = None,
    on_subtask: Callable[[Subtask], None] | None = None,
    on_restart: Callable[[], None] | None = None,
    min_parts: int = 2,
) -> Plan:
    """Ask the planner for a decomposition of ``task``.

    Args:
        max_subtasks: most subtasks; more parts than this are put together, so that each is answered.
        on_parallel: called as soon as the model has decided.
        on_subtask: called with each subtask as soon as it can start (see `PlanReader`).
        on_restart: the subtasks so far are void; they follow again, as something written later changed them.
        min_parts: a plan with fewer parts is a direct answer.

    Returns:
        A valid plan. With ``parallel=False`` the call is left as soon as the model has said so.

    Raises:
        InvalidPlanError: no valid plan after two repairs.
        ModelError, BudgetExceededError: the planner could not be asked.
    """
    span = run.context.state.tracing.plans.start(run.context.span)
    error: BaseException | None = None
    plan: Plan | None = None
    try:
        tools = tool_names(task, agents)
        schema = OutputSchema("plan", plan_schema(max_subtasks, [agent.name for agent in agents], tools))
        asking = Asking(
            Request(
                messages=planner_messages(task, agents, max_subtasks, tools),
                max_tokens=TOKENS_PER_SUBTASK * max(2, max_subtasks),
                temperature=0.0,
            ),
            schema,
            await run.capabilities("planner"),
            run.context.model("planner"),
            run.note,
        )
        listeners = _Listeners(run, on_parallel, on_subtask, on_restart)
        with run.context.under(span):
            read = partial(
                PlanReader,
                max_subtasks=max_subtasks,
                question=task.question,
                agents=[agent.name for agent in agents],
                tools=tools,
                min_parts=min_parts,
            )
            plan = await _asked(run, asking, read, listeners)
        if run.context.parent is None:
            run.context.state.plan = plan
        run.emit(Planned(plan, run.context.thread_id))
        return plan
    except WeaverError as failed:
        error = failed
        raise
    finally:
        stopped = run.context.why_cancelled if plan is None and error is None else None
        run.context.state.tracing.plans.end(span, plan=plan, error=error, cancel_reason=stopped)


def use_plan(run: Run, plan: Plan) -> None:
    """Take a plan that no planner wrote: it stands in the trace, in the events and in the result."""
    tracing = run.context.state.tracing
    tracing.plans.end(tracing.plans.start(run.context.span), plan=plan)
    if run.context.parent is None:
        run.context.state.plan = plan
    for note in plan.notes:
        run.note(note)
    run.emit(Planned(plan, run.context.thread_id))


async def _asked(
    run: Run, asking: Asking, new_reader: Callable[[], PlanReader], listeners: _Listeners
) -> Plan:
    """Ask until there is a valid plan: by the next way when one is refused, again when a stream breaks."""
    repairs = 0
    broke = False
    while True:
        reader = new_reader()
        was_cut = False
        try:
            reply = await _read(run, asking.request, reader, listeners)
            was_cut = reply.finish == "length"
            if not reader.text.strip():
                reader.feed(output_text(reply))  # in the reasoning, perhaps
            plan = reader.finish()
            listeners.hear(reader)
            if reader.cut:
                run.note("The plan was cut off; its complete subtasks are followed.")
            for note in plan.notes:
                run.note(note)
            asking.succeeded()
            return plan
        except InvalidPlanError as invalid:
            if repairs == REPAIRS:
                raise
            repairs += 1
            run.note(f"The plan was asked for again: {invalid.message}")
            if was_cut:
                asking.with_more_room()
            elif reader.text.strip() or not asking.next_way("it answered with nothing"):
                asking.correct(reader.text, str(invalid), again="Write the whole plan again, corrected.")
        except ModelError as failed_call:
            if not asking.steps_down(failed_call):
                in_time = anyio.current_time() + (failed_call.retry_after or 0.0) < run.context.deadline_at
                if broke or not in_time or not isinstance(failed_call, StreamInterruptedError):
                    raise
                broke = True
                run.note(f"The plan was asked for again: {failed_call.message}")
                await anyio.sleep(failed_call.retry_after or 0.0)
        listeners.restart()


def tool_names(task: Task, agents: Sequence[Agent]) -> tuple[str, ...]:
    """Names of the tools that a subtask's thread may call, without those that are not listed yet."""
    tools = [*task.tools, *(tool for agent in agents for tool in agent.tools)]
    return tuple(dict.fromkeys(tool.spec.name for tool in tools if isinstance(tool, Tool)))


class _Listeners:
    """Hands over what a reader has read since the last time."""

    def __init__(
        self,
        run: Run,
        on_parallel: Callable[[bool], None] | None,
        on_subtask: Callable[[Subtask], None] | None,
        on_restart: Callable[[], None] | None,
    ) -> None:
        self._run = run
        self._on_parallel = on_parallel
        self._on_subtask = on_subtask
        self._on_restart = on_restart
        self._is_decided = False
        self._subtasks = 0
        self._revision = 0

    def hear(self, reader: PlanReader) -> None:
        """Pass on what is new."""
        if reader.revision != self._revision:
            self._revision = reader.revision
            self._subtasks = 0
            if self._on_restart is not None:
                self._on_restart()
        if not self._is_decided and reader.parallel is not None:
            self._is_decided = True
            if self._on_parallel is not None:
                self._on_parallel(reader.parallel)
        if reader.parallel is False:
            return
        for subtask in reader.subtasks[self._subtasks :]:
            self._subtasks += 1
            self._run.emit(SubtaskPlanned(subtask, self._run.context.thread_id))
            if self._on_subtask is not None:
                self._on_subtask(subtask)

    def restart(self) -> None:
        """Say that another plan follows, by a new reader."""
        self._is_decided = False
        self._subtasks = self._revision = 0
        if self._on_restart is not None:
            self._on_restart()


async def _read(run: Run, request: Request, reader: PlanReader, listeners: _Listeners) -> Reply:
    """Read a plan while it is written. Returns the reply, which is left when the plan is complete."""
    async with run.call(request, role="planner", name="plan") as call:
        babble = 0
        async for delta in call:
            if not (piece := output_piece(delta)):
                continue
            reader.feed(piece)
            listeners.hear(reader)
            if reader.parallel is False:
                reader.done = True
                break
            if reader.done:
                # A model that ends here reports its usage; one that babbles on is cut.
                if babble > PATIENCE:
                    break
                babble += 1
    return call.reply


PLANNERS: dict[str, Planner] = {"model": make_plan}
"""By the names that users type."""
