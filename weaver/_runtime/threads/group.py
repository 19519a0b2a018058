"""Fork and join: a group of threads whose lifetime is a block of code."""

from __future__ import annotations

import asyncio
from bisect import insort
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio

from weaver._data.result import CancelReason
from weaver._data.task import Task, as_task
from weaver._display import one_line
from weaver._models.clock import current_time
from weaver._runtime.state.record import END, STOPPED, Record
from weaver._runtime.state.thread import Thread
from weaver._runtime.threads.children import Children
from weaver._runtime.threads.join_protocol import MORE, All, JoinRule, Pruner
from weaver._runtime.threads.pending import PendingThreads
from weaver._runtime.threads.thread_options import Body, Handle, Hedge, OnError, OnTimeout, Terms
from weaver._runtime.threads.thread_runner import Work
from weaver.errors import ConfigurationError, NoAnswerError


class Threads:
    """The threads of one fork. Made by `Run.fork`; leaving that block cancels what still runs.

    Attributes:
        all: every thread started here, in order.
    """

    def __init__(
        self,
        run: Handle,
        children: Children,
        *,
        terms: Terms,
        name: str,
    ) -> None:
        self.all: list[Thread] = []
        self._run = run
        self._context = run.context
        self._make_handle = type(run)
        self._children = children
        self._is_left = False
        self._recording: set[asyncio.Task[Any]] = set()  # threads whose end is being recorded
        self._deadline: asyncio.TimerHandle | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._terms = terms
        self._own_terms: tuple[tuple[Any, ...], Terms] = ((), terms)  # as given to `start`, and the result
        self._name = name
        self._works: dict[str, Work] = {}
        self._failure: Exception | None = None
        self._closed = False
        self._finished: list[Thread] = []
        self._unhedged: deque[Work] = deque()  # in the order they began to work
        self._durations: list[float] = []  # of those that succeeded, the shortest first
        self._news = asyncio.Event()
        self._expected = 0  # threads that wait for one which was not started yet

    def __repr__(self) -> str:
        return one_line.of_threads(self.all)

    @property
    def running(self) -> int:
        """Threads that have not finished, waiting ones included."""
        return len(self.all) - len(self._finished)

    def start(
        self,
        task: Task | str,
        *,
        id: str | None = None,  # noqa: A002 - the word of plans
        after: Sequence[str] = (),
        body: Body | None = None,
        timeout: float | None = None,
        on_error: OnError | None = None,
        on_timeout: OnTimeout | None = None,
        fallback: Body | None = None,
    ) -> Thread:
        """Start a thread. It waits for the threads named in ``after`` and gets their findings.

        Args:
            task: a text is the task's question.
            id: name within this fork; numbered by default. An id in ``after`` may be started later.
            body, timeout, on_error, on_timeout, fallback: see `Terms`; the fork's by default.

        Raises:
            InvalidTaskError: the task has no question.
            BudgetExceededError: no more threads may be started, or the tree is too deep.
            ConfigurationError: the id is taken by a thread that was not cancelled.
        """
        run = self._context
        task = as_task(task) if isinstance(task, str) else task
        taken = self._works.get(id) if id is not None else None
        if taken is not None and taken.thread.cancel_reason is None:
            raise ConfigurationError(f"This fork has a thread {id!r} already.")
        run.check_depth()
        run.ledger.take_thread()
        path = run.thread_path(self._name, id)
        name = id or path.rpartition("/")[2]
        thread = Thread(
            path,
            task,
            parent=run.thread_id,
            depth=run.depth + 1,
            depends_on=after,
            emit=None if run.state.listen is None else run.state.emit,
        )
        own = (body, timeout, on_error, on_timeout, fallback)
        if own != self._own_terms[0]:  # mostly those of the thread before
            self._own_terms = (
                own,
                self._terms.changed(
                    body=body, timeout=timeout, on_error=on_error, on_timeout=on_timeout, fallback=fallback
                ),
            )
        terms = self._own_terms[1]
        self._works[name] = work = Work(run, thread, terms, self._make_handle)
        self.all.append(thread)
        run.state.threads.append(thread)
        thread.path_tokens, thread.path_seconds = run.path_so_far
        self._set_deadline(min(terms.deadline_at, run.deadline_at))
        self._children.start(self._drive(work, tuple(after)), path)
        return thread

    def close(self) -> None:
        """Say that no more threads will be started; lets `as_finished` and `join` come to an end."""
        self._closed = True
        self._tell()

    def prune(self, *threads: Thread) -> None:
        """Cancel ``threads`` with the reason ``pruned``, and everything that waits for them alone."""
        for thread in threads:
            thread.cancel("pruned")
        pruned = {name for name, work in self._works.items() if work.thread.cancel_reason == "pruned"}
        while waiting := [
            work.thread
            for name, work in self._works.items()
            if name not in pruned
            and work.thread.state == "waiting"
            and pruned.intersection(work.thread.depends_on)
        ]:
            self.cancel("pruned", *waiting)
            pruned.update(name for name, work in self._works.items() if work.thread in waiting)

    def cancel(self, reason: CancelReason, *threads: Thread) -> None:
        """Cancel ``threads`` (by default all) that have not finished."""
        losers = [t for t in threads or self.all if not t.finished and t.cancel_reason is None]
        # All connections first: unwinding a cancelled thread takes ten times as long as closing one.
        for thread in losers:
            thread.close_connections()
        for thread in losers:
            thread.cancel(reason)

    async def as_finished(self) -> AsyncGenerator[Thread, None]:
        """Every thread in the order they finish, cancelled and failed ones included.

        Ends when all have finished and the fork is closed.
        """
        count = 0
        while True:
            while count < len(self._finished):
                thread = self._finished[count]
                count += 1
                if thread.state != "cancelled":
                    self._context.joined(thread)
                yield thread
            if self._closed and count == len(self.all):
                return
            await self._news.wait()

    async def join(self, rule: JoinRule | None = None, *, prune: Pruner | None = None) -> list[Thread]:
        """Wait until ``rule`` is settled, cancel the rest, and return the rule's winners.

        Args:
            rule: `All` by default; others are in `weaver._coordination.joins.rules`.
            prune: asked after each success which unfinished threads have become unnecessary.

        Raises:
            NoAnswerError: there is no winner; the message says how each thread ended.
            WeaverError: a thread under ``on_error="fail_fast"`` failed: its error.
        """
        rule = rule or All()
        state = rule.begin()
        context, tracing = self._context, self._context.state.tracing
        spans = {t.id: t.span for t in self.all if t.span is not None}
        span = tracing.joins.start(
            context.span, rule=rule.name, threads=list(spans.items()), needed=state.needed
        )
        reason: CancelReason | None = None
        finished: list[Thread] = []
        pending = PendingThreads(self.all)
        finishing = self.as_finished()
        try:
            async for thread in finishing:
                finished.append(thread)
                outstanding = len(self.all) - len(finished) if self._closed else MORE
                reason = await state.finished(thread, outstanding=outstanding)
                if reason is not None:
                    self.cancel(reason)
                    break
                if prune is None or thread.state != "succeeded":
                    continue
                if self.running and (unneeded := await prune(self._run, thread, pending)):
                    self.prune(*unneeded)
        finally:
            await finishing.aclose()
            later = [(t.id, t.span) for t in finished if t.span is not None and t.id not in spans]
            received = [t.id for t in finished if t.state == "succeeded"]
            tracing.joins.end(span, received=received, reason=reason or "all finished", later=later)
        self.close()
        winners: list[Thread] = state.winners()
        cancelled = {t.id: t.cancel_reason for t in self.all if t.cancel_reason is not None}
        decision = {"rule": rule.name, "winners": [w.id for w in winners], "reason": reason}
        await context.verdict("join", {**decision, "cancelled": cancelled})
        if self._failure is not None:
            raise self._failure
        if state.unmet is not None:
            if not winners:
                raise NoAnswerError(state.unmet)
            context.note(state.unmet)
        return winners

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _drive(self, work: Work, after: tuple[str, ...]) -> None:
        thread, state = work.thread, self._context.state
        try:
            with thread.scope:
                if (needed := await self._needed(work, after)) is not None:
                    # A wide fork would wake its join at every start for nothing.
                    hedges = self._terms.hedge is not None
                    if hedges:
                        self._unhedged.append(work)
                    if self._expected or (hedges and len(self._unhedged) == 1):
                        self._tell()
                    await work.run(needed)
            if state.record is not None and not self._is_left:
                await self._end_recorded(state.record, thread)
        finally:
            if not thread.finished:
                thread.cancel_reason = thread.cancel_reason or self._context.why_cancelled
                thread.finish("cancelled")
            (work.place or self._context.for_thread(thread, deadline_at=self._context.deadline_at)).close()
            work.place = None
            self._finished.append(thread)
            if thread.state == "succeeded" and self._terms.hedge is not None:
                insort(self._durations, thread.seconds)
            if work.failed and work.terms.on_error == "fail_fast" and self._failure is None:
                self._failure = thread.error or NoAnswerError(f"Thread {thread.id} timed out.")
                self.cancel("pruned")
            self._tell()

    async def _end_recorded(self, record: Record, thread: Thread) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._recording.add(task)
        try:
            await self._record_end(record, thread)
        finally:
            self._recording.discard(task)

    async def _record_end(self, record: Record, thread: Thread) -> None:
        """Record how a thread ended; a resumed run lets its threads end in the recorded order.

        What stops the whole run, or a part of it, is no end of its threads: they go on when it is resumed.
        """
        if not thread.finished:
            thread.cancel_reason = thread.cancel_reason or self._context.why_cancelled
            thread.finish("cancelled")
        if thread.cancel_reason in STOPPED:
            return
        if thread.state != "cancelled":
            await record.turn(thread.id)
        else:
            record.skip_turn(thread.id)
        if record.has_ended(thread.id, thread.state):
            return
        key = f"{thread.id}/{END}"
        value = {"state": thread.state, "reason": thread.cancel_reason}
        if thread.state == "cancelled":
            record.put(key, "cancelled", value)
        elif thread.state == "timed_out":
            await record.add(key, "timeout", {**value, "text": thread.text})
        else:
            await record.add(key, "ok" if thread.state == "succeeded" else "error", value)

    async def _needed(self, work: Work, after: tuple[str, ...]) -> list[Work] | None:
        """The finished threads that one depends on; None when one of them will never be."""
        needed: list[Work] = []
        for name in after:
            while name not in self._works:
                if self._closed:
                    work.skip(f"It depends on {name!r}, which was never started.")
                    return None
                self._expected += 1
                try:
                    await self._news.wait()
                finally:
                    self._expected -= 1
            await self._works[name].thread.wait()
            needed.append(self._works[name])
        return needed

    def leave(self, reason: CancelReason) -> None:
        """Cancel what still runs: the block is left. Called by the runtime."""
        self.cancel(reason)
        self._is_left = True
        for task in self._recording:
            task.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _set_deadline(self, at: float) -> None:
        """Stop all threads at the fork's deadline: one timer serves them all."""
        if self._deadline is None and at < float("inf"):
            self._deadline = asyncio.get_running_loop().call_at(at, self.cancel, "deadline")

    def let_go(self) -> None:
        """Drop references to bodies, which refer to the forking thread: no cycle stays."""
        self._works.clear()
        self._unhedged.clear()
        self._own_terms = ((), self._terms)

    def watch(self, hedge: Hedge) -> None:
        """Start second attempts of slow threads from now on. Called by the runtime."""
        self._watcher = self._children.start(self._watch(hedge), f"{self._name} hedge")

    async def _watch(self, hedge: Hedge) -> None:
        hedged = 0
        while True:
            news = self._news
            while self._unhedged and self._unhedged[0].thread.finished:
                self._unhedged.popleft()
            patience = hedge.patience(self._durations)
            if patience is None or not self._unhedged or hedged >= hedge.most(len(self.all)):
                await news.wait()
                continue
            first = self._unhedged[0]
            due = (first.thread.started_at or 0.0) + patience
            if current_time() >= due:
                self._unhedged.popleft()
                if first.hedge_now is not None:
                    first.hedge_now.set()
                hedged += 1
                continue
            with anyio.CancelScope(deadline=due):
                await news.wait()


@asynccontextmanager
async def open_fork(
    run: Handle, tasks: Iterable[Task | str], *, terms: Terms, name: str
) -> AsyncGenerator[Threads]:
    """The block behind `Run.fork`."""
    raised: Exception | None = None
    scope = anyio.CancelScope()
    children = Children(scope.cancel)
    threads = Threads(run, children, terms=terms, name=name)
    with scope:
        if terms.hedge is not None:
            threads.watch(terms.hedge)
        reason: CancelReason = "not_needed"
        try:
            has_tasks = False
            for task in tasks:
                threads.start(task)
                has_tasks = True
            if has_tasks:
                threads.close()
            yield threads
        except Exception as error:  # noqa: BLE001 - raised again below, when all threads have ended
            raised, reason = error, "parent"
        except BaseException:
            reason = run.context.why_cancelled
            raise
        finally:
            threads.leave(reason)
            await children.all_ended()
    threads.let_go()
    if children.failure is not None:
        raise children.failure from raised
    if raised is not None:
        raise raised
