"""Our own client: connections to servers within one event loop, opened when needed and kept."""

from __future__ import annotations

import asyncio
import errno
import functools
import socket
import ssl
from collections.abc import Mapping
from typing import Any

from weaver._models.http.address import Address, address_of
from weaver._models.http.connection import Connection, Exchange
from weaver._models.http.errors import (
    ConnectError,
    ConnectTimeoutError,
    DisconnectedError,
    TLSError,
    TransportError,
    UnknownHostError,
)
from weaver._models.layers.call_log import current_call

KEEP_ALIVE = 15.0
"""Seconds for which an idle connection is kept where the server does not announce how long it keeps its own
(``Keep-Alive: timeout=5``). One that the server has closed is noticed at once; a request that crosses with
the closing is sent again."""
MOST_STALE = 20
"""How often a request is sent again because the server had closed the connection meanwhile."""
_NAMES_KEPT = 300.0
_FAREWELL = 1.0  # the longest that closing waits for connections to be gone
_EYEBALLS = 0.25  # seconds until the next address is tried beside the one before (RFC 8305)

_Info = tuple[Any, Any, int, str, Any]


class HTTPClient:
    """A `weaver._models.http.response.Client` on asyncio and httptools, for direct connections.

    There is no limit on connections here: limits are explicit, visible and counted as queue time
    (`weaver._models.layers.limit`), never a silent queue in the HTTP client.

    Args:
        connect_timeout: seconds for opening a connection, TLS included.
        idle_timeout: seconds without a single byte from the server, before or after the headers.
    """

    def __init__(self, *, connect_timeout: float, idle_timeout: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._connect_timeout = connect_timeout
        self._idle_timeout = idle_timeout
        self._connections: set[Connection] = set()
        self._idle: dict[tuple[str, int, bool], list[Connection]] = {}
        self._places: dict[Connection, tuple[str, int, bool]] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self._emptied: asyncio.Future[None] | None = None
        self._names: dict[tuple[str, int], tuple[float, asyncio.Task[list[_Info]]]] = {}

    async def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> Exchange:
        """Send a request and wait for its answer's headers. Redirects are not followed.

        Raises:
            TransportError: there is no answer.
        """
        address = address_of(url)
        head = _head(method, address, headers, len(body))
        keeps = headers.get("Connection") != "close"
        log = current_call.get()
        for tries in range(MOST_STALE + 1):
            connection = self._kept(address) or await self._connect(address)
            exchange = connection.send(head, body, keeps=keeps)
            if log is not None:
                log.abort = exchange.abort
            try:
                await exchange.begun()
            except DisconnectedError as error:
                if not error.is_stale or tries == MOST_STALE:
                    raise
            except BaseException:
                exchange.abort()
                raise
            else:
                return exchange
        raise AssertionError("unreachable")

    async def aclose(self) -> None:
        """Close every connection, and wait until they are."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for connection in list(self._connections):
            connection.abort()
        for _, asking in self._names.values():
            asking.cancel()
        self._names.clear()
        self._idle.clear()
        if self._connections:
            self._emptied = self._emptied or self._loop.create_future()
            await asyncio.wait([self._emptied], timeout=_FAREWELL)

    # ---- connections that are kept

    def _kept(self, address: Address) -> Connection | None:
        idle = self._idle.get((address.host, address.port, address.is_secure))
        now = self._loop.time()
        while idle:
            connection = idle.pop()
            if connection.is_usable and connection.idle_until > now:
                return connection
            connection.abort()
        return None

    def _give_back(self, connection: Connection) -> None:
        connection.idle_until = self._loop.time() + min(KEEP_ALIVE, connection.announced)
        self._idle.setdefault(self._places[connection], []).append(connection)
        if self._sweeper is None:
            self._sweeper = self._loop.call_at(connection.idle_until, self._sweep)

    def _sweep(self) -> None:
        """Close what has been idle for too long."""
        self._sweeper = None
        now = self._loop.time()
        next_at = float("inf")
        for place, idle in list(self._idle.items()):
            young = [
                idle_connection
                for idle_connection in idle
                if idle_connection.is_usable and idle_connection.idle_until > now + 0.001
            ]
            for connection in set(idle).difference(young):
                connection.abort()
            if young:
                self._idle[place] = young
                next_at = min(next_at, young[0].idle_until)
            else:
                del self._idle[place]
        if next_at < float("inf"):
            self._sweeper = self._loop.call_at(next_at, self._sweep)

    def _gone(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._places.pop(connection, None)
        if not self._connections and self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)

    # ---- connections that are new

    async def _connect(self, address: Address) -> Connection:
        try:
            async with asyncio.timeout(self._connect_timeout):
                return await self._connected(address)
        except TimeoutError:
            raise ConnectTimeoutError(f"no connection within {self._connect_timeout:g} s") from None
        except TransportError:
            raise
        except ssl.SSLError as error:  # certificates that are not trusted included
            raise TLSError(str(error)) from None
        except OSError as error:
            self._names.pop((address.host, address.port), None)  # it may have moved
            raise ConnectError(error.errno) from None

    async def _connected(self, address: Address) -> Connection:
        infos = await self._resolved(address.host, address.port)
        opened = await _opened(self._loop, infos)
        connection = Connection(self._loop, self._idle_timeout, self._give_back, self._gone)
        options: dict[str, Any] = {}
        if address.is_secure:
            options = {"ssl": _tls(), "server_hostname": address.host.partition("%")[0]}
        try:
            await self._loop.create_connection(lambda: connection, sock=opened, **options)
        except BaseException:
            opened.close()
            raise
        self._connections.add(connection)
        self._places[connection] = (address.host, address.port, address.is_secure)
        if not connection.is_usable:
            raise DisconnectedError("the server closed the connection at once")
        return connection

    async def _resolved(self, host: str, port: int) -> list[_Info]:
        """Addresses of a host; names are remembered for a while, and asked for once at a time."""
        if (literal := _literal(host, port)) is not None:
            return [literal]
        until, asking = self._names.get((host, port), (0.0, None))
        now = self._loop.time()
        failed = asking is not None and asking.done() and (asking.cancelled() or asking.exception())
        if asking is None or failed or now >= until:
            asking = self._loop.create_task(
                self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
            )
            self._names[host, port] = now + _NAMES_KEPT, asking
        try:
            return await asyncio.shield(asking)
        except socket.gaierror as error:
            raise UnknownHostError(host, is_final=error.errno == socket.EAI_NONAME) from None
        except UnicodeError:
            raise UnknownHostError(host, is_final=True) from None


def _literal(host: str, port: int) -> _Info | None:
    """The address that ``host`` is itself, unless it is a name."""
    if "%" in host:
        return None
    for family, where in ((socket.AF_INET, (host, port)), (socket.AF_INET6, (host, port, 0, 0))):
        try:
            socket.inet_pton(family, host)
        except (OSError, UnicodeError):
            continue
        return family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", where
    return None


async def _opened(loop: asyncio.AbstractEventLoop, infos: list[_Info]) -> socket.socket:
    """A connected socket: to the only address, or to the first of several that takes it (RFC 8305)."""
    if len(infos) != 1:
        from aiohappyeyeballs import start_connection  # pyright: ignore[reportUnknownVariableType] - partial types

        opened = await start_connection(infos, happy_eyeballs_delay=_EYEBALLS, interleave=1, loop=loop)
    else:
        family, kind, protocol, _, where = infos[0]
        opened = socket.socket(family, kind, protocol)
        try:
            opened.setblocking(False)
            await loop.sock_connect(opened, where)
        except BaseException:
            opened.close()
            raise
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    except OSError as error:
        if error.errno != errno.EINVAL:  # macOS, where the other side has closed it meanwhile
            opened.close()
            raise
    return opened


@functools.cache
def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _head(method: str, address: Address, headers: Mapping[str, str], length: int) -> bytes:
    lines = [f"{method} {address.target} HTTP/1.1", f"Host: {address.authority}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if length:
        lines.append(f"Content-Length: {length}")
    text = "\r\n".join(lines)
    if text.count("\n") != len(lines) - 1 or text.count("\r") != len(lines) - 1:
        raise ValueError("a header holds a line break")
    return (text + "\r\n\r\n").encode("utf-8")
