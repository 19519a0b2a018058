"""Doing the work of a step, or of one of its items: within its time, and again if need be."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Any

import anyio

from weaver.budget import Limits
from weaver.coordination.briefing import briefing
from weaver.coordination.claims import claiming
from weaver.errors import BudgetExceeded, ConfigurationError, StepFailed, WeaverError
from weaver.events import ThreadRestarted
from weaver.result import Answer
from weaver.runtime.run import Run
from weaver.runtime.work import Ending
from weaver.task import Agent, Task
from weaver.workflows.calling import call_function
from weaver.workflows.functions import text_of
from weaver.workflows.given import checked_inputs
from weaver.workflows.parts import Budget
from weaver.workflows.prepared import PreparedStep
from weaver.workflows.progress import Progress

if TYPE_CHECKING:
    from weaver.runtime.terms import Body

OUTER_ROLES = ("planner", "judge", "synthesizer")
"""Roles whose models are one for the whole run; a used workflow chooses only that of its threads."""


class Attempts:
    """What a step does: a task, a function or another workflow."""

    def __init__(self, progress: Progress, one: PreparedStep) -> None:
        self.progress = progress
        self.one = one

    # Plain functions that hand on a coroutine: a thread's way to its model has no frame that does nothing.

    def run(self, run: Run, names: Mapping[str, Any], task: Task | None = None) -> Awaitable[Answer]:
        """The work itself, tried again as often as the file allows, each try within its time.

        Args:
            task: the task with its texts filled in, where that is done already.
        """
        if self.one.retry.times:
            return self._again(run, names, task)
        return self._in_time(run, names, task, last=True)

    async def _again(self, run: Run, names: Mapping[str, Any], task: Task | None) -> Answer:
        delay = self.one.retry.delay
        for left in range(self.one.retry.times, -1, -1):
            try:
                return await self._in_time(run, names, task, last=not left)
            except (BudgetExceeded, ConfigurationError):
                raise
            except (WeaverError, _TooLong) as error:
                if not left:
                    raise
                because = error.message if isinstance(error, WeaverError) else str(error)
                run.note(f"{run.path} is tried again: {because}")
                run.emit(ThreadRestarted(run.path, because))
                if run.thread is not None:
                    run.thread.attempts += 1
                await anyio.sleep(delay)
                delay *= self.one.retry.backoff
        raise AssertionError("unreachable")

    def _in_time(
        self, run: Run, names: Mapping[str, Any], task: Task | None, *, last: bool
    ) -> Awaitable[Answer]:
        timeout = self.one.timeout
        if timeout is None or anyio.current_time() + timeout >= run.deadline:
            return self._once(run, names, task)
        return self._timed(run, names, task, timeout, last=last)

    async def _timed(
        self, run: Run, names: Mapping[str, Any], task: Task | None, timeout: float, *, last: bool
    ) -> Answer:
        outer = run.deadline
        run.deadline = anyio.current_time() + timeout
        try:
            with anyio.CancelScope(deadline=run.deadline):
                return await self._once(run, names, task)
        finally:
            run.deadline = outer
        took = f"it took longer than {timeout:g} s"
        if not last:
            raise _TooLong(took)
        return self.too_long(run, names, took)

    def too_long(self, run: Run, names: Mapping[str, Any], took: str) -> Answer:
        """What ``on_timeout`` makes of it."""
        said = run.text_so_far.strip()
        if self.one.on_timeout == "fallback" and self.one.compiled.fallback is not None:
            run.note(f"{run.path}: {took}; the fallback is used.")
            value = self.one.compiled.fallback.value(names)
            return Answer(text_of(value), output=None if isinstance(value, str) else value)
        if self.one.on_timeout == "partial" and said and self.one.output is None:
            run.note(f"{run.path}: {took}; what it had said by then is used.")
            return Answer(said, complete=False, missing=(f"only a part was finished: {took}",))
        self.failed()
        raise Ending("timed_out", f"{took[0].upper()}{took[1:]}.")

    def _once(self, run: Run, names: Mapping[str, Any], task: Task | None) -> Awaitable[Answer]:
        if self.one.does == "function":
            return self._function(run, names)
        if self.one.does == "uses":
            return self._nested(run, names)
        if task is None:
            task = self.task(names, run.task.title)
            run.task = task
            if run.thread is not None:
                run.thread.task = task
        assert self.one.body is not None
        return self.one.body(run, task) if self.one.direct else self._carefully(run, task, self.one.body)

    async def _carefully(self, run: Run, task: Task, body: Body) -> Answer:
        """A strategy that needs something of the model, or whose findings are compared."""
        strategy = self.one.strategy
        if strategy is not None and strategy.needs:
            strategy.check(await run.capabilities(), run.model().name)
        return await (claiming(body) if self.one.claims else body)(run, task)

    def task(self, names: Mapping[str, Any], title: str) -> Task:
        """The task of a step, or of one of its items, with its texts filled in.

        Raises:
            ExpressionError: a text has no value.
        """
        one = self.one
        assert one.compiled.task is not None
        prompt = one.compiled.task.prompt(names)
        if self.progress.conflicts:
            found = [self.progress.conflicts.get(id_, ()) for id_ in (one.id, *one.compiled.waits_for)]
            told = [brief for conflicts in found if (brief := briefing(conflicts))]
            prompt = "\n\n".join([prompt, *told])
        return Task(
            prompt,
            title=title,
            output=one.output,
            tools=one.tools,
            agent=self._agent(names),
            max_tokens=one.max_tokens,
            temperature=one.temperature,
        )

    def _agent(self, names: Mapping[str, Any]) -> Agent | None:
        one = self.one
        if one.compiled.agent is None:
            return one.agent
        name = text_of(one.compiled.agent.value(names))
        if name not in one.agents:
            raise StepFailed(
                f"Step {one.id}: there is no agent {name!r}.", hint=f"Known: {', '.join(one.agents)}."
            )
        return one.agents[name]

    async def _function(self, run: Run, names: Mapping[str, Any]) -> Answer:
        assert self.one.function is not None
        arguments = self.one.compiled.arguments.value(names) if self.one.compiled.arguments else {}
        return await call_function(run, self.one, arguments, self.progress.setting, self.progress.values)

    async def _nested(self, run: Run, names: Mapping[str, Any]) -> Answer:
        one, used = self.one, self.one.used
        assert used is not None
        given = one.compiled.arguments.value(names) if one.compiled.arguments else {}
        inputs = checked_inputs(used.workflow, given, where=f"Step {one.id}")
        defaults, models = used.workflow.defaults, used.workflow.models
        if ignored := [role for role in OUTER_ROLES if getattr(models, role) is not None]:
            run.note(
                f"Workflow {used.workflow.name!r}: its models for {', '.join(ignored)} are not used; "
                "those of the outermost workflow are."
            )
        if defaults.budget is not None:
            run.limit(limits_of(defaults.budget), f"Workflow {used.workflow.name!r}")
        work = self.progress.nested(one, inputs)
        if defaults.deadline is None:
            return await work(run)
        outer = run.deadline
        run.deadline = min(outer, anyio.current_time() + defaults.deadline)
        try:
            with anyio.fail_after(run.deadline - anyio.current_time()):
                return await work(run)
        except TimeoutError:
            raise StepFailed(
                f"Workflow {used.workflow.name} took longer than {defaults.deadline:g} s."
            ) from None
        finally:
            run.deadline = outer

    def failed(self) -> None:
        """What the failure of the step means for the others."""
        if self.one.on_error == "fail_fast":
            self.progress.stopped = True
        elif self.one.on_error == "skip":
            self.progress.tolerated.add(self.one.id)


class _TooLong(Exception):
    """A try took too long, and there will be another."""


def limits_of(budget: Budget) -> Limits:
    """A budget of the file as limits."""
    return Limits(budget.tokens, budget.cost, budget.calls, budget.threads, None)
