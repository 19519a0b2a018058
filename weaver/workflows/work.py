"""What one step does: its condition, a person's approval, its items, retries and time limits."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
from pydantic_core import to_jsonable_python

from weaver.budget import Limits
from weaver.coordination.briefing import briefing
from weaver.coordination.claims import claiming
from weaver.coordination.resolution import parse_ladder
from weaver.coordination.settling import settle_conflicts
from weaver.errors import BudgetExceeded, ConfigurationError, StepFailed, WeaverError
from weaver.events import ThreadRestarted
from weaver.result import Answer
from weaver.runtime.run import Run
from weaver.runtime.work import Ending
from weaver.task import Agent, Task
from weaver.workflows.calling import call_function
from weaver.workflows.evaluation import evaluate
from weaver.workflows.expressions import ExpressionError
from weaver.workflows.functions import text_of
from weaver.workflows.given import checked_inputs
from weaver.workflows.items import Items
from weaver.workflows.parts import Budget
from weaver.workflows.prepared import PreparedStep
from weaver.workflows.setting import Question, Reply, current_step

if TYPE_CHECKING:
    from weaver.runtime.terms import Body
    from weaver.workflows.flow import Flow


class StepWork:
    """The body of a step's thread."""

    def __init__(self, flow: Flow, one: PreparedStep) -> None:
        self.flow = flow
        self.one = one
        self.step = one.step

    async def __call__(self, run: Run, task: Task) -> Answer:  # noqa: ARG002 - a body's signature
        flow, one = self.flow, self.one
        flow.refresh(one.compiled.waits_for)
        if (why := flow.stopping(one)) is not None:
            raise Ending("skipped", why)
        try:
            answer = await self._work(run)
        except ExpressionError as error:
            self._failed()
            raise StepFailed(f"Step {one.id}: {error}.") from None
        except WeaverError:
            self._failed()
            raise
        record = flow.records[one.id]
        record["output"] = flow.values.get(run.path, plain_output(answer))
        record["text"] = answer.text
        return answer

    def _failed(self) -> None:
        if self.one.on_error == "fail_fast":
            self.flow.stopped = True
        elif self.one.on_error == "skip":
            self.flow.tolerated.add(self.one.id)

    async def _work(self, run: Run) -> Answer:
        flow, one, step = self.flow, self.one, self.step
        names = flow.names
        if one.compiled.condition is not None and not evaluate(one.compiled.condition, names):
            flow.tolerated.add(one.id)
            raise Ending("skipped", f"Its condition is false: {step.if_}")
        if step.approve is not None:
            reply = await self._approval(run, names)
            if not reply.approved:
                run.note(f"Step {one.id} was not approved.")
                raise Ending("skipped", f"It was not approved. {reply.comment}".strip())
            if self.one.does == "approve":
                return Answer(
                    reply.comment or "approved", output={"approved": True, "comment": reply.comment}
                )
        if step.budget is not None:
            run.limit(limits_of(step.budget), f"Step {one.id!r}")
        if step.conflicts and step.for_each is None:
            await self._settle_needs(run)
        token = current_step.set((f"{flow.path}{one.id}", None))
        try:
            return await self._by_the_deadline(run, names)
        finally:
            current_step.reset(token)

    async def _by_the_deadline(self, run: Run, names: Mapping[str, Any]) -> Answer:
        """All of the work, within the step's own deadline."""
        limit = float("inf")
        if self.step.deadline is not None:
            limit = anyio.current_time() + self.step.deadline
        inner = limit < run.deadline
        run.deadline = min(run.deadline, limit)
        if self.step.for_each is not None:
            return await Items(self, run, names).run()
        if not inner:
            return await self.attempts(run, names)
        with anyio.CancelScope(deadline=limit):
            return await self.attempts(run, names)
        return self._too_long(run, names, f"it took longer than {self.step.deadline:g} s")

    async def _settle_needs(self, run: Run) -> None:
        threads = [t for id_ in self.one.compiled.needs if (t := self.flow.threads.get(id_)) is not None]
        self.flow.conflicts[self.one.id] = await settle_conflicts(run, threads, ladder=self.ladder())

    def ladder(self) -> Any:
        """The policies of ``conflicts``."""
        return parse_ladder(", ".join(self.step.conflicts or ()), callback=self.flow.setting.ask or _nobody)

    # ---- asking a person

    async def _approval(self, run: Run, names: Mapping[str, Any]) -> Reply:
        approve, one = self.step.approve, self.one
        assert approve is not None
        assert one.compiled.approve is not None
        message = text_of(one.compiled.approve.value(names))
        question = Question(self.flow.prepared.workflow.name, one.id, message)

        async def ask() -> dict[str, Any]:
            asks = self.flow.setting.approve
            if asks is None:
                run.note(f"Step {one.id}: nobody could be asked; the file says {approve.otherwise}.")
                return {"approved": approve.otherwise == "approve", "comment": ""}
            with anyio.move_on_after(approve.timeout) as clock:
                said = await _called(asks, question)
            if clock.cancelled_caught:
                run.note(f"Step {one.id}: nobody answered in time; the file says {approve.otherwise}.")
                return {"approved": approve.otherwise == "approve", "comment": ""}
            reply = said if isinstance(said, Reply) else Reply(bool(said))
            return {"approved": reply.approved, "comment": reply.comment}

        return Reply(**await run.step("approve", ask))

    # ---- doing it, again if need be

    # Plain functions that hand on a coroutine: a thread's way to its model has no frame that does nothing.

    def attempts(self, run: Run, names: Mapping[str, Any], task: Task | None = None) -> Awaitable[Answer]:
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
        return self._too_long(run, names, took)

    def _too_long(self, run: Run, names: Mapping[str, Any], took: str) -> Answer:
        """What ``on_timeout`` makes of it."""
        said = run.text_so_far.strip()
        if self.one.on_timeout == "fallback" and self.one.compiled.fallback is not None:
            run.note(f"{run.path}: {took}; the fallback is used.")
            value = self.one.compiled.fallback.value(names)
            return Answer(text_of(value), output=None if isinstance(value, str) else value)
        if self.one.on_timeout == "partial" and said and self.one.output is None:
            run.note(f"{run.path}: {took}; what it had said by then is used.")
            return Answer(said, complete=False, missing=(f"only a part was finished: {took}",))
        self._failed()
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
        if self.flow.conflicts:
            found = [self.flow.conflicts.get(id_, ()) for id_ in (one.id, *one.compiled.waits_for)]
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
        return await call_function(run, self.one, arguments, self.flow.setting, self.flow.values)

    async def _nested(self, run: Run, names: Mapping[str, Any]) -> Answer:
        one, used = self.one, self.one.used
        assert used is not None
        given = one.compiled.arguments.value(names) if one.compiled.arguments else {}
        inputs = checked_inputs(used.workflow, given, where=f"Step {one.id}")
        defaults = used.workflow.defaults
        if defaults.budget is not None:
            run.limit(limits_of(defaults.budget), f"Workflow {used.workflow.name!r}")
        flow = self.flow.within(one, used, inputs)
        if defaults.deadline is None:
            return await flow.run(run)
        outer = run.deadline
        run.deadline = min(outer, anyio.current_time() + defaults.deadline)
        try:
            with anyio.fail_after(run.deadline - anyio.current_time()):
                return await flow.run(run)
        except TimeoutError:
            raise StepFailed(
                f"Workflow {used.workflow.name} took longer than {defaults.deadline:g} s."
            ) from None
        finally:
            run.deadline = outer


def plain_output(answer: Answer) -> Any:
    """An answer's output as plain JSON data: the typed value, or the text."""
    if answer.output is None:
        return answer.text
    return to_jsonable_python(answer.output, by_alias=True, fallback=str)


class _TooLong(Exception):
    """A try took too long, and there will be another."""


def limits_of(budget: Budget) -> Limits:
    """A budget of the file as limits."""
    return Limits(budget.tokens, budget.cost, budget.calls, budget.threads, None)


async def _called(function: Any, question: Any) -> Any:
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
        return await function(question)
    said = await anyio.to_thread.run_sync(function, question, abandon_on_cancel=True)
    return await said if inspect.isawaitable(said) else said


def _nobody(_: Any) -> None:
    """Nobody can be asked about a conflict: it stays open."""
