"""``weaver test``: the cases of a workflow file, run with scripted answers. No model, no network."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from weaver._data.result import Result
from weaver._json_reading.json_types import is_array, is_mapping
from weaver._models.protocol import Capabilities, Prices, Request, Stream
from weaver._settings.units import parse_duration
from weaver._text.shortening import shorten
from weaver._workflows.execution.approval import Question, current_step
from weaver._workflows.execution.preparation.inputs import checked_inputs
from weaver._workflows.execution.runner import FlowStrategy, Given, started
from weaver._workflows.expressions.evaluator import evaluate
from weaver._workflows.expressions.functions import text_of
from weaver._workflows.expressions.parser import ExpressionError
from weaver._workflows.validation.registry import Surroundings
from weaver.errors import ConfigurationError, ServerError, WeaverError

if TYPE_CHECKING:
    from weaver._workflows.format.definition import Definition
    from weaver._workflows.kinds.step_kind import StepKind
    from weaver._workflows.schema.components import Case

SECONDS = 60.0
"""Longest a case may take, on its own clock."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one case went.

    Attributes:
        problems: what was not as expected; empty when it passed.
        happened: a line for each step that did not succeed, and the notes of the run.
    """

    name: str
    problems: tuple[str, ...] = ()
    result: Result[Any] | None = None
    seconds: float = 0.0
    happened: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """True if everything was as expected."""
        return not self.problems


async def run_case(workflow: Definition, number: int, *, tools: Any = ()) -> Outcome:
    """Run one case. Best on virtual time (`weaver.testing.virtual_time`): delays then take none.

    Args:
        number: the case's place in ``workflow.tests``.
    """
    from weaver._facade.weaver import Weaver

    case = workflow.tests[number]
    answers = Answers(case.answers)

    async def approve(question: Question) -> bool:
        return case.approvals.get(question.path, True)

    hooks = Given(
        tools,
        approve=approve,
        functions=case.functions,
        only_model=answers.model(),
    )
    try:
        checked_inputs(workflow, case.inputs, hint="They are `inputs` of the case.")
        weaver = Weaver(hooks.only_model, deadline=SECONDS)
        start = await started(workflow, case.inputs, weaver.settings, hooks, {})
        result = await _result(weaver, start.task, start.changes)
    except ConfigurationError as error:
        if case.status == "failed":
            return Outcome(case.name)
        return Outcome(case.name, (str(error),))
    assert isinstance(start.strategy, FlowStrategy)
    return Outcome(
        case.name,
        tuple(_problems(workflow, number, result, start.strategy, answers)),
        result,
        result.metrics.wall_seconds,
        tuple(_happened(result)),
    )


async def _result(weaver: Any, task: Any, changes: dict[str, Any]) -> Result[Any]:
    try:
        result: Result[Any] = await weaver.run(task, **changes)
    except WeaverError as error:
        if error.result is None:
            raise
        result = error.result
    return result


def _problems(
    workflow: Definition, number: int, result: Result[Any], strategy: FlowStrategy, answers: Answers
) -> list[str]:
    case = workflow.tests[number]
    problems: list[str] = []
    if result.status != case.status:
        because = (
            f": {result.error.message}" if result.error else "".join(f"; {note}" for note in result.notes[:3])
        )
        problems.append(f"it ended as {result.status}, not {case.status}{because}")
    problems += answers.left_over()
    names = _names(result, strategy)
    for index, text in enumerate(case.expect):
        expression = workflow.compiled.expectations[number, index]
        try:
            if not evaluate(expression, names):
                problems.append(f"not true: {' '.join(text.split())}{_values(text, names)}")
        except ExpressionError as error:
            problems.append(str(error))
    return problems


def _happened(result: Result[Any]) -> Iterator[str]:
    for thread in result.threads:
        if thread.state != "succeeded":
            yield f"step {thread.id}: {thread.state}" + (f": {thread.error}" if thread.error else "")
    yield from (f"note: {note}" for note in result.notes)


def _names(result: Result[Any], strategy: FlowStrategy) -> dict[str, Any]:
    progress = strategy.flow.progress if strategy.flow is not None else None
    if progress is not None:
        progress.refresh(tuple(progress.records))
    return {
        "inputs": progress.inputs if progress is not None else {},
        "steps": progress.records if progress is not None else {},
        "outputs": result.typed_output or {},
        "answer": result.answer,
        "status": result.status,
        "calls": result.usage.calls,
        "tokens": result.usage.total_tokens,
        "notes": list(result.notes),
        "conflicts": result.as_dict()["conflicts"],
        "error": result.error.message if result.error is not None else None,
    }


def _values(text: str, names: Mapping[str, Any]) -> str:
    """Return what the names at the top of an expectation were, so that nobody has to guess."""
    values = [
        f"{name} = {_short(names[name])}" for name in ("outputs", "answer", "calls", "status") if name in text
    ]
    return f" ({', '.join(values)})" if values else ""


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else repr(value)
    return shorten(text, 160)


class ByStep:
    """A `Model` that answers by the step that asks, not by what is asked."""

    name, provider, endpoint = "scripted", "scripted", "scripted://"
    prices = Prices(0.0, 0.0)

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    async def capabilities(self) -> Capabilities:
        """Everything."""
        from weaver._testing.scripted import ScriptedModel

        return await ScriptedModel().capabilities()

    def stream(self, request: Request) -> AbstractAsyncContextManager[Stream]:
        """Say what the case scripts."""
        from weaver._testing.scripted import Scripted, ScriptedModel

        return ScriptedModel(Scripted(**self._answers.reply(request))).stream(request)

    async def aclose(self) -> None:
        """Nothing to release."""


@dataclass
class Answers:
    """Scripted answers by step; steps without one say ``ok``, or the smallest value that fits."""

    given: Mapping[str, Any]
    asked: dict[str, int] = field(default_factory=dict[str, int])

    def model(self) -> ByStep:
        """A model that says them."""
        return ByStep(self)

    def left_over(self) -> list[str]:
        """Answers that nobody asked for."""
        unused: list[str] = []
        for step, answers in self.given.items():
            if is_array(answers) and self.asked.get(step, 0) < len(answers):
                unused.append(
                    f"{self.asked.get(step, 0)} of the {len(answers)} answers of {step!r} were asked for"
                )
        return unused

    def reply(self, request: Request) -> dict[str, Any]:
        """Return how to script the answer to a request of the current step."""
        step, index = current_step.get()
        count = self.asked.get(step, 0)
        self.asked[step] = count + 1
        answer = self.given.get(step, self.given.get(step.rpartition("/")[2]))
        if is_array(answer) and _wants_list(request):
            self.asked[step] = len(answer)
        elif is_array(answer):
            place = index if index is not None else count
            answer = answer[place] if place < len(answer) else None
        if (
            is_mapping(answer)
            and set(answer) & {"say", "error", "after"}
            and not set(answer) - {"say", "error", "after"}
        ):
            first = parse_duration(answer["after"]) if "after" in answer else 0.0
            if "error" in answer:
                return {"error": ServerError(text_of(answer["error"]), model="scripted"), "first": first}
            return {"text": self._text(answer.get("say"), request), "first": first}
        return {"text": self._text(answer, request)}

    def _text(self, answer: Any, request: Request) -> str:
        if request.output is None:
            return "ok" if answer is None else text_of(answer)
        schema = request.output.schema
        value = smallest(schema) if answer is None else answer
        wrapped = set(schema.get("properties", {})) == {"value"} and not (
            isinstance(value, dict) and "value" in value
        )
        return json.dumps({"value": value} if wrapped else value, ensure_ascii=False)


def _wants_list(request: Request) -> bool:
    """Return True if the answer itself is a list, so a list in the file is one answer and not several."""
    if request.output is None:
        return False
    value = request.output.schema.get("properties", {}).get("value", {})
    return bool(value.get("type") == "array")


def smallest(schema: Mapping[str, Any], root: Mapping[str, Any] | None = None) -> Any:
    """A value that fits a JSON Schema, as small as can be."""
    root = root or schema
    if "$ref" in schema:
        return smallest(root["$defs"][str(schema["$ref"]).rpartition("/")[2]], root)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return smallest(schema["anyOf"][0], root)
    type_ = schema.get("type")
    match type_[0] if is_array(type_) else type_:
        case "object" if "properties" not in schema:
            return {}
        case "object":
            return {name: smallest(schema["properties"][name], root) for name in schema.get("required", ())}
        case "array":
            return [smallest(schema.get("items", {}), root)] * int(schema.get("minItems", 0))
        case "integer" | "number":
            low = schema.get("minimum", 0)
            return max(low, 0) if schema.get("maximum", 0) >= 0 else low
        case "boolean":
            return False
        case "null":
            return None
        case _:
            return "o" * int(schema.get("minLength", 0)) or "ok"


def virtual(workflow: Definition, case: Case) -> bool:
    """Return True if a case may run on virtual time: nothing in it needs a worker thread."""
    return all(name in case.functions for name, _ in _stand_ins(workflow))


def _stand_ins(workflow: Definition) -> Iterator[tuple[str, StepKind]]:
    """Yield the actions that test cases may replace, by name, also in the workflows that it uses."""
    for step in workflow.compiled.steps.values():
        if step.action.stand_in is not None:
            yield step.action.stand_in, step.action
        if step.action.workflow is not None:
            yield from _stand_ins(step.action.workflow)


def dry(workflow: Definition) -> Given:
    """Return hooks for a run without a model: each reply is ``ok`` or the smallest value that fits."""

    async def approve(question: Question) -> bool:
        del question
        return True

    surroundings = Surroundings()
    functions = {
        name: smallest(action.result_type(surroundings).json_schema())
        for name, action in _stand_ins(workflow)
    }
    return Given(approve=approve, functions=functions, only_model=Answers({}).model())
