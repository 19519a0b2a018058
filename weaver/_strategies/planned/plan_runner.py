"""Following a plan: its threads, from the first subtask to the merged answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from weaver._coordination.conflicts.briefing import briefing, contradicted, with_open_points
from weaver._coordination.conflicts.claims import claiming
from weaver._coordination.conflicts.policies.positions import Policy
from weaver._coordination.conflicts.resolve import settle_conflicts
from weaver._coordination.joins.pruning import same_work
from weaver._data.plan import YOUR_PART, Plan, Subtask
from weaver._data.result import Answer, Conflict
from weaver._data.task import Agent, Task
from weaver._planning.features import TaskFeatures
from weaver._planning.replanner import make_replan
from weaver._runtime.run import Run
from weaver._runtime.state.thread import Thread
from weaver._runtime.threads.group import Threads
from weaver._runtime.threads.join_protocol import JoinRule, Pruner
from weaver._runtime.threads.thread_options import Body, Hedge
from weaver._strategies.common.telling import AllTold, Telling
from weaver._strategies.sequential import sequential
from weaver._synthesis.choice import NAMED, auto, chosen, name_of
from weaver._synthesis.merge import Merge, MergeInOrder, Parts
from weaver._tools.protocol import Tool
from weaver.errors import (
    BadRequestError,
    BudgetExceededError,
    InvalidPlanError,
    ModelConnectionError,
    ModelError,
    NoAnswerError,
)
from weaver.events import AnswerDelta

WORKER = Agent("worker")
WORK = (
    "Answer the task below completely. Keep to the length and the form that it asks for; where it asks for "
    "none, be brief."
)
"""Guidance for threads that the plan gives to no agent."""
LEAST_TOKENS = 128
"""Planners underestimate; no thread gets less room than this."""
TOKEN_SLACK = 1.5
SYNTHESIS_TOKENS = (0.2, 2000)
"""Share of the token budget that is kept for the synthesis, and the most tokens."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How a plan is followed.

    Args:
        body: what its threads do.
        ladder: policies that settle conflicts, in order; None: threads are not compared.
        compare_listed: threads of parts that are items of a list are compared too; it costs each the
            tokens of its claims.
        strict: a conflict that stays open makes the answer incomplete.
        replans: how often the planner may be asked to replace lost subtasks.
        hedge: second attempts for stragglers, or None.
        prune: drops threads that a finding has made unnecessary, or None.
        merge: makes one answer of what the threads found.
    """

    body: Body
    ladder: tuple[Policy, ...] | None = None
    compare_listed: bool = False
    strict: bool = False
    replans: int = 1
    hedge: Hedge | None = None
    prune: Pruner | None = same_work
    merge: Merge = auto

    def open_threads(self, run: Run) -> AbstractAsyncContextManager[Threads]:
        """Open a fork for a plan's threads, with time kept for the synthesis."""
        return run.fork(hedge=self.hedge, deadline_at=run.context.time.threads_deadline_at)


@dataclass(frozen=True, slots=True)
class Begun:
    """A subtask whose thread was started; ``name`` and ``after`` are names within the fork."""

    subtask: Subtask
    thread: Thread
    name: str
    after: tuple[str, ...]


class Following:
    """The threads of one plan at work. Tokens for the synthesis are set aside from the beginning.

    A plan that turns out not to be valid is written again (`restart`). Threads go on where the new plan has
    the same subtask after the same subtasks; the others get their own names, since both may have run.
    """

    def __init__(
        self,
        run: Run,
        task: Task,
        threads: Threads,
        manner: Manner,
        *,
        on_found: Callable[[], None] | None = None,
    ) -> None:
        self._run = run
        self._on_found = on_found
        self._task = task
        self._threads = threads
        self._manner = manner
        self._begun: dict[str, Begun] = {}
        self._earlier: dict[str, Begun] = {}
        self._names: dict[str, str] = {}
        self._attempt = 1
        self._not_started: list[str] = []
        share, maximum = SYNTHESIS_TOKENS
        available = run.remaining.tokens
        self._held = run.context.ledger.hold(0 if available is None else min(maximum, int(share * available)))

    def start(self, subtask: Subtask) -> None:
        """Start the subtask's thread, unless that of an invalid plan before can go on."""
        promised = subtask.id in self._names
        after = tuple(map(self._name, subtask.depends_on))
        if (earlier := self._earlier.pop(subtask.id, None)) is not None:
            if not promised and (earlier.subtask, earlier.after) == (subtask, after):
                self._begun[subtask.id] = earlier
                self._names[subtask.id] = earlier.name
                return
            earlier.thread.cancel("pruned")
        name = self._name(subtask.id)
        try:
            body = self._body_of(subtask)
            if self._on_found is not None:
                body = partial(_and_then, body, self._on_found)
            thread = self._threads.start(self._task_of(subtask), id=name, after=after, body=body)
        except BudgetExceededError as error:
            self._run.note(f"Subtask {subtask.label!r} was not started: {error.message}")
            self._not_started.append(f"{subtask.label}: not started")
            return
        self._begun[subtask.id] = Begun(subtask, thread, name, after)

    def restart(self) -> None:
        """The plan is not valid, and is written again from its beginning."""
        self._earlier |= self._begun
        self._begun, self._names, self._attempt = {}, {}, self._attempt + 1
        self._not_started.clear()

    def _name(self, subtask: str) -> str:
        """Return what the thread of a subtask of the present plan is called, also before it is started."""
        return self._names.setdefault(
            subtask, subtask if self._attempt == 1 else f"{subtask}~{self._attempt}"
        )

    def as_far_as_written(self) -> Plan:
        """The plan of a planner that was cut: the subtasks it had written, if any."""
        self._begun = self._earlier | self._begun
        subtasks = tuple(begun.subtask for begun in self._begun.values())
        if not subtasks:
            self._run.note("The planner took too long; the task is answered directly.")
            return Plan(parallel=False, reason="the planner took too long")
        self._run.note(
            f"The planner took too long; the {len(subtasks)} subtasks it had written are followed."
        )
        self._not_started.append("parts that the planner had not written yet")
        plan = Plan(parallel=True, reason="as far as it was written", subtasks=subtasks)
        if self._run.context.parent is None:
            self._run.context.state.plan = plan
        return plan

    def planned(self) -> None:
        """The plan is complete: drop threads that only the invalid ones before had."""
        for begun in self._earlier.values():
            begun.thread.cancel("pruned")
        self._earlier.clear()

    def drop(self) -> None:
        """The plan is not followed: stop its threads."""
        self._threads.cancel("pruned")
        self._run.context.ledger.release(self._held)

    async def answer(self, plan: Plan) -> Answer:
        """Wait for the threads, replan what was lost, settle conflicts, and merge what was found."""
        run, manner = self._run, self._manner
        place = {subtask.id: i for i, subtask in enumerate(plan.subtasks)}
        # A part that waits for a later one starts after it; the answer keeps the plan's order.
        self._begun = dict(sorted(self._begun.items(), key=lambda begun: place.get(begun[0], len(place))))
        merge = chosen(manner.merge, self._task, plan)
        rule: JoinRule | None = None
        if isinstance(merge, MergeInOrder) and run.context.parent is None and len(self._begun) > 1:
            parts_in_order = [begun.thread for begun in self._begun.values()]
            rule = AllTold(Telling(run, merge, parts_in_order, self._is_part))
        await self._finished(self._threads, rule)
        needed_threads = self._wanted()
        for _ in range(manner.replans):
            failed = [t for t in needed_threads if not self._found(t)]
            if not failed or not _worth_replanning(run, failed):
                break
            usable = [t for t in needed_threads if self._found(t)]
            added = await self._replanned(plan, usable, failed)
            needed_threads = [*usable, *added] if added else needed_threads
            if not added:
                break
        findings = [t for t in needed_threads if self._found(t)]
        failed = [t for t in needed_threads if not self._found(t)]
        if not findings:
            run.context.ledger.release(self._held)
            run.note("No thread of the plan found anything; the task is answered directly.")
            because = "no thread of the plan found anything"
            run.decide(parallel=False, by="fallback", because=because, features=TaskFeatures(self._task))
            return await sequential(run, self._task)
        conflicts: tuple[Conflict, ...] = ()
        if manner.ladder is not None and len(findings) > 1:
            conflicts = await settle_conflicts(run, findings, ladder=manner.ladder)
        run.context.ledger.release(self._held)
        missing = [*self._not_started, *(f"{t.title}: {_how_lost(t)}" for t in failed)]
        whole = len(self._begun) == 1
        parts = Parts(plan, findings, missing, conflicts, briefing(conflicts), whole)
        run.context.log_decision(
            "merge",
            name_of(merge),
            *NAMED,
            policy="merge/1",
            because="the user"
            if manner.merge is not auto
            else "the output type, the task's words or the plan",
            features={"parts": float(len(findings)), "lost": float(len(failed))},
        )
        answer = await merge(run, self._task, parts)
        if name_of(merge) == "write" and (wrong := self._contradicted(answer, conflicts)):
            run.note(
                f"The synthesis contradicted what was settled about {'; '.join(wrong)}; it was asked again."
            )
            note = (
                f"{parts.settled}\n\nAn earlier answer got this wrong, do not repeat it: {'; '.join(wrong)}."
            )
            answer = await merge(run, self._task, replace(parts, settled=note, whole=False))
        return self._respecting(conflicts, answer)

    def _contradicted(self, answer: Answer, conflicts: Sequence[Conflict]) -> list[str]:
        """Return what the answer says otherwise than it was settled, in words."""
        if answer.output is not None:
            return []
        return [
            f"{c.subject} {c.attribute}".strip() + f" was settled as: {c.resolution.value}"
            for c in contradicted(answer.text, conflicts)
            if c.resolution is not None
        ]

    def _respecting(self, conflicts: Sequence[Conflict], answer: Answer) -> Answer:
        """The answer, with open points said and settled values set right, whatever the synthesizer wrote."""
        whole = with_open_points(answer, conflicts, strict=self._manner.strict)
        for right in self._contradicted(whole, conflicts):
            self._run.note(f"The synthesis contradicted what was settled, again; this was added: {right}.")
            whole = replace(whole, text=f"{whole.text}\n\n{right}.")
        if whole.text != answer.text and self._run.context.parent is None:
            self._run.emit(AnswerDelta(whole.text.removeprefix(answer.text)))
        return whole

    async def _replanned(
        self, plan: Plan, findings: Sequence[Thread], lost: Sequence[Thread]
    ) -> list[Thread]:
        run = self._run
        try:
            added = await make_replan(run, self._task, plan, findings, lost)
        except (InvalidPlanError, ModelError, BudgetExceededError) as error:
            run.note(f"What was lost could not be planned anew: {error.message}")
            return []
        if added is None:
            return []
        async with self._manner.open_threads(run) as threads:
            again = Following(run, self._task, threads, self._manner)
            run.context.ledger.release(again._held)
            for subtask in added.subtasks:
                again.start(subtask)
            threads.close()
            await self._finished(threads)
            return again._wanted()

    def _body_of(self, subtask: Subtask) -> Body:
        manner = self._manner
        # Parts that were put together are answered together: that was decided.
        body = _answer if subtask.parts else manner.body
        compared = manner.ladder is not None and (manner.compare_listed or not subtask.is_listed)
        return claiming(body) if compared else body

    async def _finished(self, threads: Threads, rule: JoinRule | None = None) -> None:
        try:
            await threads.join(rule, prune=self._manner.prune)
        except NoAnswerError as error:
            self._run.note(error.message)

    def _wanted(self) -> list[Thread]:
        threads = [begun.thread for begun in self._begun.values()]
        return [t for t in threads if t.cancel_reason not in ("pruned", "not_needed")]

    def _is_part(self, thread: Thread) -> bool:
        return thread.cancel_reason not in ("pruned", "not_needed") and self._found(thread)

    def _found(self, thread: Thread) -> bool:
        return thread.finding is not None and thread.state != "failed"

    def _task_of(self, subtask: Subtask) -> Task:
        agents = self._run.context.state.agents
        if subtask.agent and subtask.agent not in agents:
            self._run.note(
                f"The plan names an agent {subtask.agent!r} that does not exist; a worker does it."
            )
        room = subtask.max_tokens
        agent = agents.get(subtask.agent or "", WORKER)
        part = Task(
            prompt=subtask.prompt,
            title=subtask.label,
            output=self._task.output if name_of(self._manner.merge) == "data" else None,
            agent=agent,
            guidance=WORK if agent is WORKER else "",
            tools=self._tools_of(subtask),
            max_tokens=None if room is None else int(max(LEAST_TOKENS, TOKEN_SLACK * room)),
            # A part of the whole task must not be taken apart again because the whole has parts.
            user_question=subtask.label if subtask.is_listed or YOUR_PART in subtask.prompt else "",
        )
        return part.within(self._task)

    def _tools_of(self, subtask: Subtask) -> tuple[Any, ...]:
        """The task's tools that the plan names for this part; all where it names none that there is."""
        if not subtask.tools:
            return self._task.tools
        tools = {tool.spec.name: tool for tool in self._task.tools if isinstance(tool, Tool)}
        agent = self._run.context.state.agents.get(subtask.agent or "")
        tools_of_agent = () if agent is None else agent.tools
        own = {tool.spec.name for tool in tools_of_agent if isinstance(tool, Tool)}
        if unknown := [name for name in subtask.tools if name not in tools and name not in own]:
            self._run.note(
                f"The plan names tools for {subtask.label!r} that do not exist: "
                f"{', '.join(map(repr, unknown))}."
            )
            if len(unknown) == len(subtask.tools):
                return self._task.tools
        return tuple(tools[name] for name in subtask.tools if name in tools)


def _answer(run: Run, task: Task) -> Awaitable[Answer]:
    return run.reason(task)


async def _and_then(body: Body, on_found: Callable[[], None], run: Run, task: Task) -> Answer:
    answer = await body(run, task)
    on_found()
    return answer


def _worth_replanning(run: Run, lost: Sequence[Thread]) -> bool:
    """Not where a new plan would meet the same end: limits, the clock, or a model that cannot be reached."""
    if any(t.cancel_reason in ("budget", "deadline", "user", "parent") for t in lost):
        return False
    if any(isinstance(t.error, (ModelConnectionError, BadRequestError)) for t in lost):
        return False
    return not any((run.remaining.calls == 0, run.remaining.threads == 0, run.remaining.depth == 0))


def _how_lost(thread: Thread) -> str:
    if thread.error is not None:
        return f"{thread.state} ({getattr(thread.error, 'message', thread.error)})"
    return f"{thread.state} ({thread.cancel_reason})" if thread.cancel_reason else thread.state
