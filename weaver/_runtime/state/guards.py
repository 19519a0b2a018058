"""Hooks of a run and of its agents, as the runtime calls them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from weaver._data.result import Answer
from weaver._data.task import Task
from weaver._hooks.chain import Hooks
from weaver._runtime.state.context import ThreadContext
from weaver._tools.protocol import Context
from weaver.errors import HookError, RefusedError
from weaver.events import (
    AnswerDelta,
    AnswerReasoning,
    AnswerStarted,
    Event,
    RunFinished,
    RunStarted,
    ThreadDelta,
    ThreadFinished,
)

TEXTS = (AnswerStarted, AnswerDelta, AnswerReasoning, ThreadDelta)
"""Events that carry a model's text to listeners while it is written."""


class Withheld:
    """Events that listeners do not get before the checks have passed.

    While an input check runs beside the first calls, all events wait, and come in their order once it has
    passed. Where there are output checks, events carry no text of the answer or of threads at all: the
    answer comes whole, when it has passed.

    Args:
        hooks: of the run.
    """

    def __init__(self, hooks: Hooks) -> None:
        self.input_passed = asyncio.Event()
        self._until_output = bool(hooks.output_checks)
        self._waiting: list[Event] = []
        if not hooks.parallel_checks:
            self.input_passed.set()

    def admitted(self, event: Event) -> Event | None:
        """The event as listeners may have it now, or None."""
        if isinstance(event, (RunStarted, RunFinished)):
            return event
        if self._until_output:
            if isinstance(event, TEXTS):
                return None
            if isinstance(event, ThreadFinished):
                event = replace(event, answer=None)
        if not self.input_passed.is_set():
            self._waiting.append(event)
            return None
        return event

    def pass_input(self) -> list[Event]:
        """The parallel input checks have passed; returns the events that waited."""
        self.input_passed.set()
        waiting, self._waiting = self._waiting, []
        return waiting

    def pass_output(self) -> None:
        """The answer has passed its checks, and may be shown."""
        self._until_output = False


def context_of(run: ThreadContext, call_id: str = "", attempt: int = 1) -> Context[Any]:
    """Describe to a tool or a hook what it may know about a call of this thread."""
    return Context(run.state.tools.deps, run.id, run.thread_id, call_id, attempt, run.remaining.seconds)


def hooks_of(run: ThreadContext) -> Hooks:
    """The run's hooks, and inside them those of the agent that this thread works as."""
    agent = run.task.agent
    return run.state.hooks.extended(agent.hooks) if agent is not None else run.state.hooks


@contextmanager
def ending_the_run(run: ThreadContext) -> Generator[None]:
    """End the whole run if what happens in this block is refused, or if a hook fails."""
    try:
        yield
    except (RefusedError, HookError) as error:
        run.state.halt(error)
        raise


def checked_run(
    run: ThreadContext, task: Task, work: Callable[[Task], Coroutine[Any, Any, Answer]]
) -> Coroutine[Any, Any, Answer]:
    """Work on the run's task, after its input checks and beside the parallel ones.

    Raises:
        RefusedError, HookError: of a check; the work is cancelled, and the run ends.
    """
    hooks = run.state.hooks
    return _checked_run(run, task, work) if hooks.input_checks or hooks.parallel_checks else work(task)


async def _checked_run(
    run: ThreadContext, task: Task, work: Callable[[Task], Coroutine[Any, Any, Answer]]
) -> Answer:
    hooks, state = run.state.hooks, run.state
    with ending_the_run(run):
        task = await hooks.checked_input(task, context_of(run))
        if not hooks.parallel_checks:
            return await work(task)
        checking = asyncio.ensure_future(hooks.check_beside(task, context_of(run)))
        working = asyncio.ensure_future(work(task))
        try:
            await asyncio.wait({checking, working}, return_when=asyncio.FIRST_COMPLETED)
            await checking
            state.pass_input()
            return await working
        finally:
            checking.cancel()
            working.cancel()
            await asyncio.gather(checking, working, return_exceptions=True)


def checked_thread(
    run: ThreadContext, work: Callable[[], Coroutine[Any, Any, Answer]]
) -> Coroutine[Any, Any, Answer]:
    """Work on a thread's task, between the checks of the agent that it works as.

    Raises:
        RefusedError, HookError: of a check; the run ends.
    """
    agent = run.task.agent
    return _checked_thread(run, Hooks(agent.hooks), work) if agent is not None and agent.hooks else work()


async def _checked_thread(
    run: ThreadContext, hooks: Hooks, work: Callable[[], Coroutine[Any, Any, Answer]]
) -> Answer:
    with ending_the_run(run):
        run.task = await hooks.checked_input(run.task, context_of(run))
        await hooks.check_beside(run.task, context_of(run))
        return await hooks.checked_output(await work(), context_of(run))
