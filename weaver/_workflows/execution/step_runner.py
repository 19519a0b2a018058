"""What comes before and around the work of a step: its condition, a person's approval, its deadline."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import anyio
import anyio.to_thread

from weaver._coordination.conflicts.resolve import settle_conflicts
from weaver._data.result import Answer
from weaver._data.task import Task
from weaver._runtime.run import Run
from weaver._runtime.threads.thread_runner import Ending
from weaver._workflows.execution.approval import Question, Reply, current_step
from weaver._workflows.execution.attempts import Attempts, limits_of
from weaver._workflows.execution.for_each import Items
from weaver._workflows.execution.preparation.prepared import PreparedStep
from weaver._workflows.execution.state import Progress, plain_output
from weaver._workflows.expressions.evaluator import evaluate
from weaver._workflows.expressions.functions import text_of
from weaver._workflows.expressions.parser import ExpressionError
from weaver._workflows.schema.components import Approval
from weaver.errors import StepError


class StepWork:
    """The body of a step's thread."""

    def __init__(self, progress: Progress, one: PreparedStep) -> None:
        self.progress = progress
        self.one = one
        self.step = one.step
        self.attempts = Attempts(progress, one)

    async def __call__(self, run: Run, task: Task) -> Answer:  # noqa: ARG002 - a body's signature
        progress, prepared = self.progress, self.one
        progress.refresh(prepared.compiled.waits_for)
        if (why := progress.stopping(prepared)) is not None:
            raise Ending("skipped", why)
        try:
            answer = await self._work(run)
        except Ending:
            raise
        except ExpressionError as error:
            self.attempts.fail(StepError(f"Step {prepared.id}: {progress.explained(error)}."))
        except Exception as error:  # noqa: BLE001 - raised again
            self.attempts.fail(error)
        record = progress.records[prepared.id]
        record["output"] = progress.values.get(run.path, plain_output(answer))
        record["text"] = answer.text
        return answer

    async def _work(self, run: Run) -> Answer:
        progress, prepared, step = self.progress, self.one, self.step
        names = progress.names
        if prepared.compiled.condition is not None and not evaluate(prepared.compiled.condition, names):
            progress.tolerated.add(prepared.id)
            raise Ending("skipped", f"Its condition is false: {step.if_}")
        attempts = self.attempts
        if step.deadline is not None:
            attempts.until = anyio.current_time() + step.deadline
        if step.budget is not None:
            run.limit(limits_of(step.budget), f"Step {prepared.id!r}")
        with anyio.CancelScope(deadline=attempts.until) as clock:
            if step.approve is not None:
                reply = await self._approval(run, names)
                if not reply.approved:
                    run.note(f"Step {prepared.id} was not approved.")
                    raise Ending("skipped", f"It was not approved. {reply.comment}".strip())
                if prepared.does == "approve":
                    value = {"approved": True, "comment": reply.comment}
                    return Answer(reply.comment or "approved", output=value)
            if step.conflicts and step.for_each is None:
                await self._settle_needs(run)
        if clock.cancelled_caught:
            return attempts.late(run, names)
        token = current_step.set((f"{progress.path}{prepared.id}", None))
        try:
            if step.for_each is not None:
                return await Items(attempts, run, names).run()
            return await attempts.run(run, names)
        finally:
            current_step.reset(token)

    async def _settle_needs(self, run: Run) -> None:
        threads = [t for id_ in self.one.compiled.needs if (t := self.progress.threads.get(id_)) is not None]
        self.progress.conflicts[self.one.id] = await settle_conflicts(
            run, threads, ladder=self.progress.ladder(self.one)
        )

    # ---- asking a person

    async def _approval(self, run: Run, names: Mapping[str, Any]) -> Reply:
        approve, prepared = self.step.approve, self.one
        assert approve is not None
        assert prepared.compiled.approve is not None
        message = text_of(prepared.compiled.approve.value(names))
        setting, path = self.progress.setting, f"{self.progress.path}{prepared.id}"
        question = Question(self.progress.prepared.workflow.name, prepared.id, message, path)

        async def ask() -> dict[str, Any]:
            if setting.agreed(path):
                return asdict(Reply(True))
            if setting.approve is None:
                return asdict(self._without_a_reply(run, approve, "nobody could be asked"))
            response: Any = None
            async with setting.turn:
                with anyio.move_on_after(approve.timeout) as clock:
                    response = await _called(setting.approve, question)
            if clock.cancelled_caught:
                return asdict(self._without_a_reply(run, approve, "nobody answered in time"))
            return asdict(response if isinstance(response, Reply) else Reply(bool(response)))

        return Reply(**await run.step("approve", ask))

    def _without_a_reply(self, run: Run, approve: Approval, why: str) -> Reply:
        """Return what ``otherwise`` says, and a note about it."""
        counts = "approved" if approve.otherwise == "approve" else "not approved"
        has_default = "otherwise" in approve.model_fields_set
        source = "the file says so" if has_default else "the default; `otherwise` is what changes it"
        run.note(f"Step {self.one.id}: {why}, so it counts as {counts} ({source}).")
        return Reply(approve.otherwise == "approve")


async def _called(function: Any, question: Any) -> Any:
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
        return await function(question)
    reply = await anyio.to_thread.run_sync(function, question, abandon_on_cancel=True)
    return await reply if inspect.isawaitable(reply) else reply
