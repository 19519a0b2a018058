"""The most that a workflow can take: calls, tokens, dollars. Worked out from the file alone.

Counted are tries and new tries of steps, items up to their limit, and the repairs of typed outputs. Not
counted are repetitions of a call that failed on its way (they cost nothing that arrives).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from weaver._workflows.execution.preparation.prepared import Prepared
from weaver._workflows.expressions.values import Values
from weaver._workflows.kinds.bound import Bounds, Most
from weaver._workflows.validation.compiled import CompiledStep

if TYPE_CHECKING:
    from weaver._models.protocol import Prices
    from weaver._workflows.format.definition import Definition


@dataclass(frozen=True, slots=True)
class WorstCase:
    """The most that the whole workflow and each of its steps can take."""

    total: Most
    steps: Mapping[str, Most]
    chain: tuple[str, ...] = ()


def worst_case(
    prepared: Prepared, *, prices: Prices | None = None, skipped: Collection[str] = ()
) -> WorstCase:
    """Work out the most that a workflow can take.

    Args:
        prices: of the model; without them costs are unknown unless the file has a budget.
        skipped: steps that will not run.
    """
    outputs: dict[str, int | None] = {}
    steps: dict[str, Most] = {}
    for id_ in _in_order(prepared.workflow):
        step = prepared.steps[id_]
        steps[id_] = bound = Most(0) if id_ in skipped else _of_step(step, outputs, prices)
        per_thread = step.action.tokens_out
        outputs[id_] = None if per_thread is None or bound.items is None else per_thread * bound.items
    ordered = {id_: steps[id_] for id_ in prepared.steps}
    total = Most(
        None,
        _sum(m.calls for m in ordered.values()),
        _sum(m.tokens for m in ordered.values()),
        _sum(m.cost_usd for m in ordered.values()),
    )
    total = _within(total, prepared.workflow.defaults.budget)
    return WorstCase(total, ordered, _chain(prepared, ordered))


def _of_step(step: CompiledStep, outputs: Mapping[str, int | None], prices: Prices | None) -> Most:
    items = _items(step)
    bounds = Bounds(outputs, prices, lambda prepared: worst_case(prepared, prices=prices).total)
    one_try = step.action.most(bounds)
    times = items * (1 + step.retry.times)
    judged = items if step.spec.join is not None and "best" in step.spec.join else 0
    bound = Most(
        items,
        None if one_try.calls is None else one_try.calls * times + judged,
        None if one_try.tokens is None else one_try.tokens * times,
        None if one_try.cost_usd is None else one_try.cost_usd * times,
        one_try.bound,
    )
    return _within(bound, step.spec.budget)


def _items(step: CompiledStep) -> int:
    if step.items is None:
        return 1
    if isinstance(step.items, Values):
        return min(len(step.items.given), step.spec.max_items)
    return min(step.most or step.spec.max_items, step.spec.max_items)


def _within(most: Most, budget: Any) -> Most:
    """The same, but never more than a budget allows."""
    if budget is None:
        return most
    bound = most.bound if budget.calls is None else ""
    return Most(
        most.items,
        _least(most.calls, budget.calls),
        _least(most.tokens, budget.tokens),
        _least(most.cost_usd, budget.cost),
        bound,
    )


def _chain(prepared: Prepared, steps: Mapping[str, Most]) -> tuple[str, ...]:
    """The longest chain of steps, by calls that wait for each other."""
    graph = prepared.workflow.compiled.graph
    best: dict[str, tuple[float, tuple[str, ...]]] = {}
    for id_ in _in_order(prepared.workflow):
        before = max((best[n] for n in graph[id_]), default=(0.0, ()))
        weight = 1.0 if steps[id_].calls != 0 else 0.1
        best[id_] = (before[0] + weight, (*before[1], id_))
    return max(best.values(), default=(0.0, ()))[1]


def _in_order(workflow: Definition) -> list[str]:
    from weaver._workflows.validation.graph import levels

    return [id_ for level in levels(workflow.compiled.graph) for id_ in level]


def _sum(values: Any) -> Any:
    every = list(values)
    return None if None in every else sum(every)


def _least(one: Any, other: Any) -> Any:
    return one if other is None else other if one is None else min(one, other)
