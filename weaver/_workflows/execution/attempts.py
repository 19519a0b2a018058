"""Doing the work of a step, or of one of its items: within its time, and again if need be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import anyio

from weaver._coordination.conflicts.briefing import briefing
from weaver._coordination.conflicts.claims import claiming
from weaver._data.budget import Limits
from weaver._data.result import Answer
from weaver._data.task import Agent, Task
from weaver._runtime.run import Run
from weaver._runtime.threads.thread_runner import Ending
from weaver._workflows.execution.function_step import call_function
from weaver._workflows.execution.preparation.inputs import checked_inputs
from weaver._workflows.execution.preparation.prepared import PreparedStep
from weaver._workflows.execution.spread import place, placer_for
from weaver._workflows.execution.state import Progress
from weaver._workflows.execution.step_documents import documents_of, with_documents
from weaver._workflows.expressions.functions import text_of
from weaver._workflows.schema.components import Budget
from weaver.errors import BudgetExceededError, ConfigurationError, StepError, WeaverError
from weaver.events import ThreadRestarted

if TYPE_CHECKING:
    from weaver._runtime.threads.thread_options import Body

OUTER_ROLES = ("planner", "judge", "synthesizer")
"""Roles whose models are one for the whole run; a used workflow chooses only that of its threads."""


class Attempts:
    """What a step does: a task, a function or another workflow.

    Attributes:
        until: event-loop time of the step's own deadline, or infinity.
        shares: parts still to be placed on workers, which share what is left of the run's limits.
        is_placed: this is such a part.
    """

    def __init__(self, progress: Progress, one: PreparedStep) -> None:
        self.progress = progress
        self.one = one
        self.until = float("inf")
        self.shares = 1
        self.is_placed = False

    # Plain functions that hand on a coroutine: a thread's way to its model has no frame that does nothing.

    def run(self, run: Run, names: Mapping[str, Any], task: Task | None = None) -> Awaitable[Answer]:
        """The work itself, tried again as often as the file allows, each try within its time.

        ``on_timeout`` says what comes of work that its timeout or the step's deadline cut, be it the work of
        the step or of one of its items.

        Args:
            task: the task with its texts filled in, where that is done already.
        """
        if self.until < run.context.deadline:
            return self._by_the_deadline(run, names, task)
        return self._tries(run, names, task)

    async def _by_the_deadline(self, run: Run, names: Mapping[str, Any], task: Task | None) -> Answer:
        answer = await self._within(run, self.until, lambda: self._tries(run, names, task))
        return answer if answer is not None else self.late(run, names)

    def _tries(self, run: Run, names: Mapping[str, Any], task: Task | None) -> Awaitable[Answer]:
        if not self.is_placed and (placer := placer_for(self.one)) is not None:
            return place(self, run, names, task, placer)
        if self.one.retry.times:
            return self._again(run, names, task)
        return self._in_time(run, names, task, last=True)

    async def _again(self, run: Run, names: Mapping[str, Any], task: Task | None) -> Answer:
        delay = self.one.retry.delay
        for tries_left in range(self.one.retry.times, -1, -1):
            try:
                return await self._in_time(run, names, task, last=not tries_left)
            except (BudgetExceededError, ConfigurationError):
                raise
            except (WeaverError, _TooLongError) as error:
                if not tries_left:
                    raise
                because = error.message if isinstance(error, WeaverError) else str(error)
                tries = f"try {self.one.retry.times - tries_left + 2} of {self.one.retry.times + 1}"
                run.note(f"{run.path} is tried again: {because} ({tries})")
                run.emit(ThreadRestarted(run.path, because))
                if run.context.thread is not None:
                    run.context.thread.attempts += 1
                await anyio.sleep(delay)
                delay *= self.one.retry.backoff
        raise AssertionError("unreachable")

    def _in_time(
        self, run: Run, names: Mapping[str, Any], task: Task | None, *, last: bool
    ) -> Awaitable[Answer]:
        timeout = self.one.timeout
        if timeout is None or anyio.current_time() + timeout >= run.context.deadline:
            return self._once(run, names, task)
        return self._timed(run, names, task, timeout, last=last)

    async def _timed(
        self, run: Run, names: Mapping[str, Any], task: Task | None, timeout: float, *, last: bool
    ) -> Answer:
        until = anyio.current_time() + timeout
        answer = await self._within(run, until, lambda: self._once(run, names, task))
        if answer is not None:
            return answer
        took = f"it took longer than {timeout:g} s"
        if not last:
            raise _TooLongError(took)
        return self._too_long(run, names, took)

    async def _within(self, run: Run, until: float, work: Callable[[], Awaitable[Answer]]) -> Answer | None:
        """Return what the work comes to, or None when it was not done by ``until``."""
        if anyio.current_time() >= until:
            return None
        outer, run.context.deadline = run.context.deadline, until
        try:
            with anyio.CancelScope(deadline=until):
                return await work()
        finally:
            run.context.deadline = outer
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
        return f"the step's deadline of {self.one.step.deadline or 0:g} s passed"

    def _too_long(self, run: Run, names: Mapping[str, Any], took: str) -> Answer:
        if self.one.on_timeout == "fallback" and self.one.compiled.fallback is not None:
            run.note(f"{run.path}: {took}; the fallback is used.")
            value = self.one.compiled.fallback.value(names)
            return Answer(text_of(value), output=None if isinstance(value, str) else value)
        if self.one.on_timeout == "partial" and (answer := self._so_far(run)) is not None:
            return _cut(answer, f"{took}; what there was by then is used")
        self._failed()
        raise Ending("timed_out", f"{took[0].upper()}{took[1:]}.")

    def _so_far(self, run: Run) -> Answer | None:
        """Return what it has come to by now, if that can be the output."""
        if run.context.offered is not None and (
            self.one.output is None or run.context.offered.output is not None
        ):
            return run.context.offered
        text = run.context.text_so_far.strip()
        return Answer(text) if text and self.one.output is None else None

    def _once(self, run: Run, names: Mapping[str, Any], task: Task | None) -> Awaitable[Answer]:
        if self.one.does == "function":
            return self._function(run, names)
        if self.one.does == "uses":
            return self._nested(run, names)
        if task is None:
            task = self.task(names, run.context.task.title)
            run.context.task = task
            if run.context.thread is not None:
                run.context.thread.task = task
        assert self.one.body is not None
        if self.one.compiled.documents is not None:
            return self._on_documents(run, names, task, self.one.body)
        return self.one.body(run, task) if self.one.direct else self._carefully(run, task, self.one.body)

    async def _on_documents(self, run: Run, names: Mapping[str, Any], task: Task, body: Body) -> Answer:
        source = self.progress.prepared.workflow.source
        path = source.path if source is not None else None
        task = replace(task, documents=await documents_of(self.one, path, names))
        return await self._carefully(run, task, partial(with_documents, body, self.one))

    async def _carefully(self, run: Run, task: Task, body: Body) -> Answer:
        """A strategy that needs something of the model, or whose findings are compared."""
        strategy = self.one.strategy
        if strategy is not None and strategy.demands(self.one.options):
            strategy.check(await run.capabilities(), run.context.model().name, self.one.options)
        return await (claiming(body) if self.one.claims else body)(run, task)

    def task(self, names: Mapping[str, Any], title: str) -> Task:
        """The task of a step, or of one of its items, with its texts filled in.

        Raises:
            ExpressionError: a text has no value.
        """
        prepared = self.one
        assert prepared.compiled.task is not None
        prompt = prepared.compiled.task.prompt(names)
        if self.progress.conflicts:
            conflicts_of_steps = [
                self.progress.conflicts.get(id_, ()) for id_ in (prepared.id, *prepared.compiled.waits_for)
            ]
            briefs = [brief for conflicts in conflicts_of_steps if (brief := briefing(conflicts))]
            prompt = "\n\n".join([prompt, *briefs])
        return Task(
            prompt,
            title=title,
            output=prepared.output,
            tools=prepared.tools,
            agent=self._agent(names),
            max_tokens=prepared.max_tokens,
            temperature=prepared.temperature,
        )

    def _agent(self, names: Mapping[str, Any]) -> Agent | None:
        prepared = self.one
        if prepared.compiled.agent is None:
            return prepared.agent
        name = text_of(prepared.compiled.agent.value(names))
        if name not in prepared.agents:
            raise StepError(
                f"Step {prepared.id}: there is no agent {name!r}.",
                hint=f"Known: {', '.join(prepared.agents) or 'none'}.",
            )
        return prepared.agents[name]

    async def _function(self, run: Run, names: Mapping[str, Any]) -> Answer:
        assert self.one.function is not None
        arguments = self.one.compiled.arguments.value(names) if self.one.compiled.arguments else {}
        return await call_function(run, self.one, arguments, self.progress.setting, self.progress.values)

    async def _nested(self, run: Run, names: Mapping[str, Any]) -> Answer:
        prepared, used = self.one, self.one.used
        assert used is not None
        arguments = prepared.compiled.arguments.value(names) if prepared.compiled.arguments else {}
        inputs = checked_inputs(used.workflow, arguments, where=f"Step {prepared.id}")
        defaults, models = used.workflow.defaults, used.workflow.models
        if ignored := [role for role in OUTER_ROLES if getattr(models, role) is not None]:
            run.note(
                f"Workflow {used.workflow.name!r}: its models for {', '.join(ignored)} are not used; "
                "those of the outermost workflow are."
            )
        if defaults.budget is not None:
            run.limit(limits_of(defaults.budget), f"Workflow {used.workflow.name!r}")
        work = self.progress.nested(prepared, inputs)
        if (
            defaults.deadline is None
            or (until := anyio.current_time() + defaults.deadline) >= run.context.deadline
        ):
            return await work(run)
        answer = await self._within(run, until, lambda: work(run))
        if answer is not None:
            return answer
        took = f"workflow {used.workflow.name} took longer than {defaults.deadline:g} s"
        if run.context.offered is None:
            raise StepError(f"{took[0].upper()}{took[1:]}, and there was nothing to answer with.")
        return _cut(run.context.offered, took)

    def fail(self, error: Exception) -> NoReturn:
        """End the work with this error, and let the others know what it means for them.

        Raises:
            Exception: the error. With ``fail_fast`` a `StepError` for a `BudgetExceededError`: a thread
                that ran out of budget is cancelled, and a cancelled one stops nobody.
        """
        self._failed()
        if self.one.on_error == "fail_fast" and isinstance(error, BudgetExceededError):
            raise StepError(f"Step {self.one.id}: {error.message}", hint=error.hint) from error
        raise error

    def _failed(self) -> None:
        if self.one.on_error == "fail_fast":
            self.progress.stopped = True
        elif self.one.on_error == "skip":
            self.progress.tolerated.add(self.one.id)


class _TooLongError(Exception):
    """A try took too long, and there will be another."""


def _cut(answer: Answer, why: str) -> Answer:
    return replace(answer, complete=False, missing=(*answer.missing, why))


def limits_of(budget: Budget) -> Limits:
    """A budget of the file as limits."""
    return Limits(budget.tokens, budget.cost, budget.calls, budget.threads, None)
