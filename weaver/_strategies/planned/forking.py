"""From a task to an answer with a policy, a gate and a planner: what `adaptive` does, in its steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import anyio

from weaver._data.plan import Plan, Subtask
from weaver._data.result import Answer, DecidedBy
from weaver._data.task import Task
from weaver._planning.choosing import Choice, ChoosingPolicy
from weaver._planning.cues import EACH
from weaver._planning.features import TaskFeatures
from weaver._planning.gate.gate import Gate, Verdict
from weaver._planning.grouping import narrowed
from weaver._planning.listed import plan_of_list
from weaver._planning.part_questions import asks_one_answer
from weaver._planning.planner import DEFAULT_SUBTASKS, Planner, use_plan
from weaver._planning.policy import Judgement, Policy
from weaver._runtime.run import Run
from weaver._runtime.threads.user_code import answered
from weaver._strategies.common.registry import find
from weaver._strategies.common.speculation import Speculation
from weaver._strategies.planned.plan_runner import Following, Manner
from weaver._strategies.sequential import sequential
from weaver._synthesis.choice import auto, chosen, name_of
from weaver.errors import (
    BudgetExceededError,
    ConfigurationError,
    InvalidPlanError,
    MissingCapabilityError,
    ModelError,
)


@dataclass(frozen=True, slots=True)
class Forking:
    """Who decides.

    Args:
        policy: whether to ask the planner, by the task's words.
        planner: the parts.
        gate: whether it pays, before the planner is asked and when its plan is known.
        max_subtasks: most subtasks of one plan.
        speculate: a direct answer may run beside the planner.
        listed: parts that the question lists are taken without asking the planner.
    """

    policy: Policy
    planner: Planner
    gate: Gate
    max_subtasks: int = DEFAULT_SUBTASKS
    speculate: bool = True
    listed: bool = True

    async def answer(self, run: Run, task: Task, manner: Manner) -> Answer:
        """Answer the root's task, and compare what it took with what was predicted."""
        if run.context.parent is None and run.context.state.given_plan is not None:
            return await self._given(run, task, run.context.state.given_plan, manner)
        listed = plan_of_list(task) if self.listed or task.parts else None
        judgement = self._judgement(task, listed)
        cannot = _cannot_fork(run)
        merge = _expected_merge(manner, task, judgement, listed)
        verdict = await _recorded(
            run, "before", await self.gate.before(run, task, judgement, listed=listed, merge=merge)
        )
        if (
            isinstance(self.policy, ChoosingPolicy)
            and not cannot
            and not task.parts
            and run.context.parent is None
        ):
            choice = await self._choose(self.policy, run, task, verdict)
            if choice.strategy:
                answer = await _by_strategy(run, task, choice.strategy)
                rewards = run.context.state.decisions.rewards
                self.policy.learn(choice, rewards[-1].value if rewards else None)
                return answer
        why = cannot or (judgement.reason if judgement.lean == "direct" else "")
        if why or not verdict.fork:
            because = why or f"{judgement.reason}; {verdict.reason}"
            self._decide(run, task, False, because, by="policy", verdict=verdict)
            answer = await sequential(run, task)
            self._learn(run, verdict, answer, forked=False)
            return answer
        available = run.remaining.threads
        width = self.max_subtasks if available is None else min(self.max_subtasks, available)
        if listed is not None:
            return await self._follow_list(run, task, width, manner, verdict)
        speculate = self.speculate and judgement.lean == "unsure" and verdict.speculate
        return await self._plan_and_fork(run, task, width, manner, verdict, speculate=speculate)

    async def _choose(self, policy: ChoosingPolicy, run: Run, task: Task, verdict: Verdict) -> Choice:
        """Let a learned policy choose the way to answer; a resumed run goes the way that it went."""
        can = await run.context.model().capabilities()

        def can_run(name: str) -> bool:
            try:
                strategy, options = find(name)
                strategy.check(can, run.context.model().name, options)
            except (MissingCapabilityError, ConfigurationError):
                return False
            return bool(options.get("policy", "rules") == "rules")

        choice = await policy.choose(run, task, verdict, can_run)
        recorded = await run.verdict("policy", {"arm": choice.arm, "strategy": choice.strategy})
        choice = replace(choice, **recorded)
        if choice.note:
            run.note(choice.note)
        run.decide(
            choice.arm != "direct",
            "policy",
            choice.reason,
            verdict.forecast,
            policy.name,
            features=choice.features,
            arms=choice.arms,
            chosen=choice.arm,
        )
        return choice

    async def nested(self, run: Run, task: Task) -> Answer:
        """Work on a subtask: fork again only where the policy sees parts and that pays."""
        listed = plan_of_list(task) if self.listed else None
        judgement = self._judgement(task, listed)
        cannot = _cannot_fork(run)
        if cannot or judgement.lean != "plan":
            self._decide(run, task, False, cannot or judgement.reason, by="policy")
            return await run.reason(task)
        manner = Manner(body=self.nested)
        merge = _expected_merge(manner, task, judgement, listed)
        verdict = await _recorded(
            run, "before", await self.gate.before(run, task, judgement, listed=listed, merge=merge)
        )
        if not verdict.fork:
            self._decide(
                run, task, False, f"{judgement.reason}; {verdict.reason}", by="policy", verdict=verdict
            )
            return await run.reason(task)
        if listed is not None:
            return await self._follow_list(run, task, DEFAULT_SUBTASKS, manner, verdict)
        return await self._plan_and_fork(run, task, DEFAULT_SUBTASKS, manner, verdict, speculate=False)

    def _judgement(self, task: Task, listed: Plan | None) -> Judgement:
        """The policy's judgement; parts that the user gave are parts."""
        if task.parts and listed is not None:
            return Judgement("plan", listed.reason)
        return self.policy.judge(task)

    async def _follow_list(
        self, run: Run, task: Task, width: int, manner: Manner, verdict: Verdict
    ) -> Answer:
        """Work on the parts that the user listed, in as many threads as the gate says."""
        plan = plan_of_list(task, threads=min(width, verdict.width or width))
        if plan is None:  # a single thread
            self._decide(run, task, False, "one thread is allowed", by="policy", verdict=verdict)
            return await sequential(run, task)
        because = f"{plan.reason}; {verdict.reason}" if verdict.reason else plan.reason
        by: DecidedBy = "user" if task.parts else "policy"
        self._decide(run, task, True, because, by=by, verdict=verdict)
        _log_width(run, len(plan.subtasks), verdict, width)
        use_plan(run, plan)
        answer = await _follow(run, task, plan, manner)
        self._learn(run, verdict, answer, forked=True)
        return answer

    async def _given(self, run: Run, task: Task, given: Plan, manner: Manner) -> Answer:
        plan = given.check(max_subtasks=len(given.subtasks) or 1)
        run.context.state.plan = plan
        features = {**TaskFeatures(task), "subtasks": float(len(plan.subtasks))}
        run.decide(plan.parallel, "user", "the plan was given", features=features)
        return await _follow(run, task, plan, manner) if plan.parallel else await sequential(run, task)

    async def _plan_and_fork(
        self, run: Run, task: Task, width: int, manner: Manner, verdict: Verdict, *, speculate: bool
    ) -> Answer:
        seconds = run.remaining.seconds
        async with run.fork() as spare, manner.open_threads(run) as threads:
            # Under a deadline the direct answer is also the insurance against a slow plan.
            insure = seconds is not None and run.context.parent is None
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
            try:
                with anyio.CancelScope(deadline=run.context.time.plan_deadline_at):
                    plan = await self.planner(
                        run,
                        task,
                        agents=tuple(run.context.state.agents.values()),
                        max_subtasks=width,
                        on_parallel=decided,
                        on_subtask=start,
                        on_restart=following.restart,
                    )
                if plan is None:
                    plan = following.as_far_as_written()
            except (InvalidPlanError, ModelError, BudgetExceededError) as error:
                plan = Plan(parallel=False)
                run.note(f"There is no plan ({error.message}); the task is answered directly.")
                self._decide(run, task, False, error.message, by="fallback", verdict=verdict)
            else:
                verdict, plan = await self._decided(run, task, plan, verdict, manner)
            if not plan.parallel:
                following.drop()
                if direct is not None and not direct.dropped:
                    return await direct.answer()
                return await sequential(run, task)
            _log_width(run, min(len(plan.subtasks), verdict.width or width), verdict, width)
            if not eager:
                plan = narrowed(plan, verdict.width or len(plan.subtasks))
                for subtask in plan.subtasks:
                    following.start(subtask)
                run.context.state.plan = plan if run.context.parent is None else run.context.state.plan
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
            self._decide(run, task, False, why, by="planner", verdict=before)
            return before, plan
        verdict = await _recorded(
            run,
            "planned",
            await self.gate.planned(run, task, plan, merge=name_of(chosen(manner.merge, task, plan))),
        )
        why = plan.reason or "the task has independent parts"
        by: DecidedBy = "planner" if verdict.fork else "policy"
        because = f"{why}; {verdict.reason}" if verdict.reason else why
        self._decide(run, task, verdict.fork, because, by=by, verdict=verdict)
        return verdict, plan if verdict.fork else Plan(parallel=False, reason=plan.reason)

    def _decide(
        self, run: Run, task: Task, fork: bool, because: str, *, by: DecidedBy, verdict: Verdict | None = None
    ) -> None:
        forecast = verdict.forecast if verdict is not None else None
        run.decide(fork, by, because, forecast, self.policy.name, features=TaskFeatures(task))

    def _learn(self, run: Run, verdict: Verdict, answer: Answer, *, forked: bool) -> None:
        if run.context.parent is None and answer.complete:
            seconds = anyio.current_time() - run.context.state.started
            self.gate.learn(run, verdict, forked=forked, seconds=seconds)


async def _by_strategy(run: Run, task: Task, name: str) -> Answer:
    """Answer by another strategy, of which nothing but its name and options is known."""
    strategy, options = find(name)
    return await answered(partial(strategy.function, **options), run, task, who=f"Strategy {strategy.name!r}")


async def _follow(run: Run, task: Task, plan: Plan, manner: Manner) -> Answer:
    async with manner.open_threads(run) as threads:
        following = Following(run, task, threads, manner)
        for subtask in plan.subtasks:
            following.start(subtask)
        threads.close()
        return await following.answer(plan)


def _log_width(run: Run, threads: int, verdict: Verdict, most: int) -> None:
    """Record in how many threads the parts are put: as the gate says, within the limits."""
    parts = verdict.forecast.parts if verdict.forecast is not None else threads
    names = [f"{number} threads" for number in dict.fromkeys((threads, parts, min(parts, most)))]
    features = {"parts": float(parts), "most": float(most)}
    run.context.log_decision("width", *names, policy="gate/1", because=verdict.reason, features=features)


def _expected_merge(manner: Manner, task: Task, judgement: Judgement, listed: Plan | None) -> str:
    """Tell how parts will likely be merged, before a planner is asked: lists stay lists (`Parts.merge`)."""
    merge = name_of(chosen(manner.merge, task, listed))
    has_parts = judgement.lean == "plan" or EACH.search(task.user_words) is not None
    is_open = listed is None and manner.merge is auto and task.output is None
    return "concat" if is_open and has_parts and not asks_one_answer(task.user_words) else merge


def _cannot_fork(run: Run) -> str:
    context = run.context
    deepest, threads = context.state.limits.depth, context.ledger.threads_left
    if deepest is not None and context.depth >= deepest:
        return "threads may not fork any deeper"
    if threads is not None and threads < 2:
        return "the budget of threads is used up"
    return ""


async def _recorded(run: Run, name: str, verdict: Verdict) -> Verdict:
    """Return the recorded verdict in a resumed run: speeds measured since must not turn it."""
    fields = ("fork", "reason", "width", "speculate")
    recorded = await run.verdict(f"gate/{name}", {field: getattr(verdict, field) for field in fields})
    return replace(verdict, **recorded)
