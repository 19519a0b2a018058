"""One answer as it streams in: reads, events, chunks, deltas."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from pydantic_core import from_json

from weaver._json_reading.json_types import is_object
from weaver._models.http.errors import SilenceError, TransportError
from weaver._models.http.response import Response
from weaver._models.layers.call_log import current_call
from weaver._models.openai.chunks.reader import ChunkReader, InvalidChunkError, ServerSaidError
from weaver._models.openai.errors.http_errors import Failures
from weaver._models.openai.sse import ErrorEvent, EventReader, TooLargeError
from weaver._models.protocol import Delta
from weaver.errors import ModelError

# After the finish reason only usage and the end mark are to come: do not wait long for them.
_GRACE = 2.0
# Where it is not sure that this was the end, since the first chunk had it already.
_LONG_GRACE = 30.0
_SSE_STARTS = (b"data:", b":", b"event:", b"id:", b"retry:", b"error:")
_SLICE = 16 * 1024  # bytes that are parsed before other tasks get their turn: some 3 ms
_ENOUGH = 6  # bytes to tell them from anything else


class OpenAIStream:
    """An iterator of deltas over one HTTP response.

    Reads are handled whole: all events of a read are parsed at once and then handed out without going
    back to the event loop.
    """

    __slots__ = (
        "_begun",
        "_bytes",
        "_chunks",
        "_closed",
        "_complete",
        "_events",
        "_failure",
        "_failures",
        "_idle_timeout",
        "_log",
        "_max_bytes",
        "_pop",
        "_ready",
        "_response",
        "_slices",
    )

    def __init__(
        self,
        response: Response,
        failures: Failures,
        *,
        max_bytes: int,
        idle_timeout: float,
    ) -> None:
        self._response = response
        self._failures = failures
        self._max_bytes = max_bytes
        self._idle_timeout = idle_timeout
        self._log = current_call.get()
        if self._log is not None:
            self._log.abort = self._abort
        self._events = EventReader()
        self._chunks = ChunkReader()
        self._ready = self._chunks.deltas
        self._pop: Callable[[], Delta] = self._ready.popleft
        self._bytes = 0
        self._slices = 0
        self._begun = False
        self._complete = False  # the answer's end was seen; nothing more is wanted
        self._closed = False
        self._failure: ModelError | None = None  # raised once what had arrived before is handed out

    def __aiter__(self) -> OpenAIStream:
        return self

    async def __anext__(self) -> Delta:
        while not self._ready:
            if self._failure is not None:
                self.close()
                raise self._failure
            if self._complete or self._closed:
                raise StopAsyncIteration
            await self._read()
        return self._pop()

    async def begin(self) -> None:
        """Wait for the first delta.

        Raises:
            ModelError: the answer is none, or failed before it began.
        """
        await self._read_first()
        while not self._ready and not self._settled:
            await self._read()
        if not self._ready and self._failure is not None:
            raise self._failure
        self._begun = True

    def close(self) -> None:
        """Give the connection back when the answer is complete, close it at once otherwise."""
        if self._closed:
            return
        self._closed = True
        if self._log is not None:
            self._log.received += self._bytes
            self._log.tokens = self._chunks.tokens
            self._log.abort = None
        if self._complete and self._failure is None:
            self._response.release()
        else:
            self._response.abort()

    def _abort(self) -> None:
        """Close the connection, unless the answer is whole and another call may have it already."""
        if not self._complete:
            self._response.abort()

    async def _read_first(self) -> None:
        """The first bytes tell whether this is an event stream, whatever the server calls it."""
        text = b""
        while len(text) < _ENOUGH and (read := await self._next_read()):
            text = (text + read).removeprefix(b"\xef\xbb\xbf").lstrip()
        if not text:
            if self._failure is None:
                self._failure = self._failures.protocol("answered with an empty body")
        elif text.startswith((b"{", b"[")):
            await self._read_whole(text)
        elif text.startswith(b"<"):
            await self._reject_page(text)
        elif text.startswith(_SSE_STARTS):
            self._handle(text)
        else:
            self._not_events(text)

    async def _read(self) -> None:
        read = await self._next_read()
        if read:
            self._handle(read)
        elif not self._settled and not self._handle(b"", ended=True):
            if self._chunks.finish is not None:
                self._end()
            else:
                self._closed_early()

    async def _next_read(self) -> bytes:
        """The next bytes, or none at the end or with ``_failure`` set."""
        response, chunks = self._response, self._chunks
        try:
            if chunks.finish is None or chunks.finishes > 1:
                read = await response.read(_SLICE)
            else:
                async with asyncio.timeout(_GRACE if chunks.is_final else _LONG_GRACE):
                    read = await response.read(_SLICE)
        except (TimeoutError, SilenceError):
            if chunks.finish is None or chunks.finishes > 1:
                self._went_silent()
            return b""
        except TransportError:
            if not chunks.is_final:
                self._closed_early()
            return b""
        self._bytes += len(read)
        self._slices += 1
        if self._slices > 1 and len(read) == _SLICE:
            # More is there already: without this a server that floods would keep the loop to itself.
            await asyncio.sleep(0)
        if self._bytes > self._max_bytes:
            self._too_large()
            return b""
        return read

    def _handle(self, read: bytes, *, ended: bool = False) -> bool:
        """Parse a read. True when that settled the answer: its end, or a failure."""
        try:
            for payload in self._events.end() if ended else self._events.feed(read):
                if payload.startswith(b"[DONE]"):
                    self._end_by_mark()
                    return True
                if payload.__class__ is ErrorEvent:
                    self._reported(_error_in(payload))
                    return True
                if payload:
                    self._chunks.read(payload)
        except ServerSaidError as said:
            self._reported(said.body)
        except InvalidChunkError as error:
            if not self._chunks.is_final:
                self._broke(
                    f"sent something that is not a chunk of an answer: {self._failures.clean(str(error))}"
                )
        except TooLargeError:
            self._too_large()
        return self._settled

    async def _read_whole(self, start: bytes) -> None:
        """A server that does not stream: one JSON object."""
        parts = [start]
        while read := await self._next_read():
            parts.append(read)
        if self._failure is not None:
            return
        body = b"".join(parts)
        if not body.strip():
            self._failure = self._failures.protocol("answered with an empty body")
            return
        try:
            self._chunks.read(body, whole=True)
        except ServerSaidError as said:
            self._reported(said.body)
        except InvalidChunkError as error:
            if body.startswith(b"["):
                self._not_events(body)
                return
            problem = f"answered with JSON that is no answer: {self._failures.clean(str(error))}"
            self._failure = self._failures.protocol(problem)
        else:
            self._end()

    async def _reject_page(self, start: bytes) -> None:
        body = start
        while len(body) < 64 * 1024 and (read := await self._next_read()):
            body += read
        self._failure = self._failures.page(body)

    def _not_events(self, start: bytes) -> None:
        kind = self._response.headers.get("content-type", "no type").partition(";")[0]
        excerpt = self._failures.clean(start[:80].decode("utf-8", "replace"))
        self._failure = self._failures.protocol(f"answered with {kind} and not with events: {excerpt!r}")

    def _end_by_mark(self) -> None:
        """``[DONE]``. Servers that send no finish reason end so, and also those that failed."""
        if self._chunks.finish is None:
            if self._events.stray:
                self._reported(_error_in(self._events.stray))
                return
            if self._chunks.foreign and not self._said_something():
                self._broke(f"sent something that is not a chunk of an answer: {self._chunks.foreign}")
                return
        self._end()

    def _end(self) -> None:
        self._complete = True
        self._chunks.close()

    def _closed_early(self) -> None:
        if self._events.stray:
            self._reported(_error_in(self._events.stray))
        else:
            self._broke("closed the connection in the middle of its answer")

    def _reported(self, body: Any) -> None:
        self._failure = self._failures.in_stream(body, begun=self._said_something())

    def _broke(self, what: str) -> None:
        if self._said_something():
            self._failure = self._failures.broken(what)
        elif what.startswith("closed"):
            self._failure = self._failures.ended_early()
        else:
            self._failure = self._failures.protocol(what)

    def _went_silent(self) -> None:
        if self._said_something():
            self._failure = self._failures.broken(
                f"went silent for {self._idle_timeout:g} s in the middle of its answer"
            )
        else:
            self._failure = self._failures.silent("began to answer and then went silent", self._idle_timeout)

    def _too_large(self) -> None:
        problem = f"sent more than {self._max_bytes} bytes for one answer"
        if self._said_something():
            self._failure = self._failures.broken(problem)
        else:
            self._failure = self._failures.protocol(problem, "")

    @property
    def _settled(self) -> bool:
        return self._complete or self._failure is not None

    def _said_something(self) -> bool:
        return self._begun or bool(self._ready)


def _error_in(payload: bytes) -> Any:
    """An error event's data, in the envelope that errors have elsewhere."""
    try:
        document = from_json(payload)
    except ValueError:
        document = payload.decode("utf-8", "replace")
    return document if is_object(document) and document.keys() & {"error", "errors"} else {"error": document}
