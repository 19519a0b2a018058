"""A run that is watched while it happens."""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, cast

from weaver._data.result import CancelReason, Result
from weaver._display import markdown
from weaver._runtime.limits.budget_ledger import Ledger
from weaver._streaming.answer_text import AnswerText
from weaver._streaming.live_run import LiveRun, Prepare
from weaver._streaming.partial_output import PartialOutput
from weaver._tools.approvals import Approval
from weaver.errors import RunUnfinishedError, UnknownNameError, WeaverError
from weaver.events import AnswerDelta, AnswerStarted, Event

T_co = TypeVar("T_co", covariant=True)


class RunStream(Generic[T_co]):
    """A run that is watched. Made by `Weaver.stream`.

    Iterate it for `weaver.events`, in order, or iterate `text` or `objects`.

    With ``async with``, leaving the block early cancels the run and waits until its connections are closed.
    Without, the run begins when its first event is read, and ends with the loop that reads it: when the loop
    is left early (``break``, an exception, a cancelled task) Python drops the iterator, which cancels the run
    in the next turn of the event loop. An iterator that a variable holds is dropped when the variable is.
    Either way `result` has then what had been finished.
    """

    def __init__(self, connections: AbstractAsyncContextManager[Any], prepare: Prepare) -> None:
        self._live = LiveRun(connections, prepare)
        self._entered = False

    def __repr__(self) -> str:
        return f"<RunStream {self._live.state}>"

    def _repr_markdown_(self) -> str:
        return markdown.of_result(self.result) if self._live.has_result else f"*{self._live.state}*"

    async def __aenter__(self) -> Self:
        await self._live.begun()
        self._entered = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._live.end()
        if error is None:
            self._live.raise_crash()

    async def aclose(self) -> None:
        """Cancel the run if it goes on, and wait until its connections are closed."""
        await self._live.end()

    def cancel(self, reason: CancelReason = "user") -> None:
        """Stop the run; the remaining events, `RunFinished` among them, still come."""
        self._live.cancel(reason)

    def cancel_thread(self, thread: str, reason: CancelReason = "user") -> None:
        """Stop one thread and those that it forked; the run goes on with what the others answer.

        A thread that has finished stays as it is.

        Raises:
            UnknownNameError: the run has no thread of that id.
            RunUnfinishedError: the run has not begun.
        """
        if self._live.execution is None:
            raise RunUnfinishedError("The run has not begun, so there are no threads.")
        by_id = {t.id: t for t in self._live.execution.state.threads}
        if thread not in by_id:
            raise UnknownNameError("thread", thread, by_id)
        by_id[thread].cancel(reason)

    async def wait(self) -> Result[T_co]:
        """Wait for the result; events that nobody has read are dropped. A failed run does not raise.

        Raises:
            WeaverError: the run could not begin.
        """
        async for _ in self:
            pass
        return self.result

    def charge_to(self, ledger: Ledger) -> None:
        """Count what the run uses in ``ledger`` too, and stop it when that has no room left.

        Several runs can share one. Call it before the run begins.
        """
        self._live.ledger = ledger

    def approve(self, id: str, *, always: bool = False) -> None:  # noqa: A002 - the word of `ApprovalAsked`
        """Agree to the tool call of an `ApprovalAsked` event.

        Args:
            always: also to every later call of this tool in this run.

        Raises:
            UnknownNameError: no such request waits (any more).
            RunUnfinishedError: the run has not begun.
        """
        self._answer(id, Approval(True, always=always))

    def deny(self, id: str, reason: str = "", *, always: bool = False) -> None:  # noqa: A002 - as above
        """Refuse the tool call of an `ApprovalAsked` event; the model reads ``reason``.

        Raises:
            UnknownNameError: no such request waits (any more).
            RunUnfinishedError: the run has not begun.
        """
        self._answer(id, Approval(False, reason, always))

    @property
    def finished(self) -> bool:
        """True once the run has ended, so that there is a `result`."""
        return self._live.ended

    @property
    def result(self) -> Result[T_co]:
        """The result of the run, also of one that was cancelled.

        Raises:
            RunUnfinishedError: the run has not ended.
        """
        return self._live.result

    @property
    def error(self) -> WeaverError | None:
        """The error of a failed run, once it has ended."""
        return self._live.error

    @property
    def is_recorded(self) -> bool:
        """True if the journal of a durable run has its end, and for a run that is not durable.

        Raises:
            RunUnfinishedError: the run has not ended.
        """
        if not self.finished:
            raise RunUnfinishedError("The run has not ended, so its end is not recorded yet.")
        return self._live.execution is None or self._live.execution.is_recorded

    def __aiter__(self) -> AsyncIterator[Event]:
        return _Events(self._live, ends_run=not self._entered)

    async def text(self, *, whole: bool = False) -> AsyncIterator[str]:
        """The answer, piece by piece as it is written.

        An answer that is begun anew (after a tool call, or when a call is repeated) follows after an empty
        line, since pieces cannot be taken back.

        Args:
            whole: yield all of the answer so far each time; one that is begun anew replaces the old one.

        Raises:
            WeaverError: the run failed. One that was cancelled ends without an error.
        """
        answer = AnswerText()
        async for event in self:
            piece = answer.take(event)
            if whole and isinstance(event, AnswerDelta):
                yield answer.text
            elif piece and not whole:
                yield piece
        self._raise_failure()

    async def objects(self) -> AsyncIterator[T_co]:
        """The output while it is written: an object of the output type each time when there is more of it.

        Texts grow; numbers and other scalars come when they are whole. Fields that have not come yet have
        their default, or None, whatever their type says: these objects are not validated. The last object is
        `Result.output`. Without an output type, objects are the text so far.

        Raises:
            WeaverError: the run failed. One that was cancelled ends without an error.
        """
        output: PartialOutput | None = None
        text = AnswerText()
        last: object = None
        async for event in self:
            text.take(event)
            execution = self._live.execution
            if output is None and execution is not None and execution.task.output is not None:
                output = PartialOutput(execution.task.output)
            if output is None:
                if isinstance(event, AnswerDelta):
                    last = text.text
                    yield cast("T_co", last)
            elif isinstance(event, AnswerStarted):
                output.restart()
            elif isinstance(event, AnswerDelta):
                output.feed(event.text)
                for value in output.changed():
                    last = value
                    yield value
        self._raise_failure()
        whole = self.result.output if self.result.has_output else None
        if whole is not None and (type(whole) is not type(last) or whole != last):
            yield whole

    def _raise_failure(self) -> None:
        if self.result.status == "failed" and self.error is not None and not self._live.was_stopped:
            raise self.error

    def _answer(self, request: str, approval: Approval) -> None:
        if self._live.execution is None:
            raise RunUnfinishedError("The run has not begun, so no tool call waits for an approval.")
        self._live.execution.state.tools.approvals.answer(request, approval)


class _Events(AsyncIterator[Event]):
    """Reads the events of a run.

    Args:
        ends_run: the run is cancelled when nobody refers to this object any more.
    """

    def __init__(self, live: LiveRun, *, ends_run: bool) -> None:
        self._live = live
        if ends_run:
            weakref.finalize(self, live.leave).atexit = False

    def __anext__(self) -> Coroutine[Any, Any, Event]:
        # Not a coroutine function: the traceback of a cancelled one would keep this object alive.
        return self._live.next_event()
