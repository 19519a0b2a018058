"""From a task to an answer with a policy, a gate and a planner: what `adaptive` does, in its steps."""

from __future__ import annotations

from dataclasses import dataclass

import anyio

from weaver.errors import BudgetExceeded, ModelError, PlanInvalid
from weaver.plan import Plan, Subtask
from weaver.planning.gate.gate import Gate, Verdict
from weaver.planning.grouping import narrowed
from weaver.planning.part_questions import asks_one_answer
from weaver.planning.planner import DEFAULT_SUBTASKS, Planner
from weaver.planning.policy import Judgement, Policy, own_words
from weaver.result import Answer, DecidedBy
from weaver.runtime.run import Run
from weaver.strategies.common.speculation import Speculation
from weaver.strategies.plan_runner import Following, Manner
from weaver.strategies.sequential import sequential
from weaver.synthesis.choice import auto, chosen, name_of
from weaver.task import Task

PLANNING_SHARE = 0.4
"""Share of the time left that the planner may take; then what it has written so far is followed."""


@dataclass(frozen=True, slots=True)
class Forking:
    """Who decides.

    Args:
        policy: whether to ask the planner, by the task's words.
        planner: the parts.
        gate: whether it pays, before the planner is asked and when its plan is known.
        max_subtasks: most subtasks of one plan.
        speculate: a direct answer may run beside the planner.
    """

    policy: Policy
    planner: Planner
    gate: Gate
    max_subtasks: int = DEFAULT_SUBTASKS
    speculate: bool = True

    async def answer(self, run: Run, task: Task, manner: Manner) -> Answer:
        """Answer the root's task, and compare what it took with what was predicted."""
        if run.parent is None and run.state.given_plan is not None:
            return await self._given(run, task, run.state.given_plan, manner)
        judgement = self.policy.judge(task)
        cannot = _cannot_fork(run)
        verdict = await self.gate.before(run, task, judgement, merge=_expected_merge(manner, task, judgement))
        why = cannot or (judgement.reason if judgement.lean == "direct" else "")
        if why or not verdict.fork:
            because = why or f"{judgement.reason}; {verdict.reason}"
            run.decide(False, "policy", because, verdict.forecast, self.policy.name)
            answer = await sequential(run, task)
            self._learn(run, verdict, answer, forked=False)
            return answer
        left = run.remaining.threads
        width = self.max_subtasks if left is None else min(self.max_subtasks, left)
        speculate = self.speculate and judgement.lean == "unsure" and verdict.speculate
        return await self._plan_and_fork(run, task, width, manner, verdict, speculate=speculate)

    async def nested(self, run: Run, task: Task) -> Answer:
        """What a subtask's thread does: fork again only where the policy sees parts and that pays."""
        judgement = self.policy.judge(task)
        if _cannot_fork(run) or judgement.lean != "plan":
            return await run.reason(task)
        verdict = await self.gate.before(run, task, judgement)
        if not verdict.fork:
            return await run.reason(task)
        manner = Manner(body=self.nested)
        return await self._plan_and_fork(run, task, DEFAULT_SUBTASKS, manner, verdict, speculate=False)

    async def _given(self, run: Run, task: Task, given: Plan, manner: Manner) -> Answer:
        plan = given.check(max_subtasks=len(given.subtasks) or 1)
        run.state.plan = plan
        run.decide(plan.parallel, "user", "the plan was given")
        return await _follow(run, task, plan, manner) if plan.parallel else await sequential(run, task)

    async def _plan_and_fork(
        self, run: Run, task: Task, width: int, manner: Manner, verdict: Verdict, *, speculate: bool
    ) -> Answer:
        left = run.remaining.seconds
        async with run.fork() as spare, manner.open_threads(run) as threads:
            # Under a deadline the direct answer is also the insurance against a slow plan.
            insure = left is not None and run.parent is None
            direct = Speculation(run, spare, task) if speculate or insure else None
            following = Following(run, task, threads, manner, on_found=direct.drop if direct else None)
            # Where the parts may be put into fewer threads, none can start before all are known.
            eager = (
                verdict.width is None or verdict.forecast is None or verdict.width >= verdict.forecast.parts
            )

            def decided(parallel: bool) -> None:
                if direct is not None and parallel and not insure:
                    direct.drop()

            def start(subtask: Subtask) -> None:
                if eager:
                    following.start(subtask)

            plan: Plan | None = None
            until = float("inf") if left is None else anyio.current_time() + PLANNING_SHARE * left
            try:
                with anyio.CancelScope(deadline=until):
                    plan = await self.planner(
                        run,
                        task,
                        agents=tuple(run.state.agents.values()),
                        max_subtasks=width,
                        on_parallel=decided,
                        on_subtask=start,
                        on_restart=following.restart,
                    )
                if plan is None:
                    plan = following.as_far_as_written()
            except (PlanInvalid, ModelError, BudgetExceeded) as error:
                plan = Plan(parallel=False)
                run.note(f"There is no plan ({error.message}); the task is answered directly.")
                run.decide(False, "fallback", error.message, verdict.forecast, self.policy.name)
            else:
                verdict, plan = await self._decided(run, task, plan, verdict, manner)
            if not plan.parallel:
                following.drop()
                if direct is not None and not direct.dropped:
                    return await direct.answer()
                return await sequential(run, task)
            if not eager:
                plan = narrowed(plan, verdict.width or len(plan.subtasks))
                for subtask in plan.subtasks:
                    following.start(subtask)
                run.state.plan = plan if run.parent is None else run.state.plan
            following.planned()
            threads.close()
            answer = await following.answer(plan)
        self._learn(run, verdict, answer, forked=True)
        return answer

    async def _decided(
        self, run: Run, task: Task, plan: Plan, before: Verdict, manner: Manner
    ) -> tuple[Verdict, Plan]:
        """The second decision: the plan is known, and may still be dropped."""
        if not plan.parallel:
            why = plan.reason or "one call is enough"
            run.decide(False, "planner", why, before.forecast, self.policy.name)
            return before, plan
        verdict = await self.gate.planned(run, task, plan, merge=name_of(chosen(manner.merge, task, plan)))
        why = plan.reason or "the task has independent parts"
        by: DecidedBy = "planner" if verdict.fork else "policy"
        because = f"{why}; {verdict.reason}" if verdict.reason else why
        run.decide(verdict.fork, by, because, verdict.forecast, self.policy.name)
        return verdict, plan if verdict.fork else Plan(parallel=False, reason=plan.reason)

    def _learn(self, run: Run, verdict: Verdict, answer: Answer, *, forked: bool) -> None:
        if run.parent is None and answer.complete:
            seconds = anyio.current_time() - run.state.started
            self.gate.learn(run, verdict, forked=forked, seconds=seconds)


async def _follow(run: Run, task: Task, plan: Plan, manner: Manner) -> Answer:
    async with manner.open_threads(run) as threads:
        following = Following(run, task, threads, manner)
        for subtask in plan.subtasks:
            following.start(subtask)
        threads.close()
        return await following.answer(plan)


def _expected_merge(manner: Manner, task: Task, judgement: Judgement) -> str:
    """How the parts will likely be merged, before there is a plan: lists stay lists (`Parts.merge`)."""
    merge = name_of(chosen(manner.merge, task))
    is_open = manner.merge is auto and task.output is None and judgement.lean == "plan"
    return "concat" if is_open and not asks_one_answer(own_words(task)) else merge


def _cannot_fork(run: Run) -> str:
    left = run.remaining
    if left.depth == 0:
        return "threads may not fork any deeper"
    if left.threads is not None and left.threads < 2:
        return "the budget of threads is used up"
    return ""
