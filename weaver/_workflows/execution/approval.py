"""What a run of a workflow is given besides its inputs: whom to ask, and what tests put in place."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from weaver._data.result import Conflict
from weaver._runtime.calls.approval_record import answer_from_outside
from weaver._runtime.run import Run
from weaver._workflows.expressions.functions import text_of
from weaver._workflows.schema.components import Approval

if TYPE_CHECKING:
    from weaver._workflows.execution.state import Progress
    from weaver._workflows.validation.compiled import CompiledStep


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
    functions: Mapping[str, Any] = field(default_factory=dict[str, Any])
    approved: frozenset[str] = frozenset()
    turn: AbstractAsyncContextManager[Any] = field(default_factory=nullcontext)

    def agreed(self, path: str) -> bool:
        """Return True if the step at ``path`` was approved beforehand."""
        return path in self.approved or EVERY_STEP in self.approved


current_step: ContextVar[tuple[str, int | None]] = ContextVar("weaver_workflow_step", default=("", None))
"""The step whose work is being done, ``outer/inner`` in used workflows, and the index of its item."""


async def asked(run: Run, progress: Progress, step: CompiledStep, names: Mapping[str, Any]) -> Reply:
    """Ask a person about a step, once per journal.

    Raises:
        ExpressionError: the message has no value.
    """
    approve = step.spec.approve
    assert approve is not None
    assert step.approve is not None
    setting, path = progress.setting, f"{progress.path}{step.id}"
    message = text_of(step.approve.value(names))
    question = Question(progress.prepared.workflow.name, step.id, message, path)

    async def ask() -> dict[str, Any]:
        if setting.agreed(path):
            return asdict(Reply(True))
        may_wait = approve.timeout is not None or "otherwise" not in approve.model_fields_set
        is_durable = run.context.state.record is not None
        if setting.approve is None and not (is_durable and may_wait):
            return asdict(_without_a_reply(run, step.id, approve, "nobody could be asked"))
        reply = await _first_reply(run, setting, question, approve.timeout)
        return asdict(reply or _without_a_reply(run, step.id, approve, "nobody answered in time"))

    return Reply(**await run.step("approve", ask))


async def _first_reply(run: Run, setting: Setting, question: Question, timeout: float | None) -> Reply | None:
    """Ask whoever can be asked here, and in a durable run wait for `weaver approve` as well.

    Args:
        timeout: seconds that a person has, from being asked; None waits for ever.
    """
    replies: list[Reply | Exception] = []

    async def ask_here(approve: Approve) -> None:
        async with setting.turn:
            with anyio.move_on_after(timeout):
                response: Any = await _called(approve, question)
                replies.append(response if isinstance(response, Reply) else Reply(bool(response)))

    async def wait_outside() -> None:
        is_alone = setting.approve is None
        with anyio.move_on_after(timeout if is_alone else None):
            answer = await answer_from_outside(
                run.context, question.path, question.message, is_shown=is_alone
            )
            replies.append(Reply(answer.approved, answer.reason))

    async def until_one_ends(way: Awaitable[None]) -> None:
        try:
            await way
        except Exception as error:  # noqa: BLE001 - raised below, alone
            replies.append(error)
        group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        if setting.approve is not None:
            group.start_soon(until_one_ends, ask_here(setting.approve))
        if run.context.state.record is not None:
            group.start_soon(until_one_ends, wait_outside())
    if replies and isinstance(replies[0], Exception):
        raise replies[0]
    return replies[0] if replies and isinstance(replies[0], Reply) else None


def _without_a_reply(run: Run, step: str, approve: Approval, why: str) -> Reply:
    """Return what ``otherwise`` says, and a note about it."""
    counts = "approved" if approve.otherwise == "approve" else "not approved"
    has_default = "otherwise" in approve.model_fields_set
    source = "the file says so" if has_default else "the default; `otherwise` is what changes it"
    run.note(f"Step {step}: {why}, so it counts as {counts} ({source}).")
    return Reply(approve.otherwise == "approve")


async def _called(function: Any, question: Any) -> Any:
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
        return await function(question)
    reply = await anyio.to_thread.run_sync(function, question, abandon_on_cancel=True)
    return await reply if inspect.isawaitable(reply) else reply
