"""Answering while the client is there: streams of events, and what happens when it leaves."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

COMMENT = b": keep-alive\n\n"
SILENCE = 10.0
"""Seconds without an event after which a comment is sent, for proxies that close silent connections."""
Headers = Iterable[tuple[str, str]]
Answer = Callable[["Connection"], Awaitable[None]]


class Connection:
    """One client's connection, for one answer.

    Attributes:
        status: of the answer, once it has begun.
        gone: whether the client left before the end, or did not read any more.
        on_silence: called when nothing has been sent for `SILENCE` seconds.
    """

    def __init__(self, receive: Receive, send: Send, send_timeout: float) -> None:
        self.status: int | None = None
        self.gone = False
        self._receive = receive
        self._send = send
        self.on_silence: Callable[[], None] = _nothing
        self._timeout = send_timeout
        self._is_sending = self._is_whole = False
        self._since = anyio.current_time()  # when the latest message was sent, or began to be

    @asynccontextmanager
    async def watched(self) -> AsyncGenerator[None]:
        """Cancel the block when the client leaves, or does not read any more; `gone` says so."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._watch, group.cancel_scope)
            group.start_soon(self._tick, group.cancel_scope)
            yield
            group.cancel_scope.cancel()

    async def _watch(self, scope: anyio.CancelScope) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone = not self._is_whole  # an answer that is whole ends in a disconnect, too
        scope.cancel()

    async def _tick(self, scope: anyio.CancelScope) -> None:
        """Look at the time now and then: a timer for each message would cost more than the message."""
        while True:
            await anyio.sleep(min(SILENCE, self._timeout) / 4)
            waited = anyio.current_time() - self._since
            if self._is_sending and waited >= self._timeout:
                self.gone = True
                scope.cancel()
            elif not self._is_sending and waited >= 0.75 * SILENCE:
                self.on_silence()

    async def begin(self, status: int, headers: Headers) -> None:
        """Send the status and the headers."""
        self.status = status
        raw = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers]
        await self._sent({"type": "http.response.start", "status": status, "headers": raw})

    async def write(self, data: bytes) -> None:
        """Send a piece of the body; waits while the client reads more slowly than it is written."""
        await self._sent({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes = b"") -> None:
        """Send the last piece."""
        self._is_whole = True
        await self._sent({"type": "http.response.body", "body": data, "more_body": False})

    async def whole(self, status: int, body: bytes, headers: Headers = ()) -> None:
        """Send a whole answer in JSON."""
        head = [("content-type", "application/json"), ("content-length", str(len(body)))]
        await self.begin(status, [*head, *headers])
        await self.end(body)

    async def begin_events(self, headers: Headers = ()) -> None:
        """Begin a stream of server-sent events."""
        head = [
            ("content-type", "text/event-stream; charset=utf-8"),
            ("cache-control", "no-cache"),
            ("x-accel-buffering", "no"),
        ]
        await self.begin(200, [*head, *headers])

    async def _sent(self, message: dict[str, Any]) -> None:
        self._is_sending, self._since = True, anyio.current_time()
        await self._send(message)
        self._is_sending, self._since = False, anyio.current_time()


def _nothing() -> None:
    return None


class Exchange:
    """A response: what `answer` sends over the connection.

    Args:
        answer: sends the answer. It is cancelled when the client leaves.
        done: called with the connection at the end, whatever the end was.
    """

    def __init__(
        self, answer: Answer, *, send_timeout: float, done: Callable[[Connection], None] = lambda _: None
    ) -> None:
        self._answer = answer
        self._done = done
        self._timeout = send_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's
        """Answer, as an ASGI application."""
        connection = Connection(receive, send, self._timeout)
        try:
            async with connection.watched():
                await self._answer(connection)
        finally:
            self._done(connection)
