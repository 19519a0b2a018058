"""One HTTP/1.1 connection: a request, its answer as it comes in, then the next request."""

from __future__ import annotations

import asyncio
import re
import socket
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from weaver._models.http.errors import DisconnectedError, NotHTTPError, SilenceError, TransportError
from weaver._models.http.response import Headers

LINGER = 1.0
"""Seconds that the rest of an answer may take, once nobody reads it, before its connection is closed."""
_MOST_HEAD = 512 * 1024
_MOST_WAITING = 256 * 1024  # bytes that wait for whoever reads, before the server is slowed down
_MOST_DISCARDED = 256 * 1024
_TIMEOUT = re.compile(r"\btimeout\s*=\s*(\d{1,6})\b", re.IGNORECASE)
_MARGIN = 1.0  # seconds before a server closes an idle connection, in which nothing is sent on it
# As lenient as browsers are where it is harmless: the answer ends where its server says.
_LENIENT = {
    "lenient_headers": True,
    "lenient_data_after_close": True,
    "lenient_optional_cr_before_lf": True,
    "lenient_spaces_after_chunk_size": True,
}


_NONE = Headers()


class Exchange:
    """A request that was sent, and its answer (`weaver._models.http.response.Response`)."""

    __slots__ = (
        "_connection", "_discarded", "_ended", "_error", "_inflate", "_linger", "_parts", "_size", "_waiter",
        "headers", "status",
    )  # fmt: skip

    def __init__(self, connection: Connection) -> None:
        self.status = 0
        self.headers = _NONE
        self._connection: Connection | None = connection
        self._parts: list[bytes] = []
        self._size = 0
        self._ended = False
        self._error: TransportError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._inflate: Any = None
        self._linger: asyncio.TimerHandle | None = None
        self._discarded = -1  # bytes, once nobody reads any more

    @property
    def is_open(self) -> bool:
        """True if it still has a connection, which nobody else uses."""
        return self._connection is not None

    async def begun(self) -> None:
        """Wait for status and headers.

        Raises:
            TransportError: there is no answer.
        """
        while not self.status:
            if self._error is not None:
                raise self._error
            await self._news()

    async def read(self, most: int) -> bytes:
        """Return the next bytes of the body, at most so many; none at its end."""
        while not self._parts:
            if self._error is not None:
                raise self._error
            if self._ended:
                return b""
            await self._news()
        parts = self._parts
        read = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        if len(read) > most:
            parts.append(read[most:])
            read = read[:most]
        self._size -= len(read)
        if self._connection is not None and self._connection.is_paused and self._size < _MOST_WAITING // 2:
            self._connection.resume()
        return read

    def release(self) -> None:
        """Let go of the answer. Its connection is kept when the rest comes soon."""
        connection = self._connection
        if connection is None or self._discarded >= 0:
            return
        self._discarded = self._size
        self._parts.clear()
        self._linger = connection.loop.call_later(LINGER, self.abort)
        if connection.is_paused:
            connection.resume()

    def abort(self) -> None:
        """Close the connection at once."""
        if self._connection is not None:
            self._connection.abort()

    # ---- for the connection

    def begin(self, status: int, headers: Headers) -> None:
        """Status and headers have come."""
        self.status, self.headers = status, headers
        coding = headers.get("content-encoding") or ""
        if coding in ("gzip", "x-gzip", "deflate"):  # although `identity` was asked for
            self._inflate = zlib.decompressobj(15 if coding == "deflate" else 31)
        elif coding not in ("", "identity"):
            self.fail(NotHTTPError(f"the answer is encoded as {coding[:20]!r}"))

    def take(self, data: bytes) -> bool:
        """A part of the body has come. False when there is too much to hold."""
        if data and self._inflate is None and self._discarded < 0:  # nearly always
            self._parts.append(data)
            self._size += len(data)
            return self._size < _MOST_WAITING
        if self._discarded >= 0:
            self._discarded += len(data)
            return self._discarded < _MOST_DISCARDED
        while data:
            part = data
            data = b""
            if self._inflate is not None:
                part = self._inflate.decompress(part, _MOST_WAITING)
                data = self._inflate.unconsumed_tail
            if part:
                self._parts.append(part)
                self._size += len(part)
        return self._size < _MOST_WAITING

    def end(self, error: TransportError | None = None) -> None:
        """Nothing more comes; the connection is another's."""
        self._connection = None
        self._ended = True
        self._error = self._error or error
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        self.wake()

    def fail(self, error: TransportError) -> None:
        """Discard the rest of the answer with this error; the first error stays."""
        self._error = self._error or error

    def wake(self) -> None:
        """There is something to read."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _news(self) -> asyncio.Future[None]:
        """A future for whoever waits; `wake` ends it."""
        connection = self._connection
        loop = asyncio.get_running_loop() if connection is None else connection.loop
        self._waiter = loop.create_future()
        return self._waiter


class Connection(asyncio.Protocol):
    """A connection to a server, used by one exchange after the other.

    Args:
        idle_timeout: seconds of silence within an exchange.
        give_back: called when an exchange is over and the connection can be used again.
        gone: called when it is closed.

    Attributes:
        is_used: it has served an exchange before.
        idle_until: when it is closed if nobody uses it (event loop's clock).
        announced: seconds for which the server keeps it idle, less one; infinity where it does not say.
    """

    __slots__ = (
        "_close_after", "_exchange", "_give_back", "_gone", "_head", "_heard", "_idle_timeout", "_interim",
        "_pairs", "_parser", "_timer", "_to_eof", "_transport", "_unsent", "_whole", "announced",
        "idle_until", "is_paused", "is_used", "loop",
    )  # fmt: skip

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        idle_timeout: float,
        give_back: Callable[[Connection], None],
        gone: Callable[[Connection], None],
    ) -> None:
        self.loop = loop
        self.is_used = self.is_paused = False
        self.idle_until = 0.0
        self.announced = float("inf")
        self._idle_timeout = idle_timeout
        self._give_back = give_back
        self._gone = gone
        self._transport: asyncio.Transport | None = None
        self._parser: HttpResponseParser | None = None
        self._exchange: Exchange | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._heard = 0.0
        self._unsent = 0
        self._pairs: list[tuple[str, str]] = []
        self._head = 0
        self._interim = self._to_eof = self._whole = self._close_after = False

    @property
    def is_usable(self) -> bool:
        """True if another request can be sent."""
        return self._transport is not None and not self._transport.is_closing() and self._exchange is None

    def send(self, head: bytes, body: bytes, *, keeps: bool) -> Exchange:
        """Send a request. ``keeps``: the connection may be used again after it."""
        assert self._transport is not None
        exchange = self._exchange = Exchange(self)
        self._pairs, self._head = [], 0
        self._whole = self._to_eof = self._interim = False
        self._close_after = not keeps
        self._heard = self.loop.time()
        self._transport.write(head + body if len(body) < 65_536 else head)
        if len(body) >= 65_536:
            self._transport.write(body)
        self._unsent = self._transport.get_write_buffer_size()
        if self._timer is None:
            self._timer = self.loop.call_later(self._idle_timeout, self._look)
        return exchange

    def resume(self) -> None:
        """Read on."""
        self.is_paused = False
        self._heard = self.loop.time()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def abort(self, error: TransportError | None = None) -> None:
        """Close it at once: the server sees it before this returns, where the event loop allows that."""
        transport = self._transport
        self._end(error or DisconnectedError("closed here"))
        if transport is None:
            return
        with suppress(OSError, TypeError, AttributeError):  # uvloop's sockets cannot be shut down
            transport.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        transport.abort()

    # ---- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's does not inherit from it
        self._parser = HttpResponseParser(self)
        with suppress(AttributeError, TypeError):  # httptools before 0.6.2
            self._parser.set_dangerous_leniencies(**_LENIENT)

    def data_received(self, data: bytes) -> None:
        exchange, parser = self._exchange, self._parser
        if exchange is None or parser is None:  # nobody has asked
            self.abort()
            return
        self._heard = self.loop.time()
        if not exchange.status:
            self._head += len(data)
        try:
            parser.feed_data(data)
        except HttpParserUpgrade:
            self.abort(NotHTTPError("the server changes the protocol"))
            return
        except HttpParserError as error:
            if not self._whole:
                begun = bool(exchange.status)
                message = str(error) or type(error).__name__
                self.abort(DisconnectedError(message) if begun else NotHTTPError(message))
                return
            self._close_after = True
        if self._whole:
            self._finish()
            return
        if not exchange.status and self._head > _MOST_HEAD:
            self.abort(NotHTTPError(f"headers of more than {_MOST_HEAD} bytes"))
            return
        exchange.wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        exchange = self._exchange
        is_cut = exchange is None or not exchange.status or not self._to_eof or exc is not None
        error = DisconnectedError("the server closed the connection") if is_cut else None
        if error is not None and exchange is not None:
            error.is_stale = self.is_used and not self._head
        self._end(error)
        self._gone(self)

    # ---- the parser's

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header has come."""
        self._pairs.append((name.decode("latin-1"), value.decode("utf-8", "surrogateescape")))

    def on_headers_complete(self) -> None:
        """All headers have come."""
        assert self._parser is not None
        status = self._parser.get_status_code()
        pairs, self._pairs = self._pairs, []
        exchange = self._exchange
        self._interim = 100 <= status < 200 and status != 101
        if self._interim or exchange is None or exchange.status:
            self._close_after = self._close_after or not self._interim
            return
        headers = Headers(pairs)
        names = headers.keys()  # in lower case, and looked up as they are
        self._to_eof = "content-length" not in names and "transfer-encoding" not in names
        self._close_after = self._close_after or not self._parser.should_keep_alive()
        if "keep-alive" in names and (announced := _TIMEOUT.search(headers["keep-alive"])):
            self.announced = max(0.0, float(announced[1]) - _MARGIN)
        exchange.begin(status, headers)

    def on_body(self, body: bytes) -> None:
        """A part of the body has come."""
        exchange = self._exchange
        if exchange is None or self._whole:
            self._close_after = True
            return
        try:
            has_room = exchange.take(body)
        except zlib.error:
            exchange.fail(DisconnectedError("the body cannot be decompressed"))
            self._close_after = True
            return
        if not has_room and not self.is_paused and self._transport is not None:
            self.is_paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """The answer is whole."""
        if self._interim:
            self._interim = False
        else:
            self._whole = True

    # ---- inside

    def _finish(self) -> None:
        exchange, transport = self._exchange, self._transport
        assert exchange is not None
        self._exchange = None
        exchange.end()
        self.is_used = True
        if transport is None:
            return
        if self.is_paused:
            self.resume()
        if self._close_after or transport.is_closing() or transport.get_write_buffer_size():
            self._stop_timer()
            transport.abort() if transport.get_extra_info("ssl_object") else transport.close()
        else:
            self._give_back(self)

    def _end(self, error: TransportError | None) -> None:
        self._parser = None  # it leads back here
        self._stop_timer()
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.end(error)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        """Give up on a server that is silent; look again later otherwise."""
        self._timer = None
        if self._exchange is None or self._transport is None:
            return  # the next exchange sets it again
        unsent = self._transport.get_write_buffer_size()
        if self.is_paused or unsent != self._unsent:
            self._heard = self.loop.time()
        self._unsent = unsent
        seconds = self._heard + self._idle_timeout - self.loop.time()
        if seconds > 1e-6:
            self._timer = self.loop.call_later(seconds, self._look)
        else:
            self.abort(SilenceError(f"silent for {self._idle_timeout:g} s"))
