"""Weaver's own method: fork only where it pays, and start threads while the plan is still being written."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from functools import partial

from weaver.errors import BudgetExceeded, ModelError, NoAnswer, PlanInvalid
from weaver.plan import Plan, Subtask
from weaver.planning.planner import DEFAULT_SUBTASKS, make_plan
from weaver.planning.policy import Rules
from weaver.result import Answer
from weaver.runtime.fork import Threads
from weaver.runtime.run import Run
from weaver.runtime.thread import Thread
from weaver.strategies.registry import strategy
from weaver.strategies.sequential import sequential
from weaver.strategies.speculation import Speculation
from weaver.synthesis import synthesize
from weaver.task import Agent, Task

WORKER = Agent(
    "worker",
    instructions="Answer the task below completely and briefly. State the result in plain words.",
)
LEAST_TOKENS = 128
"""Planners underestimate; no thread gets less room than this."""
TOKEN_SLACK = 1.5
SYNTHESIS_SECONDS = (0.2, 2.0, 0.4)
"""Share of the time left that is kept for the synthesis, least seconds, and greatest share."""
SYNTHESIS_TOKENS = (0.2, 2000)
"""Share of the token budget that is kept for the synthesis, and the most tokens."""


@strategy("adaptive", source="docs/adaptive.md")
async def adaptive(
    run: Run, task: Task, *, max_subtasks: int = DEFAULT_SUBTASKS, speculate: bool = True
) -> Answer:
    """Let rules and a planner decide whether and how to fork; answer directly where forking does not pay.

    Args:
        max_subtasks: most subtasks of one plan.
        speculate: start a direct answer beside the planner when the rules are unsure.
    """
    if run.parent is None and run.state.given_plan is not None:
        plan = run.state.given_plan.check(max_subtasks=len(run.state.given_plan.subtasks) or 1)
        run.state.plan = plan
        run.decide(plan.parallel, "user", "the plan was given")
        return await _follow(run, task, plan) if plan.parallel else await sequential(run, task)
    judgement = Rules().judge(task)
    cannot = _cannot_fork(run)
    nested = run.parent is not None
    if cannot or judgement.lean == "direct" or (nested and judgement.lean == "unsure"):
        run.decide(parallel=False, by="policy", because=cannot or judgement.reason)
        return await sequential(run, task)
    left = run.remaining.threads
    width = max_subtasks if left is None else min(max_subtasks, left)
    return await _plan_and_fork(run, task, width, speculate=speculate and judgement.lean == "unsure")


async def _plan_and_fork(run: Run, task: Task, width: int, *, speculate: bool) -> Answer:
    async with run.fork() as spare, _open_threads(run) as threads:
        direct = Speculation(run, spare, task) if speculate else None
        work = _Work(run, task, threads)

        def decided(parallel: bool) -> None:  # noqa: FBT001 - a callback with one value
            if direct is not None and parallel:
                direct.drop()

        held = run.state.ledger.hold(_tokens_for_synthesis(run))
        try:
            plan = await make_plan(
                run,
                task,
                agents=tuple(run.state.agents.values()),
                max_subtasks=width,
                on_parallel=decided,
                on_subtask=work.start,
            )
        except (PlanInvalid, ModelError, BudgetExceeded) as error:
            plan = Plan(parallel=False)
            run.note(f"There is no plan ({error.message}); the task is answered directly.")
            run.decide(parallel=False, by="fallback", because=error.message)
        else:
            because = plan.reason or (
                "the task has independent parts" if plan.parallel else "one line will do"
            )
            run.decide(plan.parallel, "planner", because)
        finally:
            run.state.ledger.release(held)
        if not plan.parallel:
            threads.cancel("pruned")
            return await (direct.answer() if direct is not None else sequential(run, task))
        work.keep_only(plan)
        threads.close()
        return await work.merged()


async def _follow(run: Run, task: Task, plan: Plan) -> Answer:
    async with _open_threads(run) as threads:
        work = _Work(run, task, threads)
        for subtask in plan.subtasks:
            work.start(subtask)
        threads.close()
        return await work.merged()


class _Work:
    """The threads of one plan, from the first subtask to the merged answer."""

    def __init__(self, run: Run, task: Task, threads: Threads) -> None:
        self._run = run
        self._task = task
        self._threads = threads
        self._started: dict[str, tuple[Subtask, Thread]] = {}
        self._missing: list[str] = []

    def start(self, subtask: Subtask) -> None:
        """Start the subtask's thread, unless the same subtask of an earlier, invalid plan is under way."""
        if (known := self._started.get(subtask.id)) is not None:
            if known[0] == subtask:
                return
            known[1].cancel("pruned")
        try:
            thread = self._threads.start(self._task_of(subtask), id=subtask.id, after=subtask.depends_on)
        except BudgetExceeded as error:
            self._run.note(f"Subtask {subtask.label!r} was not started: {error.message}")
            self._missing.append(f"{subtask.label}: not started")
            return
        self._started[subtask.id] = (subtask, thread)

    def keep_only(self, plan: Plan) -> None:
        """Drop threads that a repaired plan no longer has."""
        for subtask, thread in self._started.values():
            if subtask not in plan.subtasks:
                thread.cancel("pruned")

    async def merged(self) -> Answer:
        """Wait for the threads, and merge what they found."""
        run, task = self._run, self._task
        try:
            await self._threads.join()
        except NoAnswer:
            run.note("No thread of the plan succeeded.")
        wanted = [t for t in self._threads.all if t.cancel_reason not in ("pruned", "not_needed")]
        findings = [t for t in wanted if t.finding is not None and t.state != "failed"]
        if not findings:
            run.decide(parallel=False, by="fallback", because="no thread of the plan found anything")
            return await sequential(run, task)
        lost = [f"{t.title}: {_how_lost(t)}" for t in wanted if t not in findings]
        return await synthesize(run, task, findings, missing=[*self._missing, *lost])

    def _task_of(self, subtask: Subtask) -> Task:
        agents = self._run.state.agents
        if subtask.agent and subtask.agent not in agents:
            self._run.note(
                f"The plan names an agent {subtask.agent!r} that does not exist; a worker does it."
            )
        return Task(
            prompt=subtask.prompt,
            title=subtask.label,
            agent=agents.get(subtask.agent or "", WORKER),
            tools=self._task.tools,
            max_tokens=None
            if subtask.max_tokens is None
            else int(max(LEAST_TOKENS, TOKEN_SLACK * subtask.max_tokens)),
        )


def _open_threads(run: Run) -> AbstractAsyncContextManager[Threads]:
    left = run.remaining.seconds
    if left is None:
        return run.fork(body=partial(adaptive))
    share, least, greatest = SYNTHESIS_SECONDS
    kept = min(max(share * left, least), greatest * left)
    return run.fork(body=partial(adaptive), deadline=run.deadline - kept)


def _tokens_for_synthesis(run: Run) -> int:
    share, most = SYNTHESIS_TOKENS
    left = run.remaining.tokens
    return 0 if left is None else min(most, int(share * left))


def _cannot_fork(run: Run) -> str:
    left = run.remaining
    if left.depth == 0:
        return "threads may not fork any deeper"
    if left.threads is not None and left.threads < 2:  # noqa: PLR2004 - one thread is no fork
        return "the budget of threads is used up"
    return ""


def _how_lost(thread: Thread) -> str:
    if thread.error is not None:
        return f"{thread.state} ({getattr(thread.error, 'message', thread.error)})"
    return f"{thread.state} ({thread.cancel_reason})" if thread.cancel_reason else thread.state
