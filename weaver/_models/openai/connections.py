"""HTTP sessions for an endpoint: one per event loop, opened when needed, never left behind."""

from __future__ import annotations

import asyncio
import inspect
import weakref
from collections.abc import AsyncGenerator
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass
from weakref import WeakSet

import aiohttp
from yarl import URL

from weaver._models.layers.call_log import current_call

# Shorter than the idle timeout of common servers (5 s in uvicorn, node and llama.cpp), so that a request
# is not sent on a connection that the server is about to close.
_KEEP_ALIVE = 4.0
# How long a finished answer's connection may take to become reusable before it is closed.
_LINGER = 1.0
_ACCEPT = 1.0
# Proxies and content security policies make heads that aiohttp's own limits (8 KB a field) refuse.
LARGE_HEADS: dict[str, Any] = {"max_line_size": 64 * 1024, "max_field_size": 128 * 1024}
if "max_headers" in inspect.signature(aiohttp.ClientSession.__init__).parameters:  # since aiohttp 3.14
    LARGE_HEADS["max_headers"] = 1000


reused: ContextVar[bool] = ContextVar("weaver_reused_connection", default=False)
"""Tell whether the connection that this task got last had served another request before."""


class _Connector(aiohttp.TCPConnector):
    """Notes in `reused` whether a connection is a new one; aiohttp's own tracing costs 40 µs per call."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._used: WeakSet[object] = WeakSet()

    async def connect(self, *args: Any, **options: Any) -> Any:
        connection = await super().connect(*args, **options)
        protocol = connection.protocol
        reused.set(protocol in self._used)
        self._used.add(protocol)
        if (log := current_call.get()) is not None and connection.transport is not None:
            log.abort = connection.transport.abort
        return connection


@dataclass(slots=True)
class _OfLoop:
    """What belongs to one event loop."""

    session: aiohttp.ClientSession
    keeper: AsyncGenerator[None, None] | None = None
    lingering: dict[aiohttp.ClientResponse, asyncio.TimerHandle] = field(default_factory=dict)

    def linger(self, response: aiohttp.ClientResponse, loop: asyncio.AbstractEventLoop) -> None:
        self.lingering[response] = loop.call_later(_LINGER, self.give_up_on, response)
        response.content.on_eof(partial(self.ended, response))

    def ended(self, response: aiohttp.ClientResponse) -> None:
        if (timer := self.lingering.pop(response, None)) is not None:
            timer.cancel()

    def give_up_on(self, response: aiohttp.ClientResponse) -> None:
        self.ended(response)
        response.close()

    async def keep(self) -> None:
        """See to it that the session is closed when its event loop ends, whoever forgets it.

        Before `asyncio.run` and its kin close a loop, they close its asynchronous generators.
        """
        self.keeper = self._until_closed()
        await anext(self.keeper)

    async def aclose(self) -> None:
        if self.keeper is not None:
            await self.keeper.aclose()

    async def _until_closed(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            for response in list(self.lingering):
                self.give_up_on(response)
            await self.session.close()


class Connections:
    """The sessions of one model.

    There is no limit on connections here: limits are explicit, visible and counted as queue time
    (`weaver._models.layers.limit`), never a silent queue in the HTTP client.

    Args:
        connect_timeout: seconds for opening a TCP connection.
        idle_timeout: seconds without a single byte from the server, before or after the headers.
    """

    def __init__(self, *, connect_timeout: float, idle_timeout: float) -> None:
        self._timeout = aiohttp.ClientTimeout(
            total=None, connect=None, sock_connect=connect_timeout, sock_read=idle_timeout
        )
        self._of_loops: dict[asyncio.AbstractEventLoop, _OfLoop] = {}
        # For whoever forgets to close: the sessions live on until their loop has closed them.
        weakref.finalize(self, _close_forgotten, self._of_loops).atexit = False

    async def session(self) -> aiohttp.ClientSession:
        """The running loop's session."""
        loop = asyncio.get_running_loop()
        found = self._of_loops.get(loop)
        if found is not None and not found.session.closed:
            return found.session
        for other in [other for other in self._of_loops if other.is_closed()]:
            del self._of_loops[other]
        session = aiohttp.ClientSession(
            connector=_Connector(limit=0, limit_per_host=0, keepalive_timeout=_KEEP_ALIVE, ttl_dns_cache=300),
            timeout=self._timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            **LARGE_HEADS,
        )
        self._of_loops[loop] = opened = _OfLoop(session)
        await opened.keep()
        return session

    def done_with(self, response: aiohttp.ClientResponse) -> None:
        """The answer is complete. Its connection becomes reusable as soon as the last bytes are there."""
        if response.connection is None:
            return
        # aiohttp gives the connection back by itself when the body ends, which is usually the next read.
        loop = asyncio.get_running_loop()
        found = self._of_loops.get(loop)
        if found is None:
            response.close()
        else:
            found.linger(response, loop)

    def abort(self, response: aiohttp.ClientResponse) -> None:
        """Close the TCP connection at once, without TLS's farewell, which a busy server may ignore."""
        connection = response.connection
        transport = connection.transport if connection is not None else None
        if transport is not None:
            transport.abort()
        response.close()

    async def aclose(self) -> None:
        """Close the running loop's session. Other loops' sessions close when those loops shut down."""
        found = self._of_loops.pop(asyncio.get_running_loop(), None)
        if found is not None:
            await found.aclose()


def _start_closing(loop: asyncio.AbstractEventLoop, found: _OfLoop) -> None:
    closing = loop.create_task(found.aclose())
    closing.add_done_callback(lambda _: found)  # a loop holds its tasks weakly


def _close_forgotten(of_loops: dict[asyncio.AbstractEventLoop, _OfLoop]) -> None:
    for loop, found in of_loops.items():
        if not loop.is_closed():
            with suppress(RuntimeError):  # it closes just now, and the session with it
                loop.call_soon_threadsafe(_start_closing, loop, found)


async def accepts(url: URL) -> bool:
    """Tell whether there is a server at ``url`` that takes a TCP connection, at once."""
    try:
        async with asyncio.timeout(_ACCEPT):
            _, writer = await asyncio.open_connection(url.host, url.port)
    except OSError:
        return False
    writer.transport.abort()
    return True


def proxy_for(url: str) -> str | None:
    """The HTTP proxy that the environment names for ``url``, as curl reads it.

    That is ``HTTP_PROXY`` or ``HTTPS_PROXY``, else ``ALL_PROXY``, with or without ``http://``, unless
    ``NO_PROXY`` excepts the host. SOCKS proxies are not supported and passed over.

    None for this machine itself, which no proxy can reach, whatever ``NO_PROXY`` says.
    """
    parts = urlsplit(url)
    if _loopback(parts.hostname or ""):
        return None
    host = parts.hostname or ""
    known = getproxies()
    proxy = (known.get(parts.scheme) or known.get("all") or "").strip()
    if proxy and "://" not in proxy:
        proxy = f"http://{proxy}"
    excepted = proxy_bypass(host) or (parts.port is not None and proxy_bypass(f"{host}:{parts.port}"))
    return None if excepted or not proxy.startswith(("http://", "https://")) else proxy


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
