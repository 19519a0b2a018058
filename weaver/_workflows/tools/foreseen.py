"""What the inputs alone decide about a workflow: which steps are skipped, how many items there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from weaver._json_reading.json_types import is_array
from weaver._workflows.execution.preparation.prepared import Prepared
from weaver._workflows.expressions.evaluator import evaluate
from weaver._workflows.expressions.parser import Expression, ExpressionError
from weaver._workflows.expressions.typecheck import Inference, ignore
from weaver._workflows.expressions.values import Values
from weaver._workflows.validation.compiled import CompiledStep


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What the inputs decide about one step.

    Attributes:
        is_skipped: its condition is false, or it needs a step that is skipped.
        items: how many items it works on; None where that is decided while it runs.
        task: the text of its task, where only inputs are read.
    """

    is_skipped: bool = False
    items: int | None = None
    task: str | None = None


def foresee(prepared: Prepared, inputs: Mapping[str, Any]) -> dict[str, Foreseen]:
    """Work out what ``inputs`` decide, by step, and put it into ``prepared``.

    Args:
        inputs: every input, checked and with its default.
    """
    names = {"inputs": dict(inputs)}
    foreseen: dict[str, Foreseen] = {}
    for id_, step in prepared.steps.items():
        items = _items(step, names)
        if items is not None:
            step.most = items
        foreseen[id_] = Foreseen(_is_off(step, names), items, _task(step, names))
    _skip_those_behind(prepared, foreseen)
    return foreseen


def _is_off(step: CompiledStep, names: Mapping[str, Any]) -> bool:
    condition = step.condition
    if condition is None or not _reads_inputs_only(condition):
        return False
    try:
        return not evaluate(condition, names)
    except ExpressionError:
        return False


def _items(step: CompiledStep, names: Mapping[str, Any]) -> int | None:
    items = step.items
    if isinstance(items, Values):
        return min(len(items.given), step.spec.max_items)
    if items is None or not _reads_inputs_only(items):
        return None
    try:
        value = evaluate(items, names)
    except ExpressionError:
        return None
    if value is None:
        return 0
    return min(len(value), step.spec.max_items) if is_array(value) else None


def _task(step: CompiledStep, names: Mapping[str, Any]) -> str | None:
    template = step.action.prompt()
    if template is None or not all(_reads_inputs_only(slot.expression) for slot in template.slots):
        return None
    try:
        return template.prompt(names)
    except ExpressionError:
        return None


def _reads_inputs_only(expression: Expression) -> bool:
    return all(path[0] == "inputs" for path in Inference(expression, {}, ignore).used)


def _skip_those_behind(prepared: Prepared, foreseen: dict[str, Foreseen]) -> None:
    """Skip what needs a skipped step, unless its condition reads that step's state."""
    graph = prepared.workflow.compiled.graph
    changed = True
    while changed:
        changed = False
        for id_, needs in graph.items():
            step = prepared.steps[id_]
            off = [n for n in needs if foreseen[n].is_skipped and n not in step.minds]
            if off and step.spec.join is None and not foreseen[id_].is_skipped:
                foreseen[id_] = replace(foreseen[id_], is_skipped=True)
                changed = True
