"""The verbs that strategies are written with."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager

from weaver._data.result import Answer
from weaver._data.task import Task
from weaver._display import one_line
from weaver._runtime.calls.model_calls import Listen, Thinker
from weaver._runtime.default_body import reason
from weaver._runtime.threads.group import Threads, open_fork
from weaver._runtime.threads.thread_options import Body, Hedge, OnError, OnTimeout, Terms
from weaver.errors import NoAnswerError


class Run(Thinker):
    """One thread's handle on the runtime. The root of a run has one, and so has every thread below it.

    Its verbs: `call`, `think`, `parsed` and `reason` ask models; `fork` and `child` start threads; `step`,
    `verdict`, `emit`, `note`, `decide` and `offer` record.
    """

    def __repr__(self) -> str:
        where = f"thread {self.path}" if self.path else "its root"
        return f"<Run {self.id} at {where}: {one_line.quoted(self.task.label)}>"

    async def reason(self, task: Task, *, role: str = "thread", listen: Listen | None = None) -> Answer:
        """Work on ``task`` in this thread: model calls, tools, a conclusion near the limits, typed output.

        Raises:
            ModelError, BudgetExceededError, InvalidOutputError, EmptyReplyError: no answer came of it.
        """
        return await reason(self, task, role=role, listen=listen)

    def fork(
        self,
        tasks: Iterable[Task] = (),
        *,
        body: Body | None = None,
        name: str = "t",
        timeout: float | None = None,
        deadline: float | None = None,
        on_error: OnError = "keep",
        on_timeout: OnTimeout = "partial",
        fallback: Body | None = None,
        hedge: Hedge | None = None,
    ) -> AbstractAsyncContextManager[Threads]:
        """Start threads in a block; leaving the block cancels those that still run.

        Args:
            tasks: started at once; the fork is then closed. Without tasks, use `Threads.start`.
            body: what each thread does, with the signature of a strategy; by default `Run.reason`.
            name: prefix of thread ids.
            timeout: seconds for each thread; the run's ``thread_timeout`` by default.
            deadline: event-loop time at which all of them are stopped; at most this run's.
            on_error, on_timeout, fallback, hedge: see `weaver._runtime.threads.thread_options.Terms`.
        """
        terms = Terms(
            body=body or reason,
            timeout=timeout if timeout is not None else self.state.thread_timeout,
            deadline=min(self.deadline, float("inf") if deadline is None else deadline),
            on_error=on_error,
            on_timeout=on_timeout,
            fallback=fallback,
            hedge=hedge,
        )
        return open_fork(self, tasks, terms=terms, name=name)

    async def child(self, task: Task, body: Body | None = None) -> Answer:
        """One thread, waited for.

        Raises:
            NoAnswerError: it did not succeed; its own error is the cause.
        """
        async with self.fork([task], body=body, name="child") as threads:
            async for thread in threads.as_finished():
                if thread.state != "succeeded" or thread.answer is None:
                    raise NoAnswerError(f"Thread {thread.id} ended as {thread.state}.") from thread.error
                return thread.answer
        raise NoAnswerError("The thread was never started.")
