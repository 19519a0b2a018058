"""A thread's place in the run: who it is, what it may spend, where it is on the longest path."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

from weaver._data.budget import Limits, Remaining
from weaver._data.decisions import DecisionKind, LoggedDecision, Reward, RewardSource, certain
from weaver._data.result import Answer, CancelReason, DecidedBy, Forecast
from weaver._data.task import Task
from weaver._models.protocol import Model
from weaver._runtime.limits.budget_ledger import Ledger
from weaver._runtime.limits.time_budget import TimeBudget
from weaver._runtime.state.decision_log import vote
from weaver._runtime.state.names import Names
from weaver._runtime.state.recorded_errors import dump_error, error_from
from weaver._runtime.state.run_state import ANSWERING, RunState
from weaver._runtime.state.thread import OpenCall, Thread
from weaver._tracing.record import semconv as sc
from weaver.errors import BudgetExceededError, ModelError, ToolError
from weaver.events import Event

if TYPE_CHECKING:
    from opentelemetry.trace import Span

T = TypeVar("T")


class ThreadContext:
    """One thread's place in the run. The root of a run has one, and so has every thread below it.

    Attributes:
        state: what all threads of the run share.
        path: structural path: ``""`` for the root, ``s2``, ``s2/t1``.
        depth: 0 for the root.
        deadline_at: event-loop time by which this thread must be done, or infinity.
        task: what this thread works on.
        ledger: what it and all that it forks may spend.
        clock: the scope that ends this attempt when its time is up.
        own_model: a model for this attempt alone, instead of its role's.
        offered: the best answer so far, see `offer`.
        read_untrusted: whether it has read text that others may have written: a tool's result, or the result
            of a thread that has.
    """

    def __init__(
        self,
        state: RunState,
        span: Span,
        task: Task,
        *,
        thread: Thread | None = None,
        parent: ThreadContext | None = None,
        deadline_at: float = float("inf"),
    ) -> None:
        self.state = state
        self.span = span
        self.task = task
        self.thread = thread
        self.parent = parent
        self.deadline_at = deadline_at
        self.path: str = thread.id if thread is not None else ""
        self.depth: int = parent.depth + 1 if parent is not None else 0
        self.open_calls: list[OpenCall] = []
        self.path_tokens: int = thread.path_tokens if thread is not None else 0
        self.path_seconds: float = thread.path_seconds if thread is not None else 0.0
        self.ledger: Ledger = parent.ledger if parent is not None else state.ledger
        self.lost_race = False
        self.own_model: Model | None = None
        self.clock: anyio.CancelScope | None = None
        self.offered: Answer | None = None
        self.read_untrusted: bool = False if parent is None else parent.read_untrusted
        self._call_span: Span | None = None
        self._last_text = ""
        self._said_before = ""
        self._names = Names()
        self._random: random.Random | None = None

    # ---- who and where

    @property
    def id(self) -> str:
        """The run's id, the same in all its threads."""
        return self.state.id

    @property
    def thread_id(self) -> str | None:
        """The thread's id, or None in the root."""
        return self.thread.id if self.thread is not None else None

    @property
    def random(self) -> random.Random:
        """Randomness that depends on the run's seed and this path only."""
        if self._random is None:
            self._random = self.state.random_for(self.path)
        return self._random

    @property
    def temperature(self) -> float | None:
        """The task's sampling temperature, else the run's."""
        return self.task.temperature if self.task.temperature is not None else self.state.temperature

    @property
    def seed(self) -> int | None:
        """The task's sampling seed, else the run's."""
        return self.task.seed if self.task.seed is not None else self.state.seed

    @property
    def instructions(self) -> tuple[str, ...]:
        """Instructions for every model call of this thread: the run's, its ancestors', its own."""
        if self.parent is not None:
            inherited = self.parent.instructions
        else:
            inherited = (self.state.instructions,) if self.state.instructions else ()
        own = self.task.instructions
        return tuple(dict.fromkeys((*inherited, *own))) if own else inherited

    @property
    def time(self) -> TimeBudget:
        """The time that this thread has left."""
        return TimeBudget(self.deadline_at)

    @property
    def remaining(self) -> Remaining:
        """Return what is left of the limits, and of this thread's time."""
        ledger, depth = self.ledger, self.state.limits.depth
        return Remaining(
            seconds=self.time.left,
            tokens=ledger.tokens_left,
            cost_usd=ledger.cost_left,
            calls=ledger.calls_left,
            threads=ledger.threads_left,
            depth=None if depth is None else max(0, depth - self.depth),
        )

    @property
    def text_so_far(self) -> str:
        """This thread's text, complete or not: that of its latest call meant as an answer.

        What it said before stands in front of it while it is being concluded (`concluding`).
        """
        answering = [c for c in self.open_calls if c.reply.role in ANSWERING]
        latest = answering[-1].text_so_far if answering else self._last_text
        return "\n\n".join(filter(None, (self._said_before, latest)))

    def words(self) -> str:
        """Return `text_so_far`."""
        return self.text_so_far

    def concluding(self, said: str) -> None:
        """Keep the text so far until the conclusion is complete; then pass ""."""
        self._said_before = said
        if said:
            self._last_text = ""

    @property
    def why_cancelled(self) -> CancelReason:
        """The reason that things below this thread are cancelled with when it is."""
        if self.state.cancel_reason is not None:
            return self.state.cancel_reason
        if self.lost_race:
            return "lost_race"
        if self.thread is not None and self.thread.cancel_reason in ("deadline", "budget", "user"):
            return self.thread.cancel_reason
        if self.time.is_over:
            return "deadline"
        return "parent"

    def model(self, role: str = "thread") -> Model:
        """The model of a role: the agent's own for threads, else the run's."""
        agent = self.task.agent if role == "thread" else None
        own = self.state.models.get(f"agent/{agent.name}") if agent is not None else None
        return (self.own_model if role == "thread" else None) or own or self.state.model_for(role)

    def limit(self, limits: Limits, whose: str) -> None:
        """Hold this thread, and all that it will fork, to ``limits`` within those that hold already.

        Args:
            limits: ``depth`` is not looked at.
            whose: what messages call this thread.
        """
        self.ledger = Ledger(limits, outer=self.ledger, whose=whose)

    def check_depth(self) -> None:
        """Refuse to fork deeper than the limit.

        Raises:
            BudgetExceededError: this thread is as deep as threads may be.
        """
        deepest = self.state.limits.depth
        if deepest is not None and self.depth >= deepest:
            raise BudgetExceededError(
                f"Threads may fork {deepest} deep, and {self.path or 'the root'} is at depth {self.depth}.",
                limit="depth",
                hint="Raise max_depth.",
            )

    # ---- record

    async def step(self, name: str, function: Callable[[], Awaitable[T]]) -> T:
        """Run ``function`` once per journal; a resumed run gets the recorded JSON value instead."""
        return await self.recorded_step(self.key(name), function)

    async def recorded_step(self, key: str, function: Callable[[], Awaitable[T]]) -> T:
        """`step`, under a structural key that was made before."""
        record = self.state.record
        if record is None:
            return await function()
        if (entry := record.find(key)) is not None:
            await record.arrive(entry)
            if entry.kind == "error":
                raise error_from(entry.value)
            recorded: T = entry.value
            return recorded
        await self.replayed()
        try:
            value = await function()
        except (ModelError, ToolError) as error:
            await record.add(key, "error", dump_error(error))
            raise
        await record.add(key, "ok", value)
        return value

    def time_out(self, text: str) -> None:
        """End this thread's attempt as one whose time is up, having said ``text``."""
        self._last_text = text
        if self.clock is not None:
            self.clock.cancel()

    async def replayed(self) -> None:
        """Wait, before something that costs anything, until all that is recorded has been replayed.

        A thread that is recorded to have run out of its time, or to have lost, does so here, and does not
        come back.
        """
        record = self.state.record
        if record is None or record.over.is_set():
            return
        scope: ThreadContext | None = self
        while scope is not None:
            ended = record.timed_out(scope.path) if scope.thread is not None else None
            if ended is not None:
                scope.time_out(ended.get("text", ""))
                await anyio.sleep_forever()
            await scope.lose_again()
            scope = scope.parent
        await record.over.wait()

    async def lose_again(self) -> None:
        """Cancel this thread, and do not come back, if it is recorded to have been cancelled before."""
        record, thread = self.state.record, self.thread
        if record is None or thread is None:
            return
        if (reason := await record.lost(thread.id)) is not None:
            thread.cancel(reason)
            await anyio.sleep_forever()

    async def verdict(self, name: str, value: Any) -> Any:
        """Record a decision (JSON); a resumed run gets the recorded one.

        Raises:
            JournalError: it cannot be recorded.
        """
        record = self.state.record
        if record is None:
            return value
        key = self.key(f"verdict/{name}")
        if (entry := record.find(key)) is not None:
            await record.arrive(entry)
            return entry.value
        await record.add(key, "verdict", value)
        return value

    def emit(self, event: Event) -> None:
        """Hand an event to whoever listens."""
        self.state.emit(event)

    def note(self, text: str) -> None:
        """Record a fallback or degradation, in words."""
        self.state.note(text)

    def log_decision(
        self,
        kind: DecisionKind,
        chosen: str,
        *others: str,
        policy: str,
        because: str = "",
        features: Mapping[str, float] | None = None,
    ) -> None:
        """Record another decision, made without chance.

        Args:
            chosen, others: names of what was considered; no text of a model.
            policy: name and version of what decides.
        """
        arms = certain(chosen, *others)
        at = self.state.decisions.now()
        self.log(
            LoggedDecision(
                kind, chosen, arms, policy, because, self.path, at, {} if features is None else features
            )
        )

    def log(
        self,
        decision: LoggedDecision,
        *,
        parallel: bool | None = None,
        by: DecidedBy = "policy",
        forecast: Forecast | None = None,
    ) -> None:
        self.state.decisions.add(decision)
        self.state.tracing.decisions.record(self.span, decision, parallel=parallel, by=by, forecast=forecast)

    def reward(self, value: float, source: RewardSource, name: str = "correctness") -> None:
        """Record how good the run's answer is, by a verifier or a judge; not by who wrote it.

        Args:
            value: 0 to 1; values outside are moved to the nearer end.
        """
        reward = Reward(min(1.0, max(0.0, float(value))), source, name)
        self.state.decisions.rewards.append(reward)
        self.state.tracing.decisions.reward(self.span, reward)

    def voted(self, counts: Sequence[int], share: float) -> None:
        """Record a vote's outcome: ballots per answer, the winner's first, and its part of the weight."""
        self.state.tracing.event(
            self.span, sc.EVENT_VOTE, {sc.VOTE_COUNTS: tuple(counts), sc.VOTE_SHARE: share}
        )
        if counts:
            at = self.state.decisions.now()
            self.log(replace(vote(counts, share), thread=self.path, at_seconds=at))

    def waited_for_prefix(self, seconds: float) -> None:
        """Record that a call was held back until one that begins alike had been read."""
        self.state.tracing.event(
            self.call_span, sc.EVENT_PREFIX_WAIT, {sc.PREFIX_WAIT_MS: round(seconds * 1000, 3)}
        )

    def offer(self, answer: Answer) -> None:
        """The best answer so far, for the case that the strategy is cut before it is done.

        The root's is used if the run's deadline comes; a thread's by whoever cut its time.
        """
        self.offered = answer
        if self.parent is None:
            self.state.offered = answer

    # ---- for the runtime

    @contextmanager
    def under(self, span: Span) -> Generator[None]:
        """Open calls of this thread under ``span`` in this block (of a plan, a synthesis, a step)."""
        outer, self._call_span = self._call_span, span
        try:
            yield
        finally:
            self._call_span = outer

    @property
    def call_span(self) -> Span:
        """The span that a new call hangs under."""
        return self._call_span or self.span

    @property
    def path_so_far(self) -> tuple[int, float]:
        """Tokens and seconds on the longest chain that leads up to this moment."""
        tokens, seconds = self.path_tokens, self.path_seconds
        for call in self.open_calls:
            tokens = max(tokens, call.path_tokens + call.tokens_so_far)
            seconds = max(seconds, call.path_seconds + call.seconds_so_far)
        return tokens, seconds

    def call_began(self, call: OpenCall) -> None:
        """A call of this thread has been sent."""
        call.path_tokens, call.path_seconds = self.path_tokens, self.path_seconds
        self.open_calls.append(call)

    def call_ended(self, call: OpenCall) -> None:
        """Take a finished call out of the open ones, and lengthen the path by it."""
        if call in self.open_calls:
            self.open_calls.remove(call)
        reply = call.reply
        if reply.role in ANSWERING:
            self._last_text = reply.text
        self.path_tokens = max(self.path_tokens, call.path_tokens + reply.usage.output_tokens)
        self.path_seconds = max(self.path_seconds, call.path_seconds + reply.seconds)

    def worked(self, seconds: float) -> None:
        """Something other than a model call (a tool) took this long on this thread's path."""
        self.path_seconds += seconds

    def joined(self, thread: Thread) -> None:
        """This thread has waited for ``thread``: what it did is on the path."""
        self.path_tokens = max(self.path_tokens, thread.path_tokens)
        self.path_seconds = max(self.path_seconds, thread.path_seconds)
        if thread.read_untrusted:
            self.has_read_untrusted()

    def has_read_untrusted(self) -> None:
        """This thread has read text that others may have written."""
        self.read_untrusted = True
        if self.thread is not None:
            self.thread.read_untrusted = True

    def for_thread(self, thread: Thread, *, deadline_at: float) -> ThreadContext:
        """Return the context of a thread below this one, with its span open."""
        span = self.state.tracing.threads.start(
            self.span,
            id=thread.id,
            title=thread.task.title,  # not its label: that may be the prompt itself
            agent=thread.task.agent.name if thread.task.agent else "thread",
            depth=thread.depth,
            depends_on=thread.depends_on,
            prompt=thread.task.question,
        )
        below = ThreadContext(
            self.state, span, thread.task, thread=thread, parent=self, deadline_at=deadline_at
        )
        thread.span, thread.saying = span, below.words
        thread.open_calls = below.open_calls
        return below

    def second_attempt(self, span: Span, model: Model | None) -> ThreadContext:
        """Return a context for a second attempt at this thread's work, on ``model`` if one is given."""
        again = ThreadContext(
            self.state, span, self.task, thread=self.thread, parent=self.parent, deadline_at=self.deadline_at
        )
        again.path = f"{self.path}~hedge"
        again.ledger = self.ledger
        again.own_model = model
        return again

    def close(self) -> None:
        """End the thread's span."""
        if self.thread is not None:
            self.thread.path_tokens, self.thread.path_seconds = self.path_tokens, self.path_seconds
            tracing = self.state.tracing
            if tracing.records(self.span):
                tracing.threads.end(self.span, self.thread.report(self.state.started), self.thread.error)

    def thread_path(self, prefix: str, id_: str | None) -> str:
        """Return a path for a new thread that no other thread has; ``id_`` is the plan's, or None."""
        return self._below(self._names.thread(prefix, id_))

    def key(self, name: str) -> str:
        """Return the structural key of a step of this thread; repeated names are numbered in order."""
        return self._below(self._names.key(name))

    def _below(self, name: str) -> str:
        return f"{self.path}/{name}" if self.path else name
