"""Weaver's own method: fork only where it pays, and start threads while the plan is still being written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from weaver._coordination.conflicts.policies.positions import Policy as ConflictPolicy
from weaver._coordination.joins.pruning import judged, same_work
from weaver._data.result import Answer
from weaver._data.task import Task
from weaver._planning.gate.gate import GATES, CostGate, Gate
from weaver._planning.learned.objective import OBJECTIVES, Preset
from weaver._planning.planner import DEFAULT_SUBTASKS, PLANNERS, Planner, make_plan
from weaver._planning.policy import POLICIES, Policy
from weaver._runtime.run import Run
from weaver._runtime.threads.join_protocol import Pruner
from weaver._runtime.threads.thread_options import Hedge
from weaver._strategies.common.option_types import Count, Number
from weaver._strategies.common.registry import strategy
from weaver._strategies.common.seams import by_name, checked, conflict_policies, merge_named
from weaver._strategies.long_inputs.whole import fit, with_context
from weaver._strategies.long_inputs.window import window_of
from weaver._strategies.planned.forking import Forking
from weaver._strategies.planned.plan_runner import Manner
from weaver._synthesis.merge import Merge

PRUNERS: dict[str, Pruner | None] = {"same": same_work, "judge": judged, "off": None}
AUTO = "auto"
_named_policy = by_name("policy", POLICIES, "weaver.policies", needs="judge")
_planner = by_name("planner", PLANNERS, "weaver.planners", needs="__call__")
_gate = by_name("gate", GATES, "weaver.gates", needs="before")


def _policy(value: Any, objective: str | None = None, *, explore: bool = False) -> Policy:
    """Return the policy that an option gives: a name, an object, or the file of a learned one."""
    if isinstance(value, Path) or (isinstance(value, str) and value.strip().lower().endswith(".json")):
        from weaver._planning.learned.policy import load_policy  # few runs need it

        return load_policy(str(value).strip(), objective=objective or "", explore=explore)
    named: Policy = _named_policy(value)
    return named


def _gate_for(gate: Gate, objective: str | None) -> Gate:
    """Return the gate with what a preset says that seconds and dollars are worth."""
    if objective is None or not isinstance(gate, CostGate):
        return gate
    preset = OBJECTIVES[objective]
    return replace(
        gate, seconds_per_quality=1 / preset.per_second, seconds_per_usd=preset.per_usd / preset.per_second
    )


@strategy("adaptive", source="docs/adaptive.md", reads_documents=True)
async def adaptive(
    run: Run,
    task: Task,
    *,
    policy: Annotated[Policy | str | Path, checked(_policy)] = "rules",
    planner: Annotated[Planner | str, checked(_planner)] = "model",
    gate: Annotated[Gate | str, checked(_gate)] = "on",
    merge: Annotated[Merge | str, checked(merge_named)] = "auto",
    max_subtasks: Count = DEFAULT_SUBTASKS,
    listed: bool = True,
    speculate: bool = True,
    replans: Number = 1,
    hedge: bool = True,
    prune: Literal["same", "judge", "off"] = "same",
    conflicts: Annotated[str | Sequence[str | ConflictPolicy] | None, checked(conflict_policies)] = AUTO,
    strict: bool = False,
    objective: Preset | None = None,
    explore: bool = False,
) -> Answer:
    """Let a policy, a gate and a planner decide whether and how to fork, or answer directly.

    Documents that do not fit the model's window are read by `map_reduce`.

    In Python, ``policy``, ``planner``, ``gate``, ``merge`` and ``conflicts`` also take objects of your own.

    Args:
        policy: decides on the task's words whether to ask the planner: ``rules``, or the file of a learned
            policy (FILE.json), which may also choose another strategy: see docs/policy.md.
        planner: writes the plan: ``model``, one streamed call.
        gate: predicts seconds and dollars of both ways, and forks where that pays (``on``); ``off``: it
            predicts, and follows the planner whatever that costs.
        merge: how one answer is made of the parts: ``auto`` (by the output type and the plan), ``write`` (the
            synthesizer writes it), ``concat`` (the parts as they are), ``data`` (typed
            parts, put together by code), ``pick`` (one part), ``reference`` (a written
            frame, in which the parts stand as they are).
        max_subtasks: most subtasks of one plan.
        listed: take the parts that the question lists (bullets, numbers, several questions, ``a; b; c``)
            without asking the planner, where they are independent for sure. With your own planner it
            counts only for ``parts=``.
        speculate: start a direct answer beside the planner when the policy is unsure and the gate agrees.
        replans: how often the planner may be asked to replace subtasks that were lost.
        hedge: give stragglers a second attempt.
        prune: drop threads that a finding has made unnecessary: those with the same task as a finished one,
            also those that a judge finds answered, or none.
        conflicts: policies that resolve contradictions between threads, in order, joined by ``+``
            (`weaver.conflicts` has them), or a list; ``off``: threads are not compared; ``auto``:
            clear_majority+verify+judge, and threads that each work on one item of a list are not compared,
            since their claims would cost more than they find.
        strict: a contradiction that stays open makes the result ``partial``.
        objective: what seconds and dollars are worth to the gate and to a learned policy: ``quality``,
            ``balanced`` or ``fast``; by default ``balanced``, or what the policy was fitted for.
        explore: a learned policy chooses by Thompson sampling, every way with a chance of 3 % at least, but
            not where time or money is tight; so that its log can judge other policies.
    """
    if task.documents:
        if not await fit(task, await window_of(run)):
            from weaver._strategies.long_inputs.map_reduce import map_reduce  # few runs need it

            return await map_reduce(run, task)
        task = with_context(run, task)
    forking = Forking(
        policy=_policy(policy, objective, explore=explore),
        planner=_planner(planner),
        gate=_gate_for(_gate(gate), objective),
        max_subtasks=max_subtasks,
        speculate=speculate,
        listed=listed and _planner(planner) is make_plan,
    )
    manner = Manner(
        body=forking.nested,
        ladder=conflict_policies(conflicts),
        compare_listed=conflicts != AUTO,
        strict=strict,
        replans=replans,
        hedge=Hedge() if hedge else None,
        prune=PRUNERS[prune],
        merge=merge_named(merge),
    )
    return await forking.answer(run, task, manner)
