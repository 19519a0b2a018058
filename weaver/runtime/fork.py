"""Fork and join: a group of threads whose lifetime is a block of code."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskGroup

from weaver.errors import BudgetExceeded, ConfigurationError, NoAnswer, StrategyFailed, WeaverError
from weaver.events import ThreadStarted
from weaver.result import Answer, CancelReason
from weaver.runtime.joining import MORE, All, JoinRule
from weaver.runtime.thread import Thread
from weaver.task import Task

if TYPE_CHECKING:
    from weaver.runtime.run import Run

Body = Callable[["Run", Task], Awaitable[Answer]]


class Threads:
    """The threads of one fork. Made by `Run.fork`; leaving that block cancels what still runs.

    Attributes:
        all: every thread started here, in order.
    """

    def __init__(
        self,
        run: Run,
        group: TaskGroup,
        *,
        body: Body | None,
        name: str,
        timeout: float | None,
        deadline: float,
    ) -> None:
        self.all: list[Thread] = []
        self._run = run
        self._group = group
        self._body = body
        self._name = name
        self._timeout = timeout
        self._deadline = deadline
        self._by_name: dict[str, Thread] = {}
        self._closed = False
        self._finished: list[Thread] = []
        self._news = anyio.Event()

    @property
    def running(self) -> int:
        """Threads that have not finished, waiting ones included."""
        return len(self.all) - len(self._finished)

    def start(
        self,
        task: Task,
        *,
        id: str | None = None,  # noqa: A002 - the word of plans
        after: Sequence[str] = (),
        body: Body | None = None,
        timeout: float | None = None,
    ) -> Thread:
        """Start a thread. It waits for the threads named in ``after`` and gets their findings.

        Args:
            id: name within this fork; numbered by default. An id in ``after`` may be started later.
            timeout: seconds for this thread, from its start; the fork's by default.

        Raises:
            BudgetExceeded: no more threads may be started, or the tree is too deep.
            ConfigurationError: the id is taken by a thread that was not cancelled.
        """
        run = self._run
        taken = self._by_name.get(id) if id is not None else None
        if taken is not None and taken.cancel_reason is None:
            raise ConfigurationError(f"This fork has a thread {id!r} already.")
        run.check_depth()
        run.state.ledger.take_thread()
        path = run.thread_path(self._name, id)
        name = id or path.rpartition("/")[2]
        thread = Thread(path, task, parent=run, depends_on=after)
        self._by_name[name] = thread
        self.all.append(thread)
        run.state.threads.append(thread)
        thread.path_tokens, thread.path_seconds = run.path_so_far
        limit = timeout if timeout is not None else self._timeout
        self._group.start_soon(self._work, thread, tuple(after), body or self._body, limit, name=path)
        return thread

    def close(self) -> None:
        """Say that no more threads will be started; lets `as_finished` and `join` come to an end."""
        self._closed = True
        self._tell()

    def cancel(self, reason: CancelReason, *threads: Thread) -> None:
        """Cancel ``threads`` (by default all) that have not finished."""
        for thread in threads or self.all:
            thread.cancel(reason)

    async def as_finished(self) -> AsyncGenerator[Thread, None]:
        """Every thread in the order they finish, cancelled and failed ones included.

        Ends when all have finished and the fork is closed.
        """
        seen = 0
        while True:
            while seen < len(self._finished):
                thread = self._finished[seen]
                seen += 1
                if thread.state != "cancelled":
                    self._run.joined(thread)
                yield thread
            if self._closed and seen == len(self.all):
                return
            await self._news.wait()

    async def join(self, rule: JoinRule | None = None) -> list[Thread]:
        """Wait until ``rule`` is settled, cancel the rest, and hand up the rule's winners.

        Raises:
            NoAnswer: there is no winner; the message says how each thread ended.
        """
        rule = rule or All()
        state = rule.begin()
        run, tracing = self._run, self._run.state.tracing
        spans = {t.id: t.run.span for t in self.all if t.run is not None}
        span = tracing.start_join(run.span, rule=rule.name, threads=list(spans.items()), needed=state.needed)
        reason: CancelReason | None = None
        told: list[Thread] = []
        finishing = self.as_finished()
        try:
            async for thread in finishing:
                told.append(thread)
                outstanding = len(self.all) - len(told) if self._closed else MORE
                reason = await state.finished(thread, outstanding=outstanding)
                if reason is not None:
                    self.cancel(reason)
                    break
        finally:
            await finishing.aclose()
            later = [(t.id, t.run.span) for t in told if t.run is not None and t.id not in spans]
            received = [t.id for t in told if t.state == "succeeded"]
            tracing.end_join(span, received=received, reason=reason or "all finished", later=later)
        self.close()
        winners: list[Thread] = state.winners()
        await run.verdict("join", {"rule": rule.name, "winners": [w.id for w in winners], "reason": reason})
        if state.unmet is not None:
            if not winners:
                raise NoAnswer(state.unmet)
            run.note(state.unmet)
        return winners

    def _tell(self) -> None:
        news, self._news = self._news, anyio.Event()
        news.set()

    async def _work(
        self, thread: Thread, after: tuple[str, ...], body: Body | None, timeout: float | None
    ) -> None:
        try:
            with thread._scope:  # noqa: SLF001 - the fork drives its threads
                if await self._ready(thread, after):
                    await self._attempt(thread, body, timeout)
            if not thread.finished:
                thread.cancel_reason = thread.cancel_reason or self._run.why_cancelled
                thread.finish("cancelled")
        except anyio.get_cancelled_exc_class():
            thread.cancel_reason = thread.cancel_reason or self._run.why_cancelled
            thread.finish("cancelled")
            raise
        finally:
            (thread.run or self._run.for_thread(thread, deadline=self._deadline)).close()
            self._finished.append(thread)
            self._tell()

    async def _ready(self, thread: Thread, after: tuple[str, ...]) -> bool:
        """Wait for the dependencies. False when the thread cannot start, which is then recorded."""
        findings = []
        for name in after:
            while name not in self._by_name:
                if self._closed:
                    thread.error = StrategyFailed(f"It depends on {name!r}, which was never started.")
                    thread.finish("skipped")
                    return False
                await self._news.wait()
            needed = self._by_name[name]
            await needed.wait()
            if needed.state != "succeeded":
                thread.error = NoAnswer(
                    f"It needs the finding of {needed.title!r}, which ended as {needed.state}."
                )
                thread.finish("skipped")
                return False
            findings.append(needed)
            thread.path_tokens = max(thread.path_tokens, needed.path_tokens)
            thread.path_seconds = max(thread.path_seconds, needed.path_seconds)
        thread.task = self._run.with_findings(thread.task, findings)
        return True

    async def _attempt(self, thread: Thread, body: Body | None, timeout: float | None) -> None:
        if thread.cancel_reason is not None:
            return
        state = self._run.state
        thread.started_at = anyio.current_time()
        thread.state = "running"
        thread.attempts = 1
        own = thread.started_at + timeout if timeout is not None else float("inf")
        limit = min(own, self._deadline, self._run.deadline)
        thread.run = run = self._run.for_thread(thread, deadline=limit)
        if state.listen is not None:
            state.emit(
                ThreadStarted(thread.id, self._run.thread_id, thread.title, thread.depth, thread.depends_on)
            )
        state.live_threads += 1
        try:
            with anyio.CancelScope(deadline=limit) as clock, state.tracing.attached(run.span):
                thread.answer = await (body(run, thread.task) if body else run.reason(thread.task))
            if thread.answer is not None:
                thread.finish("succeeded")
            elif clock.cancelled_caught and thread.cancel_reason is None:
                if own <= min(self._deadline, self._run.deadline):
                    thread.finish("timed_out")
                else:
                    thread.cancel_reason = "deadline"
                    thread.finish("cancelled")
        except BudgetExceeded as error:
            thread.error = error
            thread.cancel_reason = "budget"
            thread.finish("cancelled")
        except WeaverError as error:
            thread.error = error
            thread.finish("failed")
        except Exception as error:  # noqa: BLE001 - a body is a user's code; its failure is data
            thread.error = StrategyFailed(
                f"Thread {thread.id} ({thread.title}) raised {type(error).__name__}: {error}."
            )
            thread.error.__cause__ = error
            thread.finish("failed")
        finally:
            state.live_threads -= 1


@asynccontextmanager
async def open_fork(
    run: Run,
    tasks: Iterable[Task],
    *,
    body: Body | None,
    name: str,
    timeout: float | None,
    deadline: float,
) -> AsyncIterator[Threads]:
    """The block behind `Run.fork`."""
    raised: Exception | None = None
    async with anyio.create_task_group() as group:
        threads = Threads(run, group, body=body, name=name, timeout=timeout, deadline=deadline)
        reason: CancelReason = "not_needed"
        try:
            given = False
            for task in tasks:
                threads.start(task)
                given = True
            if given:
                threads.close()
            yield threads
        except Exception as error:  # noqa: BLE001 - raised again below, outside the group, which would wrap it
            raised, reason = error, "parent"
        except BaseException:
            reason = run.why_cancelled
            raise
        finally:
            threads.cancel(reason)
            group.cancel_scope.cancel()
    if raised is not None:
        raise raised
