"""Running the steps of a workflow: each starts as soon as what it waits for is done. No barriers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio

from weaver.coordination.rule_text import parse_rule
from weaver.errors import BudgetExceeded, StepFailed
from weaver.result import Answer
from weaver.runtime.fork import Threads
from weaver.runtime.joining import JoinState, Waiting
from weaver.runtime.run import Run
from weaver.runtime.thread import Thread
from weaver.task import Task
from weaver.workflows.expressions import ExpressionError
from weaver.workflows.functions import text_of
from weaver.workflows.graph import levels, sinks
from weaver.workflows.prepared import NO_TIMEOUT, Prepared, PreparedStep
from weaver.workflows.progress import Progress
from weaver.workflows.setting import Setting
from weaver.workflows.work import StepWork


class Flow:
    """One run of one workflow, the outermost or a used one.

    Args:
        inputs: checked values, defaults included.
        path: ids of the steps that use it, outermost first; for `current_step`.
    """

    def __init__(
        self, prepared: Prepared, inputs: Mapping[str, Any], setting: Setting, path: str = ""
    ) -> None:
        self.prepared = prepared
        self.progress = Progress(prepared, inputs, setting, self._nested, path)
        self._begun = {id_: anyio.Event() for id_ in prepared.steps}
        self._missing: list[str] = []

    async def run(self, run: Run) -> Answer:
        """Run every step, and put the outputs together.

        Raises:
            StepFailed: no output came out, or one cannot be worked out.
            WeaverError: a step with ``on_error: fail_fast`` failed.
        """
        if run.parent is None:
            self._decide(run)
        try:
            async with run.fork(name="step", timeout=NO_TIMEOUT) as threads:
                await self._start_all(run, threads)
                threads.close()
                await threads.join(_Everything())
        except BaseException:
            self._offer(run)
            raise
        return self._answer()

    def _nested(self, step: PreparedStep, inputs: Mapping[str, Any]) -> Callable[[Run], Awaitable[Answer]]:
        """What runs the workflow that one of the steps uses."""
        assert step.used is not None
        return Flow(step.used, inputs, self.progress.setting, f"{self.progress.path}{step.id}/").run

    # ---- starting

    async def _start_all(self, run: Run, threads: Threads) -> None:
        async with anyio.create_task_group() as waiting:
            for one in self.prepared.steps.values():
                if one.step.join is not None and one.step.for_each is None:
                    waiting.start_soon(self._after_join, run, threads, one)
                else:
                    self._start(run, threads, one, one.compiled.waits_for)

    def _start(self, run: Run, threads: Threads, one: PreparedStep, after: tuple[str, ...]) -> None:
        try:
            self.progress.threads[one.id] = threads.start(
                Task(prompt=one.title, title=one.title),
                id=one.id,
                after=after,
                body=StepWork(self.progress, one),
                on_error="fail_fast" if one.on_error == "fail_fast" else "skip",
                on_timeout="fail",
            )
        except BudgetExceeded as error:
            run.note(f"Step {one.id} was not started: {error.message}")
            self.progress.records[one.id] |= {"state": "cancelled", "error": error.message}
        self._begun[one.id].set()

    async def _after_join(self, run: Run, threads: Threads, one: PreparedStep) -> None:
        """Start a step once the join of the steps it needs is settled, and cancel the losers."""
        needs, others = one.compiled.needs, set(one.compiled.waits_for) - set(one.compiled.needs)
        for id_ in one.compiled.waits_for:
            await self._begun[id_].wait()
        rule = parse_rule(
            str(one.step.join), judge=self.progress.judge(run, one), predicate=self.progress.until(run, one)
        )
        state = rule.begin()
        send, receive = anyio.create_memory_object_stream[Thread](len(needs))
        racing = [self.progress.threads[id_] for id_ in needs if id_ in self.progress.threads]

        async def tell(thread: Thread) -> None:
            await thread.wait()
            send.send_nowait(thread)

        with send, receive:
            async with anyio.create_task_group() as waiting:
                for thread in racing:
                    waiting.start_soon(tell, thread)
                for left in range(len(racing) - 1, -1, -1):
                    thread = await receive.receive()
                    if await state.finished(thread, outstanding=left) is not None:
                        break
                waiting.cancel_scope.cancel()
        winners = state.winners()
        kept = {
            need
            for other in self.prepared.steps.values()
            if other is not one
            for need in other.compiled.waits_for
        }
        for thread in racing:
            if not thread.finished and thread.id.rpartition("/")[2] not in kept:
                thread.cancel("lost_race")
        if state.unmet is not None:
            run.note(f"Step {one.id}: {state.unmet}")
        if not winners:
            self.progress.records[one.id] |= {"state": "skipped", "error": state.unmet}
            self._missing.append(f"{one.title}: {state.unmet}")
            self._begun[one.id].set()
            return
        won = tuple(
            id_ for id_ in needs if any(self.progress.threads.get(id_) is winner for winner in winners)
        )
        self._start(run, threads, one, (*won, *sorted(others)))

    # ---- what comes out

    def _decide(self, run: Run) -> None:
        rows = levels(self.prepared.workflow.compiled.graph)
        wide = any(len(row) > 1 for row in rows)
        several = any(one.step.for_each is not None for one in self.prepared.steps.values())
        run.decide(wide or several, "user", f"the workflow {self.prepared.workflow.name} says so")

    def _answer(self) -> Answer:
        for id_, one in self.prepared.steps.items():
            self._account(id_, one)
        outputs = self._outputs()
        if all(value is None for value in outputs.values()):
            why = " ".join(f"{id_}: {r['error']}" for id_, r in self.progress.records.items() if r["error"])
            if self._missing:
                raise StepFailed(f"Nothing came out of the workflow. {why}".strip())
            return Answer(f"There was nothing to do. {why}".strip(), output=outputs)
        text = text_of(outputs.get("answer")) or (
            text_of(next(iter(outputs.values()))) if len(outputs) == 1 else text_of(outputs)
        )
        return Answer(text, output=outputs, complete=not self._missing, missing=tuple(self._missing))

    def _account(self, id_: str, one: PreparedStep) -> None:
        """Note what is missing because of a step."""
        record, thread = self.progress.record(id_), self.progress.threads.get(id_)
        state = record["state"]
        if state == "succeeded":
            if thread is not None and thread.answer is not None:
                self._missing += [f"{one.title}: {what}" for what in thread.answer.missing]
        elif state == "skipped" or (state == "cancelled" and thread and thread.cancel_reason == "lost_race"):
            return
        elif one.on_error != "skip":
            self._missing.append(f"{one.title}: {record['error'] or state}")

    def _outputs(self) -> dict[str, Any]:
        compiled = self.prepared.workflow.compiled
        if not compiled.outputs:
            return {id_: self.progress.records[id_]["output"] for id_ in sinks(compiled.graph)}
        try:
            return {name: values.value(self.progress.names) for name, values in compiled.outputs.items()}
        except ExpressionError as error:
            raise StepFailed(
                f"The outputs of {self.prepared.workflow.name} cannot be worked out: {error}."
            ) from None

    def _offer(self, run: Run) -> None:
        """What there is, for the case that the run is out of time."""
        if run.parent is not None:
            return
        self.progress.refresh(tuple(self.progress.records))
        try:
            answer = self._answer()
        except StepFailed:
            return
        left = [
            one.title
            for id_, one in self.prepared.steps.items()
            if self.progress.records[id_]["state"] in ("waiting", "running")
        ]
        run.offer(Answer(answer.text, output=answer.output, complete=False, missing=(*answer.missing, *left)))


class _Everything:
    """Waits for all steps; what each of them means was decided step by step."""

    name = "all"

    def begin(self) -> JoinState:
        return _All()


class _All(Waiting):
    @property
    def unmet(self) -> str | None:
        return None
