"""The handle that strategies and threads are written with."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, TypeVar, overload

from weaver._data.budget import Limits, Remaining
from weaver._data.decisions import Arm, LoggedDecision, RewardSource
from weaver._data.result import Answer, DecidedBy, Decision, Forecast
from weaver._data.task import Task
from weaver._display import one_line
from weaver._models.protocol import Capabilities, Request
from weaver._models.reply import Reply
from weaver._runtime.calls.call import Call
from weaver._runtime.calls.model_calls import Listen, as_request
from weaver._runtime.default_body import reason
from weaver._runtime.output.asking import Asking
from weaver._runtime.output.structured_output import Shape
from weaver._runtime.state.context import ThreadContext
from weaver._runtime.state.decision_log import both_ways
from weaver._runtime.threads.group import Threads, open_fork
from weaver._runtime.threads.thread_options import Body, Hedge, OnError, OnTimeout, Terms
from weaver.errors import NoAnswerError
from weaver.events import Decided, Event

if TYPE_CHECKING:
    from typing_extensions import TypeForm, TypeIs

T = TypeVar("T")


class Run:
    """One thread's handle on the runtime. The root of a run has one, and so has every thread below it.

    Ask models with `call`, `think`, `parsed` and `reason`. Start threads with `fork` and `child`. Record with
    `step`, `verdict`, `emit`, `note`, `decide`, `offer` and `reward`.

    Attributes:
        context: who this thread is and what it may spend; for the runtime and for strategies of Weaver.
    """

    __slots__ = ("context",)

    def __init__(self, context: ThreadContext) -> None:
        self.context = context

    def __repr__(self) -> str:
        where = f"thread {self.path}" if self.path else "its root"
        return f"<Run {self.id} at {where}: {one_line.quoted(self.context.task.label)}>"

    @property
    def id(self) -> str:
        """The run's id, the same in all its threads."""
        return self.context.state.id

    @property
    def path(self) -> str:
        """The structural path of this thread: ``""`` for the root, ``s2``, ``s2/t1``."""
        return self.context.path

    @property
    def depth(self) -> int:
        """The number of threads above this one; 0 in the root."""
        return self.context.depth

    @property
    def random(self) -> random.Random:
        """Randomness that depends on the run's seed and this path only."""
        return self.context.random

    @property
    def remaining(self) -> Remaining:
        """The rest of the limits, and of this thread's time."""
        return self.context.remaining

    # ---- ask models

    async def capabilities(self, role: str = "thread") -> Capabilities:
        """Return what the model of a role can do."""
        return await self.context.model(role).capabilities()

    def call(self, request: Request | str, *, role: str = "thread", name: str = "call") -> Call:
        """Open a model call as a stream: ``async with run.call(...) as call: async for delta in call: ...``.

        Args:
            role: whose model answers: ``planner``, ``thread``, ``judge`` or ``synthesizer``.
            name: structural name within this thread; repeated names are numbered in order.
        """
        return Call(self.context, as_request(request), role=role, name=self.context.key(name))

    async def think(
        self,
        request: Request | str,
        *,
        role: str = "thread",
        name: str = "call",
        listen: Listen | None = None,
    ) -> Reply:
        """Make one model call and read it to its end.

        Args:
            listen: called with each delta as it arrives.

        Raises:
            ModelError: the call failed.
            BudgetExceededError: there is no room for it; nothing was sent.
        """
        async with self.call(request, role=role, name=name) as call:
            if listen is None:
                async for _ in call:
                    pass
            else:
                async for delta in call:
                    listen(delta)
        return call.reply

    @overload
    async def parsed(
        self, request: Request | str, shape: Shape[T], *, role: str = "judge", name: str = "call"
    ) -> T: ...
    @overload
    async def parsed(
        self, request: Request | str, shape: TypeForm[T], *, role: str = "judge", name: str = "call"
    ) -> T: ...
    async def parsed(
        self, request: Request | str, shape: Any, *, role: str = "judge", name: str = "call"
    ) -> Any:
        """Make a model call and validate its output, with at most two repairs that quote what was wrong.

        Args:
            shape: the type of the value, as for `Weaver.run`, or a `Shape`.

        Raises:
            InvalidOutputError: it still does not fit after the repairs.
        """
        context = self.context
        fitting = _shape_of(shape)
        asking = Asking(
            as_request(request),
            fitting.schema,
            await self.capabilities(role),
            context.model(role),
            context.note,
        )

        async def ask(request: Request) -> Reply:
            return await self.think(request, role=role, name=name)

        value, _ = await asking.fitted(fitting, await asking.ask(ask), ask)
        return value

    def reason(self, task: Task, *, role: str = "thread", listen: Listen | None = None) -> Awaitable[Answer]:
        """Work on ``task`` in this thread: model calls, tools, a conclusion near the limits, typed output.

        Raises:
            ModelError, BudgetExceededError, InvalidOutputError, EmptyReplyError: no answer came of it.
        """
        return reason(self, task, role=role, listen=listen)

    # ---- start threads

    def fork(
        self,
        tasks: Iterable[Task | str] = (),
        *,
        body: Body | None = None,
        name: str = "t",
        timeout: float | None = None,
        deadline_at: float | None = None,
        on_error: OnError = "keep",
        on_timeout: OnTimeout = "partial",
        fallback: Body | None = None,
        hedge: Hedge | None = None,
    ) -> AbstractAsyncContextManager[Threads]:
        """Start threads in a block; leaving the block cancels those that still run.

        Args:
            tasks: started at once, a text as the question of a task; the fork is then closed. Without tasks,
                use `Threads.start`.
            body: what each thread does, with the signature of a strategy; by default `Run.reason`.
            name: prefix of thread ids.
            timeout: seconds for each thread; the run's ``thread_timeout`` by default.
            deadline_at: event-loop time at which all of them are stopped; at most this run's.
            on_error, on_timeout, fallback, hedge: see `weaver._runtime.threads.thread_options.Terms`.
        """
        context = self.context
        terms = Terms(
            body=body or reason,
            timeout=timeout if timeout is not None else context.state.thread_timeout,
            deadline_at=min(context.deadline_at, float("inf") if deadline_at is None else deadline_at),
            on_error=on_error,
            on_timeout=on_timeout,
            fallback=fallback,
            hedge=hedge,
        )
        return open_fork(self, tasks, terms=terms, name=name)

    async def child(self, task: Task | str, body: Body | None = None) -> Answer:
        """Start one thread and wait for it.

        Raises:
            NoAnswerError: it did not succeed; its own error is the cause.
        """
        async with self.fork([task], body=body, name="child") as threads:
            async for thread in threads.as_finished():
                if thread.state != "succeeded" or thread.answer is None:
                    raise NoAnswerError(f"Thread {thread.id} ended as {thread.state}.") from thread.error
                return thread.answer
        raise NoAnswerError("The thread was never started.")

    def limit(self, limits: Limits, whose: str) -> None:
        """Apply more limits to this thread and all that it forks. Limits that apply already still do.

        Args:
            limits: ``depth`` is ignored.
            whose: what messages call this thread.
        """
        self.context.limit(limits, whose)

    # ---- record

    async def step(self, name: str, function: Callable[[], Awaitable[T]]) -> T:
        """Run ``function`` once per journal; a resumed run gets the recorded JSON value instead."""
        return await self.context.step(name, function)

    async def verdict(self, name: str, value: Any) -> Any:
        """Record a decision (JSON) in the journal; a resumed run gets the recorded one.

        Raises:
            JournalError: it cannot be recorded.
        """
        return await self.context.verdict(name, value)

    def emit(self, event: Event) -> None:
        """Publish an event to the run's listeners."""
        self.context.state.emit(event)

    def note(self, text: str) -> None:
        """Record a fallback or degradation, in words, for the result's reader."""
        self.context.state.note(text)

    def decide(
        self,
        parallel: bool,
        by: DecidedBy,
        because: str,
        forecast: Forecast | None = None,
        policy: str = "",
        *,
        features: Mapping[str, float] | None = None,
        arms: Sequence[Arm] = (),
        chosen: str = "",
    ) -> None:
        """Record whether the run forks, who says so and why.

        Args:
            forecast: what was predicted; without one, that of the run's earlier decision stays.
            policy: name and version of the policy that was asked; likewise.
            features: what it read of the task.
            arms: what was considered; by default a direct answer and a fork, without chance.
            chosen: which of them; by default ``fork`` or ``direct``.
        """
        context, state = self.context, self.context.state
        if context.parent is None:
            if (earlier := state.decision) is not None:
                forecast, policy = forecast or earlier.forecast, policy or earlier.policy
            considered = tuple((arm.name, arm.propensity) for arm in arms or both_ways(parallel, None))
            state.decision = Decision(parallel, by, because, forecast, policy, considered)
            self.emit(Decided(state.decision))
        logged = LoggedDecision(
            "fork",
            chosen or ("fork" if parallel else "direct"),
            tuple(arms) or both_ways(parallel, forecast),
            policy or by,
            because,
            context.path,
            state.decisions.now(),
            {} if features is None else features,
        )
        context.log(logged, parallel=parallel, by=by, forecast=forecast)

    def reward(self, value: float, source: RewardSource, name: str = "correctness") -> None:
        """Record how good the run's answer is, by a verifier or a judge; not by who wrote it.

        Args:
            value: 0 to 1; values outside are moved to the nearer end.
        """
        self.context.reward(value, source, name)

    def offer(self, answer: Answer) -> None:
        """Save the best answer so far, for the case that time runs out before the strategy is done.

        The root's is used if the run's deadline comes; a thread's by whatever limited its time.
        """
        self.context.offer(answer)


def _is_shape(value: object) -> TypeIs[Shape[Any]]:
    return isinstance(value, Shape)


def _shape_of(value: Any) -> Shape[Any]:
    return value if _is_shape(value) else Shape(value)
