"""Running the steps of a workflow: each starts as soon as what it waits for is dstep. No barriers."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import anyio

from weaver._data.result import Answer
from weaver._data.task import Task
from weaver._runtime.run import Run
from weaver._runtime.state.thread import Thread
from weaver._runtime.threads.group import Threads
from weaver._runtime.threads.join_protocol import JoinState, Waiting
from weaver._workflows.execution.approval import Setting
from weaver._workflows.execution.preparation.prepared import NO_TIMEOUT, Prepared
from weaver._workflows.execution.state import Progress, ended
from weaver._workflows.execution.step_run import StepRun
from weaver._workflows.expressions.functions import text_of
from weaver._workflows.expressions.parser import ExpressionError
from weaver._workflows.validation.compiled import CompiledStep
from weaver._workflows.validation.graph import levels, sinks
from weaver.errors import BudgetExceededError, NoAnswerError, StepError


class Flow:
    """One run of one workflow, the outermost or a used step.

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
        self._unjoined: list[str] = []

    async def run(self, run: Run) -> Answer:
        """Run every step, and put the outputs together.

        Raises:
            StepError: no output came out.
            WeaverError: a step with ``on_error: fail_fast`` failed.
        """
        if run.context.parent is None:
            self._decide(run)
        try:
            async with run.fork(name="step", timeout=NO_TIMEOUT) as threads:
                await self._start_all(run, threads)
                threads.close()
                await threads.join(_Everything())
        except BaseException as error:
            if not self.progress.stopped:
                self._offer(run)
                raise
            for id_, step in self.prepared.steps.items():
                state = self.progress.record(id_)["state"]
                if step.on_error == "fail_fast" and state in ("failed", "timed_out"):
                    run.note(f"Step {id_} {ended(state)}, and the workflow with it (on_error: fail_fast).")
            if isinstance(error, NoAnswerError):
                # For the run that means "take what there is"; under fail_fast it has failed.
                raise StepError(error.message, hint=error.hint) from error
            raise
        return self._answer(run)

    def _nested(
        self, step: str, used: Prepared, inputs: Mapping[str, Any]
    ) -> Callable[[Run], Awaitable[Answer]]:
        """Return what runs the workflow that a step uses."""
        return Flow(used, inputs, self.progress.setting, f"{self.progress.path}{step}/").run

    # ---- starting

    async def _start_all(self, run: Run, threads: Threads) -> None:
        async with anyio.create_task_group() as waiting:
            for step in self.prepared.steps.values():
                if step.spec.join is not None and step.spec.for_each is None:
                    waiting.start_soon(self._after_join, run, threads, step)
                else:
                    self._start(run, threads, step, step.waits_for)

    def _start(self, run: Run, threads: Threads, step: CompiledStep, after: tuple[str, ...]) -> None:
        try:
            self.progress.threads[step.id] = threads.start(
                Task(prompt=step.title, title=step.title),
                id=step.id,
                after=after,
                body=StepRun(self.progress, step),
                on_error="fail_fast" if step.on_error == "fail_fast" else "skip",
                on_timeout="fail",
            )
        except BudgetExceededError as error:
            run.note(f"Step {step.id} was not started: {error.message}")
            self.progress.records[step.id] |= {"state": "cancelled", "error": error.message}
        self._begun[step.id].set()

    async def _after_join(self, run: Run, threads: Threads, step: CompiledStep) -> None:
        """Start a step once the join of the steps it needs is settled, and cancel the losers."""
        needs, others = step.needs, set(step.waits_for) - set(step.needs)
        for id_ in step.waits_for:
            await self._begun[id_].wait()
        state = self.progress.rule(run, step).begin()
        send, receive = anyio.create_memory_object_stream[Thread](len(needs))
        racing = [self.progress.threads[id_] for id_ in needs if id_ in self.progress.threads]

        async def tell(thread: Thread) -> None:
            await thread.wait()
            send.send_nowait(thread)

        with send, receive:
            async with anyio.create_task_group() as waiting:
                for thread in racing:
                    waiting.start_soon(tell, thread)
                for running in range(len(racing) - 1, -1, -1):
                    thread = await receive.receive()
                    if await state.finished(thread, outstanding=running) is not None:
                        break
                waiting.cancel_scope.cancel()
        winners = state.winners()
        kept_records = {
            need for other in self.prepared.steps.values() if other is not step for need in other.waits_for
        }
        for thread in racing:
            if not thread.finished and thread.id.rpartition("/")[2] not in kept_records:
                thread.cancel("lost_race")
        if not winners:
            self.progress.records[step.id] |= {"state": "skipped", "error": state.unmet}
            self._unjoined.append(f"step {step.id} was skipped: {state.unmet}")
            self._begun[step.id].set()
            return
        if state.unmet is not None:
            run.note(f"Step {step.id}: {state.unmet}")
        won = tuple(
            id_ for id_ in needs if any(self.progress.threads.get(id_) is winner for winner in winners)
        )
        self._start(run, threads, step, (*won, *sorted(others)))

    # ---- what comes out

    def _decide(self, run: Run) -> None:
        rows = levels(self.prepared.workflow.compiled.graph)
        wide = any(len(row) > 1 for row in rows)
        several = any(step.spec.for_each is not None for step in self.prepared.steps.values())
        because = f"the workflow {self.prepared.workflow.name} says so"
        features = {"steps": float(len(self.prepared.steps)), "widest": float(max(map(len, rows), default=0))}
        run.decide(wide or several, "user", because, features=features)

    def _answer(self, run: Run) -> Answer:
        """The outputs, and what is missing; the outermost workflow puts that into the run's notes."""
        missing = list(self._unjoined)
        for id_, step in self.prepared.steps.items():
            missing += self._lost(run, id_, step)
        outputs = self._outputs(missing)
        if all(value is None for value in outputs.values()):
            if missing:
                raise StepError(f"Nothing came out of the workflow. {' '.join(map(_sentence, missing))}")
            why = " ".join(f"{id_}: {r['error']}" for id_, r in self.progress.records.items() if r["error"])
            return Answer(f"There was nothing to do. {why}".strip(), output=outputs)
        if run.context.parent is None:
            for gap in missing:
                run.note(_sentence(gap))
        text = text_of(outputs.get("answer")) or (
            text_of(next(iter(outputs.values()))) if len(outputs) == 1 else text_of(outputs)
        )
        return Answer(text, output=outputs, complete=not missing, missing=tuple(missing))

    def _lost(self, run: Run, id_: str, step: CompiledStep) -> list[str]:
        """Return what is missing because of a step."""
        record, thread = self.progress.record(id_), self.progress.threads.get(id_)
        state = record["state"]
        if state == "succeeded":
            answer = thread.answer if thread is not None else None
            return [f"step {id_}: {gap}" for gap in answer.missing] if answer is not None else []
        reason = thread.cancel_reason if thread is not None else None
        if state == "skipped" or reason == "lost_race":
            return []
        why = record["error"] or (f"the {reason} came first" if reason in ("budget", "deadline") else "")
        gap = f"step {id_} {ended(state)}" + (f": {why}" if why else "")
        if step.on_error == "skip" and state != "cancelled":
            run.note(_sentence(f"{gap.rstrip('.')}; the rest went on without it"))
            return []
        return [] if step.on_error == "skip" else [gap]

    def _outputs(self, missing: list[str]) -> dict[str, Any]:
        """The outputs by name; what of them cannot be worked out is null, and said in ``missing``."""
        compiled = self.prepared.workflow.compiled
        outputs: dict[str, Any] = {}
        if not compiled.outputs:
            outputs = {id_: self.progress.records[id_]["output"] for id_ in sinks(compiled.graph)}
        for name, values in compiled.outputs.items():
            try:
                outputs[name] = values.value(self.progress.names)
            except ExpressionError as error:
                outputs[name] = None
                missing.append(f"output {name} cannot be worked out: {self.progress.explained(error)}")
        for name, value in outputs.items():
            try:
                json.dumps(value, allow_nan=False)
            except ValueError:
                outputs[name] = None
                missing.append(f"output {name} has a number that JSON does not have (infinity or nan)")
        return outputs

    def _offer(self, run: Run) -> None:
        """Save the output so far, for the case that time runs out."""
        self.progress.refresh(tuple(self.progress.records))
        try:
            answer = self._answer(run)
        except StepError:
            return
        run.offer(replace(answer, complete=False))


def _sentence(what: str) -> str:
    return f"{what[0].upper()}{what[1:].rstrip('.')}."


class _Everything:
    """Waits for all steps; what each of them means was decided step by step."""

    name = "all"

    def begin(self) -> JoinState:
        return _All()


class _All(Waiting):
    @property
    def unmet(self) -> str | None:
        return None
