"""The most that a workflow can take: calls, tokens, dollars. Worked out from the file alone.

Counted are tries and new tries of steps, items up to their limit, and the repairs of typed outputs. Not
counted are repetitions of a call that failed on its way (they cost nothing that arrives).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from weaver._data.usage import estimate_tokens
from weaver._workflows.execution.preparation.prepared import Prepared, PreparedStep
from weaver._workflows.validation.compiled import Values

if TYPE_CHECKING:
    from weaver._models.protocol import Prices
    from weaver._workflows.schema.definition import Definition

REPAIRS = 2
OVERHEAD = 200
"""Input tokens of instructions around a task."""

Options = Mapping[str, Any]
_CALLS: dict[str, Callable[[Options], int]] = {
    # Calls of one thread under a strategy whose number follows from its options.
    "sequential": lambda o: 1 + int(o.get("wait") or 0) + (2 if o.get("think_tokens") else 0),
    "fixed": lambda o: int(o.get("k", 4)) + 2,
    "self_consistency": lambda o: int(o["samples"]),
    "best_of_n": lambda o: int(o["n"]) * 2,
    "mixture_of_agents": lambda o: int(o["layers"]) * int(o["proposers"]) + 1,
    "debate": lambda o: int(o["agents"]) * int(o["rounds"]),
    "rounds": lambda o: int(o["width"]) * int(o["rounds"]) + 1,
    "skeleton_of_thought": lambda o: 2 + int(o.get("max_points") or 10),
}


@dataclass(frozen=True, slots=True)
class Most:
    """Upper bounds; None where there is none.

    Attributes:
        items: how often the step's work is done.
        calls: model calls.
        tokens: input and output tokens of these calls.
        cost_usd: their price.
        bound: for people: which limit of the file or which unknown decided.
    """

    items: int | None = 1
    calls: int | None = 0
    tokens: int | None = 0
    cost_usd: float | None = 0.0
    bound: str = ""


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
        per_thread = step.max_tokens
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


def _of_step(one: PreparedStep, outputs: Mapping[str, int | None], prices: Prices | None) -> Most:
    items = _items(one)
    if one.used is not None:
        inner = worst_case(one.used, prices=prices).total
        calls, tokens, cost, bound = inner.calls, inner.tokens, inner.cost_usd, inner.bound
    elif one.step.does == "task":
        calls, bound = _calls(one)
        tokens, cost = _tokens(one, calls, outputs, prices)
    else:
        calls, tokens, cost, bound = 0, 0, 0.0, ""
    tries = 1 + one.retry.times
    times = items * tries
    extra = items if one.step.join is not None and "best" in one.step.join else 0
    step_bound = Most(
        items,
        None if calls is None else calls * times + extra,
        None if tokens is None else tokens * times,
        None if cost is None else cost * times,
        bound,
    )
    return _within(step_bound, one.step.budget)


def _items(one: PreparedStep) -> int:
    items = one.compiled.items
    if items is None:
        return 1
    if isinstance(items, Values):
        return min(len(items.given), one.step.max_items)
    return min(one.compiled.most or one.step.max_items, one.step.max_items)


def _calls(one: PreparedStep) -> tuple[int | None, str]:
    assert one.strategy is not None
    name = one.strategy.name
    options = {key: default for key, (_, default) in one.strategy.options.items()}
    keywords = getattr(one.body, "keywords", {})
    if name not in _CALLS:
        return None, f"how many calls {name} makes is decided while it runs"
    try:
        calls = _CALLS[name]({**options, **keywords})
    except (KeyError, TypeError, ValueError):
        return None, f"how many calls {name} makes is decided while it runs"
    if one.output is not None:
        calls += REPAIRS
    if one.tools or any(agent.tools for agent in one.agents.values()):
        from weaver._tools.run_tools import TOOL_ROUNDS

        calls += TOOL_ROUNDS
    return calls, ""


def _tokens(
    one: PreparedStep, calls: int | None, outputs: Mapping[str, int | None], prices: Prices | None
) -> tuple[int | None, float | None]:
    assert one.compiled.task is not None
    read = OVERHEAD + estimate_tokens("".join(p for p in one.compiled.task.parts if isinstance(p, str)))
    inputs: int | None = read
    for id_ in one.compiled.waits_for:
        before = outputs.get(id_)
        inputs = None if inputs is None or before is None else inputs + before
    if calls is None or one.max_tokens is None or inputs is None:
        return None, None
    made, input_tokens = calls * one.max_tokens, calls * inputs
    if prices is None:
        return made + input_tokens, None
    return made + input_tokens, (input_tokens * prices.input + made * prices.output) / 1e6


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
