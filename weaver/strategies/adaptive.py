"""Weaver's own method: fork only where it pays, and start threads while the plan is still being written."""

from __future__ import annotations

from typing import Annotated, Literal

import anyio
from pydantic import AfterValidator

from weaver.coordination.conflicts.policies import Policy
from weaver.coordination.conflicts.policies.ladder import parse_ladder
from weaver.coordination.joins.pruning import judged, same_work
from weaver.errors import BudgetExceeded, ModelError, PlanInvalid
from weaver.plan import Plan
from weaver.planning.planner import DEFAULT_SUBTASKS, make_plan
from weaver.planning.policy import Rules
from weaver.result import Answer
from weaver.runtime.join_protocol import Pruner
from weaver.runtime.run import Run
from weaver.runtime.thread_options import Hedge
from weaver.strategies.common.option_types import Count, Number
from weaver.strategies.common.registry import strategy
from weaver.strategies.common.speculation import Speculation
from weaver.strategies.plan_runner import Following, Manner
from weaver.strategies.sequential import sequential
from weaver.task import Task

PLANNING_SHARE = 0.4
"""Share of the time left that the planner may take; then what it has written so far is followed."""

PRUNERS: dict[str, Pruner | None] = {"same": same_work, "judge": judged, "off": None}


def _ladder(conflicts: str) -> tuple[Policy, ...] | None:
    return None if conflicts == "off" else parse_ladder(conflicts.replace("+", ","))


def _ladder_known(conflicts: str) -> str:
    _ladder(conflicts)
    return conflicts


@strategy("adaptive", source="docs/adaptive.md")
async def adaptive(
    run: Run,
    task: Task,
    *,
    max_subtasks: Count = DEFAULT_SUBTASKS,
    speculate: bool = True,
    replans: Number = 1,
    hedge: bool = True,
    prune: Literal["same", "judge", "off"] = "same",
    conflicts: Annotated[str, AfterValidator(_ladder_known)] = "clear_majority+verify+judge",
    strict: bool = False,
) -> Answer:
    """Let rules and a planner decide whether and how to fork; answer directly where forking does not pay.

    Args:
        max_subtasks: most subtasks of one plan.
        speculate: start a direct answer beside the planner when the rules are unsure.
        replans: how often the planner may be asked to make good for subtasks that were lost.
        hedge: give stragglers a second attempt.
        prune: drop threads that a finding has made unnecessary: those with the same task as a finished one,
            also those that a judge finds answered, or none.
        conflicts: policies that settle contradictions between threads, in order, joined by ``+``
            (clear_majority, majority, confidence_weighted, verify, debate, judge, escalate, keep); ``off``:
            threads are not compared.
        strict: a contradiction that stays open makes the result ``partial``.
    """
    manner = Manner(
        body=_nested,
        ladder=_ladder(conflicts),
        strict=strict,
        replans=replans,
        hedge=Hedge() if hedge else None,
        prune=PRUNERS[prune],
    )
    if run.parent is None and run.state.given_plan is not None:
        plan = run.state.given_plan.check(max_subtasks=len(run.state.given_plan.subtasks) or 1)
        run.state.plan = plan
        run.decide(plan.parallel, "user", "the plan was given")
        return await _follow(run, task, plan, manner) if plan.parallel else await sequential(run, task)
    judgement = Rules().judge(task)
    if (cannot := _cannot_fork(run)) or judgement.lean == "direct":
        run.decide(parallel=False, by="policy", because=cannot or judgement.reason)
        return await sequential(run, task)
    left = run.remaining.threads
    width = max_subtasks if left is None else min(max_subtasks, left)
    return await _plan_and_fork(run, task, width, manner, speculate=speculate and judgement.lean == "unsure")


async def _nested(run: Run, task: Task) -> Answer:
    """What a subtask's thread does: fork again only where the rules see parts, else answer."""
    judgement = Rules().judge(task)
    if _cannot_fork(run) or judgement.lean != "plan":
        return await run.reason(task)
    return await _plan_and_fork(run, task, DEFAULT_SUBTASKS, Manner(body=_nested), speculate=False)


async def _plan_and_fork(run: Run, task: Task, width: int, manner: Manner, *, speculate: bool) -> Answer:
    left = run.remaining.seconds
    async with run.fork() as spare, manner.open_threads(run) as threads:
        # Under a deadline the direct answer is also the insurance against a slow plan.
        insure = left is not None and run.parent is None
        direct = Speculation(run, spare, task) if speculate or insure else None
        following = Following(run, task, threads, manner, on_found=direct.drop if direct else None)

        def decided(parallel: bool) -> None:
            if direct is not None and parallel and not insure:
                direct.drop()

        plan: Plan | None = None
        until = float("inf") if left is None else anyio.current_time() + PLANNING_SHARE * left
        try:
            with anyio.move_on_at(until):
                plan = await make_plan(
                    run,
                    task,
                    agents=tuple(run.state.agents.values()),
                    max_subtasks=width,
                    on_parallel=decided,
                    on_subtask=following.start,
                    on_restart=following.restart,
                )
            if plan is None:
                plan = following.as_far_as_written()
        except (PlanInvalid, ModelError, BudgetExceeded) as error:
            plan = Plan(parallel=False)
            run.note(f"There is no plan ({error.message}); the task is answered directly.")
            run.decide(parallel=False, by="fallback", because=error.message)
        else:
            said = "the task has independent parts" if plan.parallel else "one line will do"
            run.decide(plan.parallel, "planner", plan.reason or said)
        if not plan.parallel:
            following.drop()
            if direct is not None and not direct.dropped:
                return await direct.answer()
            return await sequential(run, task)
        following.planned()
        threads.close()
        return await following.answer(plan)


async def _follow(run: Run, task: Task, plan: Plan, manner: Manner) -> Answer:
    async with manner.open_threads(run) as threads:
        following = Following(run, task, threads, manner)
        for subtask in plan.subtasks:
            following.start(subtask)
        threads.close()
        return await following.answer(plan)


def _cannot_fork(run: Run) -> str:
    left = run.remaining
    if left.depth == 0:
        return "threads may not fork any deeper"
    if left.threads is not None and left.threads < 2:
        return "the budget of threads is used up"
    return ""
