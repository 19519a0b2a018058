"""One reasoning thread: its state, and everything a parent may know about it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import anyio

from weaver._data.result import Answer, CancelReason, Finding, ThreadReport, ThreadState
from weaver._data.task import Task
from weaver._data.usage import NOTHING, Usage
from weaver._display import one_line
from weaver._models.clock import current_time
from weaver._models.reply import Reply
from weaver.errors import NoAnswerError
from weaver.events import Event, ThreadFinished

if TYPE_CHECKING:
    from opentelemetry.trace import Span


class OpenCall(Protocol):
    """What a scope reads of a model call that is under way (`weaver._runtime.calls.call.Call`)."""

    path_tokens: int
    path_seconds: float

    @property
    def reply(self) -> Reply: ...
    @property
    def tokens_so_far(self) -> int: ...
    @property
    def seconds_so_far(self) -> float: ...
    @property
    def text_so_far(self) -> str: ...
    def abort(self) -> None: ...


class Abortable(Protocol):
    """A model call, as far as a thread knows it."""

    def abort(self) -> None:
        """Close its connection."""
        ...


class Thread:
    """A thread of a fork. Strategies read it; the runtime moves it from state to state.

    Attributes:
        id: unique in the run: the structural path (``s2``, ``s2/t1``).
        parent: id of the thread that forked it, None for the root.
        depends_on: names, within its fork, of the threads whose findings it gets.
        state: ``waiting`` until its dependencies are done, ``running``, then exactly one final state.
        answer: what it came to; for a thread that was cut, what it had said so far (``complete=False``).
        scope, span, saying, open_calls: for the runtime: its cancel scope, its span, what it is saying just
            now, and its model calls that have not ended.
        error: why it failed, or None.
        attempts: how often its work was started.
        read_untrusted: whether it has read text that others may have written (a tool's result).
    """

    __slots__ = (
        "_done", "_emit", "_finding", "_summed", "answer", "attempts", "cancel_reason", "depends_on", "depth",
        "ended_at", "error", "id", "open_calls", "parent", "path_seconds", "path_tokens", "read_untrusted",
        "saying",
        "scope", "span", "started_at", "state", "task", "usages",
    )  # fmt: skip

    def __init__(
        self,
        id: str,  # noqa: A002 - public name
        task: Task,
        *,
        parent: str | None,
        depth: int,
        depends_on: Sequence[str],
        emit: Callable[[Event], None] | None,
    ) -> None:
        self.id = id
        self.task = task
        self.parent = parent
        self.depth = depth
        self.depends_on = tuple(depends_on)
        self.state: ThreadState = "waiting"
        self.cancel_reason: CancelReason | None = None
        self.answer: Answer | None = None
        self.error: Exception | None = None
        self.attempts = 0
        self.usages: list[Usage] = []
        self.started_at: float | None = None
        self.ended_at: float | None = None
        self.path_tokens = 0
        self.read_untrusted = False
        self.path_seconds = 0.0
        self.span: Span | None = None
        self.saying: Callable[[], str] = str
        self.open_calls: Sequence[Abortable] = ()
        self._emit = emit
        self._finding: Finding | None = None
        self._summed = (0, NOTHING)
        self._done: asyncio.Event | None = None  # made for the first who waits
        self.scope = anyio.CancelScope()

    def __repr__(self) -> str:
        return one_line.of_thread(self)

    @property
    def title(self) -> str:
        """A few words for people."""
        return self.task.label

    @property
    def finished(self) -> bool:
        """True if it has reached its final state."""
        return self.ended_at is not None

    @property
    def usage(self) -> Usage:
        """The usage of its own calls so far, without nested threads."""
        number, usage = self._summed
        if number != len(self.usages):
            usage = self.usages[0] if len(self.usages) == 1 else sum(self.usages, NOTHING)
            self._summed = len(self.usages), usage
        return usage

    @property
    def text(self) -> str:
        """Its answer, or what it is saying in the call that is open or was cut."""
        if self.answer is not None:
            return self.answer.text
        return self.saying()

    @property
    def result(self) -> Answer:
        """Its answer.

        Raises:
            NoAnswerError: it has none; its own error, if it failed, is the cause.
        """
        if self.answer is None:
            raise NoAnswerError(f"Thread {self.id} is {self.state} and has no answer.") from self.error
        return self.answer

    @property
    def finding(self) -> Finding | None:
        """Its result for its parent, or None when there is none."""
        if self.answer is None or not self.finished:
            return None
        finding = self._finding
        if finding is None or finding.answer is not self.answer or finding.usage is not self.usage:
            finding = self._finding = Finding(self.id, self.title, self.answer, self.usage)
        return finding

    @property
    def seconds(self) -> float:
        """Seconds from its start to its end (or to now); 0 if it never started."""
        if self.started_at is None:
            return 0.0
        return (current_time() if self.ended_at is None else self.ended_at) - self.started_at

    def cancel(self, reason: CancelReason) -> None:
        """Stop it at once and close its connections. The first reason stays; a finished thread too."""
        if self.finished or self.cancel_reason is not None:
            return
        self.close_connections()
        self.cancel_reason = reason
        self.scope.cancel()

    def close_connections(self) -> None:
        """Close the connections of its open calls, before it is cancelled. Called by the runtime."""
        for call in self.open_calls:
            call.abort()

    async def wait(self) -> None:
        """Wait until it has finished."""
        if not self.finished:
            self._done = self._done or asyncio.Event()
            await self._done.wait()

    def finish(self, state: ThreadState) -> None:
        """Reach the final state, once. Called by the runtime."""
        if self.finished:
            return
        self.state = state
        self.ended_at = current_time()
        if self.answer is None and (said := self.text.strip()):
            self.answer = Answer(said, complete=False)
        if self._done is not None:
            self._done.set()
        emit, self._emit = self._emit, None
        self.saying, self.open_calls = str, ()  # these lead back to the run's state: no cycle stays
        if emit is None:
            return
        emit(
            ThreadFinished(
                self.id,
                state,
                self.cancel_reason,
                self.answer.text if self.answer else None,
                self.usage,
                self.seconds,
                str(self.error) if self.error else None,
            )
        )

    def report(self, run_started: float) -> ThreadReport:
        """The thread as it appears in the result. ``run_started`` is on the event loop's clock."""
        return ThreadReport(
            id=self.id,
            parent=self.parent,
            title=self.title,
            depth=self.depth,
            state=self.state,
            cancel_reason=self.cancel_reason if self.state == "cancelled" else None,
            answer=self.answer.text if self.answer else None,
            attempts=self.attempts,
            usage=self.usage,
            seconds=self.seconds,
            started_at=None if self.started_at is None else self.started_at - run_started,
            error=str(self.error) if self.error else None,
        )
