"""Requests by aiohttp: through proxies, and on behalf of litellm."""

from __future__ import annotations

import asyncio
import inspect
import io
from collections.abc import Mapping
from contextvars import ContextVar
from functools import partial
from typing import Any
from weakref import WeakSet

import aiohttp
from yarl import URL

from weaver._models.http.aiohttp_errors import transport_error
from weaver._models.http.client import MOST_STALE
from weaver._models.http.connection import LINGER
from weaver._models.http.errors import DisconnectedError
from weaver._models.http.response import Headers
from weaver._models.layers.call_log import current_call

_LARGE_BODY = 2**20
_KEEP_ALIVE = 4.0  # seconds: aiohttp does not read what servers announce, and many close at 5
# Proxies and content security policies make heads that aiohttp's own limits (8 KB a field) refuse.
_LARGE_HEADS: dict[str, Any] = {"max_line_size": 64 * 1024, "max_field_size": 128 * 1024}
if "max_headers" in inspect.signature(aiohttp.ClientSession.__init__).parameters:  # since aiohttp 3.14
    _LARGE_HEADS["max_headers"] = 1000

_reused: ContextVar[bool] = ContextVar("weaver_reused_connection", default=False)


class _Connector(aiohttp.TCPConnector):
    """Notes in `_reused` whether a connection is a new one; aiohttp's own tracing costs 40 µs per call."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)  # pyright: ignore[reportUnknownMemberType] - aiohttp types it in part
        self._used: WeakSet[object] = WeakSet()

    async def connect(self, *args: Any, **options: Any) -> Any:
        connection = await super().connect(*args, **options)
        protocol = connection.protocol
        _reused.set(protocol in self._used)
        self._used.add(protocol)
        if (log := current_call.get()) is not None and connection.transport is not None:
            log.abort = connection.transport.abort
        return connection


class AiohttpClient:
    """A `weaver._models.http.response.Client` on aiohttp.

    Args:
        proxy: URL of the proxy that requests go through, or None.
        connect_timeout, idle_timeout: see `weaver._models.http.client.HTTPClient`.

    Attributes:
        session: aiohttp's.
    """

    def __init__(self, proxy: str | None = None, *, connect_timeout: float, idle_timeout: float) -> None:
        self._proxy = proxy
        self.session = aiohttp.ClientSession(
            connector=_Connector(limit=0, limit_per_host=0, keepalive_timeout=_KEEP_ALIVE, ttl_dns_cache=300),
            timeout=aiohttp.ClientTimeout(
                total=None, connect=None, sock_connect=connect_timeout, sock_read=idle_timeout
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            **_LARGE_HEADS,
        )
        self._lingering: dict[aiohttp.ClientResponse, asyncio.TimerHandle] = {}

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b""
    ) -> AiohttpResponse:
        """See `weaver._models.http.response.Client`."""
        for tries in range(MOST_STALE + 1):
            _reused.set(False)
            try:
                response = await self.session.request(
                    method,
                    URL(url),
                    data=(body if len(body) < _LARGE_BODY else io.BytesIO(body)) if body else None,
                    headers=headers,
                    allow_redirects=False,
                    proxy=self._proxy,
                )
            except (aiohttp.ClientError, OSError) as error:
                failed = transport_error(error)
                if _reused.get() and isinstance(failed, DisconnectedError) and tries < MOST_STALE:
                    continue
            else:
                return AiohttpResponse(response, self._linger)
            # Raised here and not in a handler: aiohttp's exceptions carry the request's headers.
            raise failed
        raise AssertionError("unreachable")

    async def aclose(self) -> None:
        """Close every connection."""
        for response in list(self._lingering):
            self._give_up_on(response)
        await self.session.close()

    def _linger(self, response: aiohttp.ClientResponse) -> None:
        loop = asyncio.get_running_loop()
        self._lingering[response] = loop.call_later(LINGER, self._give_up_on, response)
        response.content.on_eof(partial(self._ended, response))

    def _ended(self, response: aiohttp.ClientResponse) -> None:
        if (timer := self._lingering.pop(response, None)) is not None:
            timer.cancel()

    def _give_up_on(self, response: aiohttp.ClientResponse) -> None:
        self._ended(response)
        response.close()


class AiohttpResponse:
    """See `weaver._models.http.response.Response`."""

    def __init__(self, response: aiohttp.ClientResponse, linger: Any) -> None:
        self._response = response
        self._linger = linger
        self.status = response.status
        self.headers = Headers(response.headers.items())

    @property
    def is_open(self) -> bool:
        """True if it still has a connection, which nobody else uses."""
        return self._response.connection is not None

    async def read(self, most: int) -> bytes:
        """Return the next bytes of the body, at most so many; none at its end."""
        try:
            return await self._response.content.read(most)
        except (aiohttp.ClientError, OSError) as error:
            failed = transport_error(error)
        raise failed

    def release(self) -> None:
        """Let go of an answer that has been read. aiohttp keeps its connection when the body has ended."""
        if self._response.connection is not None:
            self._linger(self._response)

    def abort(self) -> None:
        """Close its connection at once."""
        connection = self._response.connection
        if connection is not None and connection.transport is not None:
            connection.transport.abort()
        self._response.close()
