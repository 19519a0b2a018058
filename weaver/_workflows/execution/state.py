"""How far one run of a workflow is: what its steps have come to, as expressions and joins see it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pydantic_core import to_jsonable_python

from weaver._coordination.conflicts.policies.ladder import parse_ladder
from weaver._coordination.joins.parser import parse_rule
from weaver._data.result import Answer, Conflict
from weaver._runtime.run import Run
from weaver._runtime.state.thread import Thread
from weaver._runtime.threads.join_protocol import All, JoinRule
from weaver._workflows.execution.approval import Setting
from weaver._workflows.execution.judge import score
from weaver._workflows.execution.preparation.prepared import Prepared
from weaver._workflows.execution.quorum import Enough
from weaver._workflows.expressions.evaluator import NoValueError, evaluate
from weaver._workflows.expressions.parser import ExpressionError
from weaver._workflows.validation.compiled import CompiledStep

_PASSIVE = {
    "waiting": "not started",
    "running": "not finished",
    "cancelled": "cancelled",
    "skipped": "skipped",
}

Nested = Callable[[str, Prepared, Mapping[str, Any]], Callable[[Run], Awaitable[Answer]]]


class Progress:
    """What is known of the steps of one run of a workflow, the outermost or a used one.

    Args:
        inputs: checked values, defaults included.
        nested: makes what runs the workflow that a step uses, with its inputs.
        path: ids of the steps that use it, outermost first; for `current_step`.

    Attributes:
        records: ``steps`` as expressions see it.
        tolerated: steps without an output that do not stop those that need them.
        values: outputs of functions, by the path of the thread that called; they may be null.
    """

    def __init__(
        self, prepared: Prepared, inputs: Mapping[str, Any], setting: Setting, nested: Nested, path: str = ""
    ) -> None:
        self.prepared = prepared
        self.inputs = dict(inputs)
        self.setting = setting
        self.nested = nested
        self.path = path
        self.records: dict[str, dict[str, Any]] = {id_: _blank() for id_ in prepared.steps}
        self.tolerated: set[str] = set()
        self.conflicts: dict[str, tuple[Conflict, ...]] = {}
        self.stopped = False
        self.values: dict[str, Any] = {}
        self.threads: dict[str, Thread] = {}

    @property
    def names(self) -> dict[str, Any]:
        """The names that every expression may read."""
        return {"inputs": self.inputs, "steps": self.records}

    def record(self, id_: str) -> dict[str, Any]:
        """The record of a step, with what its thread says now."""
        record, thread = self.records[id_], self.threads.get(id_)
        if thread is not None:
            record["state"] = thread.state
            record["seconds"] = thread.seconds
            record["error"] = str(thread.error) if thread.error is not None else None
            if thread.finished and not record["text"] and thread.answer is not None:
                record["text"] = thread.answer.text
        return record

    def refresh(self, ids: tuple[str, ...]) -> None:
        """Bring the records of these steps up to date."""
        for id_ in ids:
            self.record(id_)

    def stopping(self, step: CompiledStep) -> str | None:
        """Return why a step cannot start, or None."""
        if self.stopped:
            return "The workflow failed before it could start."
        if step.spec.join is not None and step.spec.for_each is None:
            return None  # the join has decided
        for need in step.waits_for:
            if need in self.tolerated or need in step.minds:
                continue
            state = self.record(need)["state"]
            if state == "succeeded" or (self.prepared.steps[need].on_error == "skip" and state != "skipped"):
                continue
            return f"It needs {need!r}, which ended as {state}."
        return None

    def explained(self, error: ExpressionError) -> str:
        """Return what is wrong with an expression, and which steps without an output are behind it."""
        message = str(error)
        for id_ in error.steps if isinstance(error, NoValueError) else ():
            if id_ in self.records and self.records[id_]["output"] is None:
                state = self.record(id_)["state"]
                if state != "succeeded":
                    message += (
                        f"; step {id_!r} {ended(state)} and has no output (default(x, y) is y for null)"
                    )
        return message

    def rule(self, run: Run, step: CompiledStep) -> JoinRule:
        """The join of a step, or `All` without one."""
        if step.spec.join is None:
            return All()
        judge = self._judge(run, step)
        return Enough(parse_rule(step.spec.join, judge=judge, predicate=self._until(run, step)))

    def _judge(self, run: Run, step: CompiledStep) -> Any:
        """Scores a finding for ``best``."""

        def judge(finding: Any) -> Awaitable[float]:
            return score(run, step.title, finding)

        return judge

    def _until(self, run: Run, step: CompiledStep) -> Any:
        """Makes the predicate of ``until(...)``."""

        def compiled(text: str) -> Any:
            expression = step.until[text]

            def holds(threads: tuple[Thread, ...]) -> bool:
                done = [self.output_of(step, thread) for thread in threads]
                try:
                    return bool(evaluate(expression, {**self.names, "done": done}))
                except ExpressionError as error:
                    run.note(f"Step {step.id}: {self.explained(error)}")
                    return False

            return holds

        return compiled

    def output_of(self, step: CompiledStep, thread: Thread) -> Any:
        """The output of an item's, or of a step's, thread."""
        if step.spec.for_each is None:
            return self.records[thread.id.rpartition("/")[2]]["output"]
        return self.output(thread)

    def output(self, thread: Thread) -> Any:
        """Return what a finished thread came to, as plain JSON data."""
        if thread.id in self.values:
            return self.values[thread.id]
        return None if thread.answer is None else plain_output(thread.answer)

    def ladder(self, step: CompiledStep) -> Any:
        """The policies of a step's ``conflicts``."""
        return parse_ladder(", ".join(step.spec.conflicts or ()), callback=self.setting.ask or _nobody)


def plain_output(answer: Answer) -> Any:
    """An answer's output as plain JSON data: the typed value, or the text."""
    if answer.output is None:
        return answer.text
    return to_jsonable_python(answer.output, by_alias=True, fallback=str)


def ended(state: str, *, several: bool = False) -> str:
    """A thread's state as what happened to it: ``failed``, ``was cancelled``, ``were not started``."""
    if state in _PASSIVE:
        return f"{'were' if several else 'was'} {_PASSIVE[state]}"
    return state.replace("_", " ")


def _blank() -> dict[str, Any]:
    return {"output": None, "text": "", "state": "waiting", "error": None, "seconds": 0.0, "items": []}


def _nobody(_: Any) -> None:
    """Nobody can be asked about a conflict: it stays open."""
