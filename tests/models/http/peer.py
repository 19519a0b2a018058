"""A server whose bytes are ours, and a client of it."""

from __future__ import annotations

import asyncio
import itertools
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from weaver._models.http.clients import open_client
from weaver._models.http.response import Response, whole_body

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: one\r\nx-a: two\r\n\r\n"
HELLO = CHUNKED + b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"


async def request_of(reader: asyncio.StreamReader) -> bytes:
    """One request, head and body."""
    head = await reader.readuntil(b"\r\n\r\n")
    _, _, length = head.lower().partition(b"content-length: ")
    return head + await reader.readexactly(int(length.split(b"\r\n")[0] or 0))


class Peer:
    """A server whose bytes are ours.

    Attributes:
        requests: as they came.
        connections: that were opened; ``left``: of those, that the client has closed.
    """

    def __init__(self, *answers: bytes | Talk, tls: ssl.SSLContext | None = None) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self.connections = self.left = 0
        self._tls = tls

    async def __aenter__(self) -> Peer:
        self._server = await asyncio.start_server(self._talk, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                self.requests.append(await request_of(reader))
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if isinstance(answer, bytes):
                    writer.write(answer)
                else:
                    await answer(reader, writer)
                if writer.is_closing():
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            self.left += 1
        finally:
            writer.close()


@asynccontextmanager
async def opened(*, connect: float = 5.0, idle: float = 5.0, proxy: str | None = None) -> AsyncIterator[Any]:
    client = open_client(proxy, connect_timeout=connect, idle_timeout=idle)
    try:
        yield client
    finally:
        await client.aclose()


async def fetched(*answers: bytes | Talk, idle: float = 5.0) -> tuple[Response, bytes]:
    """What the client makes of an answer."""
    async with Peer(*answers) as peer, opened(idle=idle) as client:
        response = await client.send("POST", peer.url, {"A": "b"}, b"{}")
        return response, await whole_body(response, most=10**7)


def in_loop(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def short(value: object) -> str:
    """Return a name for a case: compressed bodies have the time in them, and others are long."""
    return getattr(value, "__name__", repr(value)[:40])


def cut(data: bytes, at: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(place % (len(data) + 1) for place in at)})
    return [data[start:end] for start, end in itertools.pairwise(places)]
