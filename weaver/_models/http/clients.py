"""HTTP clients: one per event loop, opened when needed, never left behind."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Any, Generic, Protocol, TypeVar

from weaver._models.http.address import address_of
from weaver._models.http.client import HTTPClient
from weaver._models.http.response import Client

_ACCEPT = 1.0


class Closeable(Protocol):
    """Something that must be closed in its event loop."""

    async def aclose(self) -> None: ...


T = TypeVar("T", bound=Closeable)


class _Kept(Generic[T]):
    """What belongs to one event loop."""

    def __init__(self, value: T) -> None:
        self.value = value
        self._keeper: AsyncGenerator[None, None] | None = None

    async def keep(self) -> None:
        """See to it that the value is closed when its event loop ends, whoever forgets it.

        Before `asyncio.run` and its kin close a loop, they close its asynchronous generators.
        """
        self._keeper = self._until_closed()
        await anext(self._keeper)

    async def aclose(self) -> None:
        if self._keeper is not None:
            await self._keeper.aclose()

    async def _until_closed(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            await self.value.aclose()


class PerLoop(Generic[T]):
    """One value for each event loop, made when needed and closed with the loop at the latest.

    Args:
        make: makes the value, within the running loop.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._of_loops: dict[asyncio.AbstractEventLoop, _Kept[T]] = {}
        # For whoever forgets to close: the values live on until their loop has closed them.
        weakref.finalize(self, _close_forgotten, self._of_loops).atexit = False

    def __len__(self) -> int:
        return len(self._of_loops)

    async def get(self) -> T:
        """Return the running loop's."""
        loop = asyncio.get_running_loop()
        client = self._of_loops.get(loop)
        if client is not None:
            return client.value
        for other in [other for other in self._of_loops if other.is_closed()]:
            del self._of_loops[other]
        self._of_loops[loop] = made = _Kept(self._make())
        await made.keep()
        return made.value

    async def aclose(self) -> None:
        """Close the running loop's. Those of other loops close when these shut down."""
        client = self._of_loops.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()


def _start_closing(loop: asyncio.AbstractEventLoop, known: _Kept[Any]) -> None:
    closing = loop.create_task(known.aclose())
    closing.add_done_callback(lambda _: known)  # a loop holds its tasks weakly


def _close_forgotten(of_loops: dict[asyncio.AbstractEventLoop, _Kept[Any]]) -> None:
    for loop, client in of_loops.items():
        if not loop.is_closed():
            with suppress(RuntimeError):  # it closes just now, and the value with it
                loop.call_soon_threadsafe(_start_closing, loop, client)


def open_client(proxy: str | None, *, connect_timeout: float, idle_timeout: float) -> Client:
    """Open a client for the running event loop.

    Args:
        proxy: URL of the proxy that requests go through, or None.
        connect_timeout: seconds for opening a connection.
        idle_timeout: seconds without a single byte from the server, before or after the headers.
    """
    if proxy is None:
        return HTTPClient(connect_timeout=connect_timeout, idle_timeout=idle_timeout)
    from weaver._models.http.aiohttp_client import AiohttpClient

    return AiohttpClient(proxy, connect_timeout=connect_timeout, idle_timeout=idle_timeout)


async def accepts(url: str) -> bool:
    """Tell whether there is a server at ``url`` that takes a TCP connection, at once."""
    address = address_of(url)
    try:
        async with asyncio.timeout(_ACCEPT):
            _, writer = await asyncio.open_connection(address.host, address.port)
    except OSError:
        return False
    writer.transport.abort()
    return True
