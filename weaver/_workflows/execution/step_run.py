"""One step at work: its condition, approval and deadline, its tries and the time for each of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, NoReturn

import anyio
from pydantic import TypeAdapter, ValidationError

from weaver._coordination.conflicts.resolve import settle_conflicts
from weaver._data.budget import Limits
from weaver._data.result import Answer
from weaver._data.task import Task
from weaver._runtime.run import Run
from weaver._runtime.threads.thread_runner import Ending
from weaver._workflows.execution.approval import Reply, asked, current_step
from weaver._workflows.execution.for_each import Items
from weaver._workflows.execution.preparation.inputs import checked_inputs
from weaver._workflows.execution.preparation.prepared import Prepared
from weaver._workflows.execution.spread import place, placer_for
from weaver._workflows.execution.state import Progress, plain_output
from weaver._workflows.expressions.evaluator import evaluate
from weaver._workflows.expressions.functions import text_of
from weaver._workflows.expressions.parser import ExpressionError
from weaver._workflows.schema.components import Budget
from weaver._workflows.schema.types import in_words
from weaver._workflows.validation.compiled import CompiledStep
from weaver.errors import BudgetExceededError, ConfigurationError, StepError, WeaverError
from weaver.events import ThreadRestarted

OUTER_ROLES = ("planner", "judge", "synthesizer")
"""Roles whose models are one for the whole run; a used workflow chooses only that of its threads."""


class StepRun:
    """One step at work; as a function, the body of its thread.

    Attributes:
        deadline_at: event-loop time of the step's own deadline, or infinity.
        reply: what the person said who was asked.
        shares: parts still to be placed on workers, which share what is left of the run's limits.
        is_placed: this is such a part.
    """

    def __init__(self, progress: Progress, step: CompiledStep) -> None:
        self.progress = progress
        self.step = step
        self.deadline_at = float("inf")
        self.reply = Reply(True)
        self.shares = 1
        self.is_placed = False

    async def __call__(self, run: Run, task: Task) -> Answer:  # noqa: ARG002 - a body's signature
        progress, step = self.progress, self.step
        progress.refresh(step.waits_for)
        if (why := progress.stopping(step)) is not None:
            raise Ending("skipped", why)
        try:
            answer = await self._work(run)
        except Ending:
            raise
        except ExpressionError as error:
            self.fail(StepError(f"Step {step.id}: {progress.explained(error)}."))
        except Exception as error:  # noqa: BLE001 - raised again
            self.fail(error)
        record = progress.records[step.id]
        record["output"] = progress.values.get(run.path, plain_output(answer))
        record["text"] = answer.text
        return answer

    async def _work(self, run: Run) -> Answer:
        progress, step, spec = self.progress, self.step, self.step.spec
        names = progress.names
        if step.condition is not None and not evaluate(step.condition, names):
            progress.tolerated.add(step.id)
            raise Ending("skipped", f"Its condition is false: {spec.if_}")
        if spec.deadline is not None:
            self.deadline_at = anyio.current_time() + spec.deadline
        if spec.budget is not None:
            run.limit(limits_of(spec.budget), f"Step {step.id!r}")
        with anyio.CancelScope(deadline=self.deadline_at) as clock:
            if step.approve is not None:
                self.reply = await asked(run, progress, step, names)
                if not self.reply.approved:
                    run.note(f"Step {step.id} was not approved.")
                    raise Ending("skipped", f"It was not approved. {self.reply.comment}".strip())
            if spec.conflicts and spec.for_each is None:
                threads = [t for id_ in step.needs if (t := progress.threads.get(id_)) is not None]
                ladder = progress.ladder(step)
                progress.conflicts[step.id] = await settle_conflicts(run, threads, ladder=ladder)
        if clock.cancelled_caught:
            return self.late(run, names)
        token = current_step.set((f"{progress.path}{step.id}", None))
        try:
            if spec.for_each is not None:
                return await Items(self, run, names).run()
            return await self.run(run, names)
        finally:
            current_step.reset(token)

    # ---- tries

    # Plain functions that hand on a coroutine: a thread's way to its model has no frame that does nothing.

    def run(self, run: Run, names: Mapping[str, Any], task: Task | None = None) -> Awaitable[Answer]:
        """The work itself, tried again as often as the file allows, each try within its time.

        ``on_timeout`` says what comes of work that its timeout or the step's deadline cut, be it the work of
        the step or of one of its items.

        Args:
            task: the task with its texts filled in, where that is done already.
        """
        if self.deadline_at < run.context.deadline_at:
            return self._by_the_deadline(run, names, task)
        return self._tries(run, names, task)

    async def _by_the_deadline(self, run: Run, names: Mapping[str, Any], task: Task | None) -> Answer:
        answer = await self._within(run, self.deadline_at, lambda: self._tries(run, names, task))
        return answer if answer is not None else self.late(run, names)

    def _tries(self, run: Run, names: Mapping[str, Any], task: Task | None) -> Awaitable[Answer]:
        if not self.is_placed and (placer := placer_for(self.step)) is not None:
            return place(self, run, names, task, placer)
        if self.step.retry.times:
            return self._again(run, names, task)
        return self._in_time(run, names, task, last=True)

    async def _again(self, run: Run, names: Mapping[str, Any], task: Task | None) -> Answer:
        delay = self.step.retry.delay
        for tries_left in range(self.step.retry.times, -1, -1):
            try:
                return await self._in_time(run, names, task, last=not tries_left)
            except (BudgetExceededError, ConfigurationError):
                raise
            except (WeaverError, _TooLongError) as error:
                if not tries_left:
                    raise
                because = error.message if isinstance(error, WeaverError) else str(error)
                tries = f"try {self.step.retry.times - tries_left + 2} of {self.step.retry.times + 1}"
                run.note(f"{run.path} is tried again: {because} ({tries})")
                run.emit(ThreadRestarted(run.path, because))
                if run.context.thread is not None:
                    run.context.thread.attempts += 1
                await anyio.sleep(delay)
                delay *= self.step.retry.backoff
        raise AssertionError("unreachable")

    def _in_time(
        self, run: Run, names: Mapping[str, Any], task: Task | None, *, last: bool
    ) -> Awaitable[Answer]:
        timeout = self.step.timeout
        if timeout is None or anyio.current_time() + timeout >= run.context.deadline_at:
            return self._once(run, names, task)
        return self._timed(run, names, task, timeout, last=last)

    async def _timed(
        self, run: Run, names: Mapping[str, Any], task: Task | None, timeout: float, *, last: bool
    ) -> Answer:
        deadline_at = anyio.current_time() + timeout
        answer = await self._within(run, deadline_at, lambda: self._once(run, names, task))
        if answer is not None:
            return answer
        took = f"it took longer than {timeout:g} s"
        if not last:
            raise _TooLongError(took)
        return self._too_long(run, names, took)

    async def _within(
        self, run: Run, deadline_at: float, work: Callable[[], Awaitable[Answer]]
    ) -> Answer | None:
        """Return what the work comes to, or None when it was not done by ``deadline_at``."""
        if anyio.current_time() >= deadline_at:
            return None
        outer, run.context.deadline_at = run.context.deadline_at, deadline_at
        try:
            with anyio.CancelScope(deadline=deadline_at):
                return await work()
        finally:
            run.context.deadline_at = outer
        return None

    def late(self, run: Run, names: Mapping[str, Any]) -> Answer:
        """Return what ``on_timeout`` makes of work that the step's deadline cut.

        Raises:
            Ending: it has timed out, and nothing of it is to be used.
        """
        return self._too_long(run, names, self.deadline_passed)

    @property
    def deadline_passed(self) -> str:
        """The step's deadline as a reason."""
        return f"the step's deadline of {self.step.spec.deadline or 0:g} s passed"

    def _too_long(self, run: Run, names: Mapping[str, Any], took: str) -> Answer:
        if self.step.on_timeout == "fallback" and self.step.fallback is not None:
            run.note(f"{run.path}: {took}; the fallback is used.")
            value = self.step.fallback.value(names)
            return Answer(text_of(value), output=None if isinstance(value, str) else value)
        if self.step.on_timeout == "partial" and (answer := self._so_far(run)) is not None:
            return _cut(answer, f"{took}; what there was by then is used")
        self._failed()
        raise Ending("timed_out", f"{took[0].upper()}{took[1:]}.")

    def _so_far(self, run: Run) -> Answer | None:
        """Return what it has come to by now, if that can be the output."""
        if run.context.offered is not None and (
            self.step.output is None or run.context.offered.output is not None
        ):
            return run.context.offered
        text = run.context.text_so_far.strip()
        return Answer(text) if text and self.step.output is None else None

    def _once(self, run: Run, names: Mapping[str, Any], task: Task | None) -> Awaitable[Answer]:
        action = self.step.action
        if action.stand_in is not None and action.stand_in in self.progress.setting.functions:
            return self._stood_in(run, action.stand_in)
        return action.run(self, run, names, task)

    # ---- what kinds of steps use

    async def _stood_in(self, run: Run, name: str) -> Answer:
        return self.answer(run, self.progress.setting.functions[name], by=name)

    def answer(self, run: Run, value: Any, *, by: str = "") -> Answer:
        """Make the answer of a kind of step that comes to a value rather than to a text.

        Args:
            value: JSON data, or what pydantic makes JSON of; it may be null.
            by: for messages: what gave it; by default the step's kind.

        Raises:
            StepError: it does not fit the step's ``output``.
        """
        if self.step.output is not None:
            try:
                value = TypeAdapter(self.step.output).validate_python(value)
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(str(p) for p in first["loc"]) or "the result"
                raise StepError(
                    f"Step {self.step.id}: what {by or self.step.action.key} gave does not fit: "
                    f"{where}: {in_words(first['msg'])}."
                ) from None
        self.progress.values[run.path] = value
        return Answer(text_of(value) or "done", output=value)

    async def run_workflow(self, run: Run, used: Prepared, arguments: Mapping[str, Any]) -> Answer:
        """Run another workflow below this step.

        Args:
            arguments: its inputs.

        Raises:
            InvalidTaskError: they do not fit.
            StepError: nothing came out of it.
        """
        inputs = checked_inputs(used.workflow, arguments, where=f"Step {self.step.id}")
        defaults, models = used.workflow.defaults, used.workflow.models
        if ignored := [role for role in OUTER_ROLES if getattr(models, role) is not None]:
            run.note(
                f"Workflow {used.workflow.name!r}: its models for {', '.join(ignored)} are not used; "
                "those of the outermost workflow are."
            )
        if defaults.budget is not None:
            run.limit(limits_of(defaults.budget), f"Workflow {used.workflow.name!r}")
        work = self.progress.nested(self.step.id, used, inputs)
        if (
            defaults.deadline is None
            or (deadline_at := anyio.current_time() + defaults.deadline) >= run.context.deadline_at
        ):
            return await work(run)
        answer = await self._within(run, deadline_at, lambda: work(run))
        if answer is not None:
            return answer
        took = f"workflow {used.workflow.name} took longer than {defaults.deadline:g} s"
        if run.context.offered is None:
            raise StepError(f"{took[0].upper()}{took[1:]}, and there was nothing to answer with.")
        return _cut(run.context.offered, took)

    # ---- failures

    def fail(self, error: Exception) -> NoReturn:
        """End the work with this error, and let the others know what it means for them.

        Raises:
            Exception: the error. With ``fail_fast`` a `StepError` for a `BudgetExceededError`: a thread
                that ran out of budget is cancelled, and a cancelled one stops nobody.
        """
        self._failed()
        if self.step.on_error == "fail_fast" and isinstance(error, BudgetExceededError):
            raise StepError(f"Step {self.step.id}: {error.message}", hint=error.hint) from error
        raise error

    def _failed(self) -> None:
        if self.step.on_error == "fail_fast":
            self.progress.stopped = True
        elif self.step.on_error == "skip":
            self.progress.tolerated.add(self.step.id)


class _TooLongError(Exception):
    """A try took too long, and there will be another."""


def _cut(answer: Answer, why: str) -> Answer:
    return replace(answer, complete=False, missing=(*answer.missing, why))


def limits_of(budget: Budget) -> Limits:
    """A budget of the file as limits."""
    return Limits(budget.tokens, budget.cost, budget.calls, budget.threads, None)
