"""Driving one thread from waiting to its final state."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, Literal

import anyio

from weaver._data.result import Answer
from weaver._data.task import Task
from weaver._models.clock import current_time
from weaver._runtime.state.context import ThreadContext
from weaver._runtime.state.guards import checked_thread
from weaver._runtime.state.thread import Thread
from weaver._runtime.threads.thread_options import Body, Handle, Terms
from weaver._runtime.threads.user_code import answered
from weaver._text.untrusted import fenced
from weaver.errors import BudgetExceededError, NoAnswerError, StrategyError, WeaverError
from weaver.events import ThreadHedged, ThreadRestarted, ThreadStarted

HEDGE = "verdict/hedge"
"""Name of the entry that says which of two attempts at a thread's work has won."""


_NO_CLOCK = nullcontext()


class Ending(Exception):  # noqa: N818 - control flow
    """Raised by a body to end its thread without an answer, and not as a failure.

    Args:
        state: ``skipped`` (there was nothing to do) or ``timed_out``.
        because: one sentence for the record.
    """

    def __init__(self, state: Literal["skipped", "timed_out"], because: str) -> None:
        super().__init__(because)
        self.state: Literal["skipped", "timed_out"] = state
        self.because = because


class Work:
    """One thread at work.

    Attributes:
        hedge_now: set when the thread is to get a second attempt; None where it gets none.
        place: the thread's scope, once it has begun to work.
    """

    def __init__(
        self,
        parent: ThreadContext,
        thread: Thread,
        terms: Terms,
        make_handle: Callable[[ThreadContext], Handle],
    ) -> None:
        self.thread = thread
        self.terms = terms
        self.hedge_now = asyncio.Event() if terms.hedge is not None else None
        self.place: ThreadContext | None = None
        self._parent = parent
        self._make_handle = make_handle

    @property
    def usable(self) -> bool:
        """True if what the thread came to may be handed to those that depend on it."""
        thread = self.thread
        partial = thread.state == "timed_out" and self.terms.on_timeout == "partial"
        return thread.state == "succeeded" or (partial and thread.answer is not None)

    @property
    def failed(self) -> bool:
        """True if the thread counts as a failure for ``on_error``."""
        thread = self.thread
        return thread.state == "failed" or (thread.state == "timed_out" and not self.usable)

    def skip(self, because: str) -> None:
        """The thread cannot start."""
        self._end(Ending("skipped", because))

    def _end(self, ending: Ending) -> None:
        self.thread.error = NoAnswerError(ending.because)
        self.thread.finish(ending.state)

    async def run(self, needed: Sequence[Work]) -> None:
        """Work until the thread has its final state."""
        thread, parent = self.thread, self._parent
        if thread.cancel_reason is not None:
            return
        for other in needed:
            if not other.usable and other.terms.on_error != "skip":
                ended = f"which ended as {other.thread.state}"
                self.skip(f"It needs the finding of {other.thread.title!r}, {ended}.")
                return
        threads = [other.thread for other in needed]
        if threads:
            thread.path_tokens = max(thread.path_tokens, *(t.path_tokens for t in threads))
            thread.path_seconds = max(thread.path_seconds, *(t.path_seconds for t in threads))
            thread.task = _with_findings(thread.task, [o.thread for o in needed if o.usable])
        thread.started_at = current_time()
        thread.state = "running"
        limit, own = self._limits()
        self.place = run = parent.for_thread(thread, deadline_at=limit)
        if run.read_untrusted or (threads and any(t.read_untrusted for t in threads)):
            run.has_read_untrusted()
        state = parent.state
        if state.listen is not None:
            state.emit(
                ThreadStarted(thread.id, parent.thread_id, thread.title, thread.depth, thread.depends_on)
            )
        timed_out = await self._attempt(run, self.terms.body, limit, own=own)
        again = self.terms.fallback
        if (
            again is not None
            and thread.answer is None
            and not thread.finished
            and not self._stopped(timed_out, own=own)
        ):
            self._begin_again("the fallback takes over")
            limit, own = self._limits()
            timed_out = await self._attempt(run, again, limit, own=own)
        await run.lose_again()
        self._finish(timed_out, own=own)

    def _limits(self) -> tuple[float, bool]:
        """Until when an attempt that starts now may run, and whether that is the thread's own timeout."""
        outer = min(self.terms.deadline_at, self._parent.deadline_at)
        if self.terms.timeout is None or self.terms.timeout == float("inf"):
            return outer, False
        own = current_time() + self.terms.timeout
        return min(own, outer), own <= outer

    def _stopped(self, timed_out: bool, *, own: bool) -> bool:
        return self.thread.cancel_reason is not None or (timed_out and not own)

    def _begin_again(self, because: str) -> None:
        self.thread.error = None
        self.thread.attempts += 1
        self._parent.state.emit(ThreadRestarted(self.thread.id, because))

    async def _attempt(self, run: ThreadContext, body: Body, limit: float, *, own: bool) -> bool:
        """Run a body; its answer or error goes to the thread. True when time ran out."""
        thread = self.thread
        thread.attempts = max(1, thread.attempts)
        run.deadline_at = limit
        # The fork itself stops its threads at the deadline that they share.
        clock = anyio.CancelScope(deadline=limit) if own or run.state.record is not None else None
        with clock or _NO_CLOCK, run.state.tracing.attached(run.span):
            run.clock = clock
            try:
                if self.terms.hedge is None:
                    thread.answer = await self._answer(body, run)
                else:
                    thread.answer = await self._race(body, run)
            except Ending as ending:
                self._end(ending)
            except WeaverError as error:
                thread.error = error
            except Exception as error:  # noqa: BLE001 - a body is a user's code; its failure is data
                thread.error = StrategyError(
                    f"Thread {thread.id} ({thread.title}) raised {type(error).__name__}: {error}."
                )
                thread.error.__cause__ = error
        return clock is not None and clock.cancelled_caught

    def _answer(self, body: Body, run: ThreadContext) -> Coroutine[Any, Any, Answer]:
        who = f"The body of thread {self.thread.id} ({self.thread.title})"

        def work() -> Coroutine[Any, Any, Answer]:
            return answered(body, self._make_handle(run), run.task, who=who)  # checks may change the task

        return checked_thread(run, work)

    async def _race(self, body: Body, run: ThreadContext) -> Answer:
        """The body, and a second attempt beside it once `hedge_now` is set; the first success wins."""
        hedge_now = self.hedge_now
        assert hedge_now is not None
        attempts = [run]
        record = run.state.record
        verdict = run.key(HEDGE)
        recorded = record.find(verdict) if record is not None else None
        errors: list[Exception] = []
        won: list[tuple[ThreadContext, Answer]] = []

        async def attempt(one: ThreadContext) -> None:
            try:
                answer = await self._answer(body, one)
            except Exception as error:  # noqa: BLE001 - raised below, if no other attempt succeeds
                errors.append(error)
                if len(errors) == len(attempts):
                    group.cancel_scope.cancel()
                return
            if record is not None and recorded is not None and recorded.value != one.path:
                await record.over.wait()  # the other one had won, and wins again
            if not won:
                won.append((one, answer))
                for other in attempts:
                    other.lost_race = other is not one
                group.cancel_scope.cancel()

        async def second() -> None:
            await hedge_now.wait()
            hedge = self.terms.hedge
            span = run.state.tracing.steps.start(run.span, "hedge")
            hedged = run.second_attempt(span, hedge.model if hedge is not None else None)
            attempts.append(hedged)
            self.thread.attempts += 1
            run.emit(ThreadHedged(self.thread.id, self.thread.seconds))
            try:
                await attempt(hedged)
            finally:
                run.state.tracing.steps.end(span)

        if record is not None and (recorded is not None or record.is_hedged(run.path)):
            hedge_now.set()
        async with anyio.create_task_group() as group:
            group.start_soon(attempt, run)
            group.start_soon(second)
        if not won:
            raise errors[0]
        winner, answer = won[0]
        if record is not None and recorded is None and len(attempts) > 1:
            await record.add(verdict, "verdict", winner.path)
        run.path_tokens, run.path_seconds = winner.path_tokens, winner.path_seconds
        return answer

    def _finish(self, timed_out: bool, *, own: bool) -> None:
        thread = self.thread
        if thread.finished:
            return
        if thread.answer is not None:
            thread.error = None
            thread.finish("succeeded")
        elif thread.cancel_reason is not None:
            thread.finish("cancelled")
        elif timed_out and own:
            thread.finish("timed_out")
        elif timed_out:
            thread.cancel_reason = "deadline"
            thread.finish("cancelled")
        elif isinstance(thread.error, BudgetExceededError):
            thread.cancel_reason = "budget"
            thread.finish("cancelled")
        else:
            thread.finish("failed")


def _with_findings(task: Task, threads: Sequence[Thread]) -> Task:
    """Return ``task`` with the findings of the threads it depends on as fenced context."""
    if not threads:
        return task
    parts = [fenced(t.text, f"finding {t.title}") for t in threads]
    return replace(task, context="\n\n".join([task.context, *parts] if task.context else parts))
