"""What a plan will take if it is run: calls, tokens, dollars, and the longest chain. A guess, no call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from weaver._data.plan import Plan, Subtask
from weaver._data.usage import Usage, estimate_tokens
from weaver._models.protocol import Prices

SUBTASK_TOKENS = 500  # for a subtask whose planner gave no estimate
SYNTHESIS_TOKENS = 700
NO_CALL = {"concat", "data", "pick"}
"""Merges that take no call."""
OVERHEAD_TOKENS = 200  # instructions that weaver adds to a call


@dataclass(frozen=True, slots=True)
class Estimate:
    """What running a plan is expected to take; the planner's own call is not included.

    Attributes:
        usage: calls, input and output tokens, and dollars (None without prices); ``estimated`` is True.
        critical_path: ids of the chain of subtasks that generates most tokens.
        critical_path_tokens: tokens of that chain and of the synthesis, which `NO_CALL` merges save.
        speedup: all generated tokens divided by those of the critical path.
    """

    usage: Usage
    critical_path: tuple[str, ...]
    critical_path_tokens: int
    speedup: float


def estimate(plan: Plan, *, question: str = "", prices: Prices | None = None) -> Estimate:
    """Estimate what ``plan`` takes; a plan without subtasks is one direct call.

    Args:
        plan: a valid plan.
        question: the task's text; the synthesis reads it.
        prices: of the model; None leaves the cost unknown.
    """
    prompt_tokens = estimate_tokens(question) + OVERHEAD_TOKENS
    if not plan.subtasks:
        usage = Usage(calls=1, input_tokens=prompt_tokens, output_tokens=SUBTASK_TOKENS, estimated=True)
        return Estimate(_priced(usage, prices), (), SUBTASK_TOKENS, 1.0)
    tokens = {subtask.id: _tokens(subtask) for subtask in plan.subtasks}
    synthesis = 0 if plan.merge in NO_CALL else SYNTHESIS_TOKENS
    total = sum(tokens.values()) + synthesis
    read = prompt_tokens + sum(tokens.values()) if synthesis else 0
    for subtask in plan.subtasks:
        read += estimate_tokens(subtask.prompt) + OVERHEAD_TOKENS + sum(tokens[d] for d in subtask.depends_on)
    chain = longest_chain(plan, tokens)
    critical = sum(tokens[i] for i in chain) + synthesis
    usage = Usage(
        calls=len(plan.subtasks) + bool(synthesis), input_tokens=read, output_tokens=total, estimated=True
    )
    return Estimate(_priced(usage, prices), chain, critical, total / critical)


def _tokens(subtask: Subtask) -> int:
    return subtask.max_tokens or SUBTASK_TOKENS


def longest_chain(plan: Plan, tokens: Mapping[str, float]) -> tuple[str, ...]:
    """Ids of the chain of subtasks with the most tokens, in the order of its work."""
    best: dict[str, tuple[float, tuple[str, ...]]] = {}
    for level in plan.levels:
        for subtask in level:
            before = max((best[d] for d in subtask.depends_on), default=(0, ()))
            best[subtask.id] = (before[0] + tokens[subtask.id], (*before[1], subtask.id))
    return max(best.values(), key=lambda path: path[0])[1]


def _priced(usage: Usage, prices: Prices | None) -> Usage:
    cost = None if prices is None else prices.cost(usage)
    return Usage(usage.calls, usage.input_tokens, usage.output_tokens, cost_usd=cost, estimated=True)
