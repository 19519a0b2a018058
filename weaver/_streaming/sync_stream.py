"""A watched run for programs without an event loop."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

from weaver._data.result import CancelReason, Result
from weaver._streaming.run_stream import RunStream
from weaver.errors import RunUnfinishedError, WeaverError
from weaver.events import Event

T_co = TypeVar("T_co", covariant=True)
V = TypeVar("V")

CLOSING_SECONDS = 5.0
"""Longest that leaving waits for the run's connections to close."""


class SyncRunStream(Generic[T_co]):
    """`RunStream` without ``async``: ``for event in weaver.stream_sync(question)``.

    The run works in its own thread, also while nobody reads. Leaving a ``with`` block, or a loop without
    one, cancels it as described for `RunStream`. Works inside a running event loop too (Jupyter).
    """

    def __init__(self, make: Callable[[], RunStream[T_co]]) -> None:
        self._make = make
        self._worker: _Worker[T_co] | None = None
        self._entered = False

    def __repr__(self) -> str:
        stream = repr(self._worker.stream) if self._worker is not None else "<RunStream not begun>"
        return stream.replace("<RunStream", "<SyncRunStream", 1)

    def __enter__(self) -> Self:
        self._entered = True
        self._begun()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Cancel the run if it goes on, and wait until its connections are closed."""
        if self._worker is not None:
            self._worker.close()

    def cancel(self, reason: CancelReason = "user") -> None:
        """Stop the run; the remaining events, `RunFinished` among them, still come."""
        self._call(lambda stream: stream.cancel(reason))

    def cancel_thread(self, thread: str, reason: CancelReason = "user") -> None:
        """See `RunStream.cancel_thread`."""
        self._call(lambda stream: stream.cancel_thread(thread, reason))

    def wait(self) -> Result[T_co]:
        """Wait for the result; events that nobody has read are dropped. A failed run does not raise.

        Raises:
            WeaverError: the run could not begin.
        """
        for _ in self:
            pass
        return self.result

    def approve(self, id: str, *, always: bool = False) -> None:  # noqa: A002 - the word of `ApprovalAsked`
        """See `RunStream.approve`."""
        self._call(lambda stream: stream.approve(id, always=always))

    def deny(self, id: str, reason: str = "", *, always: bool = False) -> None:  # noqa: A002 - as above
        """See `RunStream.deny`."""
        self._call(lambda stream: stream.deny(id, reason, always=always))

    @property
    def finished(self) -> bool:
        """True once the run has ended, so that there is a `result`."""
        return self._worker is not None and self._worker.stream.finished

    @property
    def result(self) -> Result[T_co]:
        """The result of the run, also of one that was cancelled.

        Raises:
            RunUnfinishedError: the run has not ended.
        """
        if self._worker is None:
            raise RunUnfinishedError(
                "The run has not begun, so there is no result yet.", hint="Read its events."
            )
        return self._worker.stream.result

    @property
    def error(self) -> WeaverError | None:
        """The error of a failed run, once it has ended."""
        return self._worker.stream.error if self._worker is not None else None

    def __iter__(self) -> Iterator[Event]:
        return self._iterate(lambda stream: stream.__aiter__())

    def text(self, *, whole: bool = False) -> Iterator[str]:
        """The answer, piece by piece: see `RunStream.text`."""
        return self._iterate(lambda stream: stream.text(whole=whole))

    def objects(self) -> Iterator[T_co]:
        """The output while it is written: see `RunStream.objects`."""
        return self._iterate(lambda stream: stream.objects())

    def _iterate(self, start: Callable[[RunStream[T_co]], AsyncIterator[V]]) -> Iterator[V]:
        worker = self._begun()
        try:
            values: AsyncIterator[V] | None = None
            while not worker.closed:
                if values is None:
                    values = start(worker.stream)
                value = worker.call(anext(values, _END))
                if isinstance(value, _End):
                    return
                yield value
        finally:
            if not self._entered or worker.stream.finished:
                worker.close()

    def _begun(self) -> _Worker[T_co]:
        if self._worker is None:
            self._worker = _Worker(self._make())
            weakref.finalize(self, self._worker.close)
            try:
                self._worker.call(self._worker.stream.__aenter__())
            except BaseException:
                self._worker.close()
                raise
        return self._worker

    def _call(self, action: Callable[[RunStream[T_co]], None]) -> None:
        async def act() -> None:
            action(worker.stream)

        worker = self._begun()
        if not worker.closed:
            worker.call(act())


class _End:
    """Stands for the end of an iterator."""


_END = _End()


class _Worker(Generic[T_co]):
    """A thread with an event loop, in which one stream is read.

    Attributes:
        closed: the thread ends, or has ended.
    """

    def __init__(self, stream: RunStream[T_co]) -> None:
        self.stream = stream
        self.closed = False
        self._is_up = threading.Event()
        # A daemon: a program that ends without closing the stream must not wait for the run.
        self._thread = threading.Thread(target=self._serve, name="weaver-stream-sync", daemon=True)
        self._thread.start()
        self._is_up.wait()

    def call(self, work: Awaitable[V]) -> V:
        """The value of ``work``, awaited in the thread."""

        async def awaited() -> V:
            return await work

        return asyncio.run_coroutine_threadsafe(awaited(), self._loop).result()

    def close(self) -> None:
        """Cancel the run, and end the thread."""
        if self.closed:
            return
        self.closed = True
        self._loop.call_soon_threadsafe(self._stop.set)
        if threading.current_thread() is not self._thread:  # a collected stream may be closed from anywhere
            self._thread.join(CLOSING_SECONDS)

    def _serve(self) -> None:
        asyncio.run(self._work())

    async def _work(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._is_up.set()
        await self._stop.wait()
        await self.stream.aclose()
