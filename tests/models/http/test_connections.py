"""Connections of our own HTTP client: kept, closed, lost, and slow."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest

from tests.models.http.peer import CHUNKED, HELLO, Peer, opened
from weaver._models.http import client as client_module
from weaver._models.http.connection import Connection
from weaver._models.http.errors import (
    DisconnectedError,
    SilenceError,
)
from weaver._models.http.response import whole_body
from weaver._models.layers.call_log import CallLog, current_call
from weaver.testing import virtual_time


@pytest.mark.anyio
async def test_the_client_keeps_connections_and_gives_each_to_one_request() -> None:
    async with Peer(HELLO) as peer, opened() as client:

        async def one() -> bytes:
            return await whole_body(await client.send("GET", peer.url, {}), most=100)

        assert await asyncio.gather(*(one() for _ in range(20))) == [b"hello world"] * 20
        assert await asyncio.gather(*(one() for _ in range(20))) == [b"hello world"] * 20
        assert peer.connections == 20


@pytest.mark.anyio
@pytest.mark.parametrize("headers", [{"Connection": "close"}, {}])
async def test_the_client_closes_connections_that_are_not_to_be_kept(headers: dict[str, str]) -> None:
    answer = HELLO if headers else HELLO.replace(b"X-A", b"Connection: close\r\nX-A")
    async with Peer(answer) as peer, opened() as client:
        for _ in range(2):
            await whole_body(await client.send("GET", peer.url, headers), most=100)
        assert peer.connections == 2


@pytest.mark.anyio
async def test_the_client_closes_idle_connections_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "KEEP_ALIVE", 0.02)
    async with Peer(HELLO) as peer, opened() as client:
        await whole_body(await client.send("GET", peer.url, {}), most=100)
        while not peer.left:
            await asyncio.sleep(0.005)
        await whole_body(await client.send("GET", peer.url, {}), most=100)
        assert peer.connections == 2


@pytest.mark.anyio
@pytest.mark.parametrize(("said", "connections"), [("timeout=1", 2), ("timeout=5, max=100", 1), ("x", 1)])
async def test_a_connection_is_kept_as_long_as_the_server_announces(said: str, connections: int) -> None:
    answer = HELLO.replace(b"X-A", f"Keep-Alive: {said}\r\nX-A".encode())
    async with Peer(answer) as peer, opened() as client:
        for _ in range(2):
            await whole_body(await client.send("GET", peer.url, {}), most=100)
        assert peer.connections == connections


@pytest.mark.anyio
async def test_bytes_on_an_idle_connection_are_no_answer_to_the_next_request() -> None:
    answered = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HELLO)
        await answered.wait()
        writer.write(HELLO.replace(b"hello", b"WRONG"))
        await reader.readexactly(1)

    async with Peer(talk, HELLO) as peer, opened() as client:
        await whole_body(await client.send("GET", peer.url, {}), most=100)
        answered.set()
        while not peer.left:
            await asyncio.sleep(0)
        assert await whole_body(await client.send("GET", peer.url, {}), most=100) == b"hello world"
        assert peer.connections == 2


@pytest.mark.anyio
async def test_a_request_is_sent_again_only_where_the_server_has_not_seen_it() -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def begin_and_hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200")
        await writer.drain()
        writer.close()

    async with Peer(HELLO, hang_up, HELLO, begin_and_hang_up, HELLO) as peer, opened() as client:
        await whole_body(await client.send("GET", peer.url, {}), most=100)
        await whole_body(await client.send("GET", peer.url, {}), most=100)  # on a new connection
        assert (peer.connections, len(peer.requests)) == (2, 3)
        with pytest.raises(DisconnectedError):
            await client.send("GET", peer.url, {})


@pytest.mark.anyio
@pytest.mark.parametrize("when", ["before the headers", "in the body"])
async def test_a_cancelled_request_closes_its_connection_at_once(when: str) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if when == "in the body":
            writer.write(CHUNKED + b"5\r\nhello\r\n")
        await reader.readexactly(1)

    async with Peer(talk) as peer, opened() as client:

        async def ask() -> None:
            response = await client.send("GET", peer.url, {})
            try:
                while await response.read(100):
                    pass
            finally:
                response.abort()

        asking = asyncio.ensure_future(ask())
        while not peer.requests:
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        asking.cancel()
        await asyncio.wait({asking})
        async with asyncio.timeout(1):
            while not peer.left:
                await asyncio.sleep(0)


@pytest.mark.anyio
async def test_a_connection_can_be_closed_before_its_caller_is_cancelled() -> None:
    async def talk(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)

    async with Peer(talk) as peer, opened() as client:
        log = CallLog()
        token = current_call.set(log)
        asking = asyncio.ensure_future(client.send("GET", peer.url, {}))
        current_call.reset(token)
        while not peer.requests:
            await asyncio.sleep(0)
        assert log.abort is not None
        log.abort()
        with pytest.raises(DisconnectedError):
            await asking


@pytest.mark.anyio
async def test_a_server_that_floods_is_slowed_down() -> None:
    size = 60_000_000
    sent = 0

    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        while sent < size:
            writer.write(b"x" * 60_000)
            sent += 60_000
            await writer.drain()

    async with Peer(flood) as peer, opened() as client:
        response = await client.send("GET", peer.url, {})
        for _ in range(200):
            await asyncio.sleep(0)
        assert sent < size / 2  # the rest of what is on its way lies in the buffers of both systems
        read = 0
        while part := await response.read(16 * 1024):
            read += len(part)
        assert read == size


class Wire(asyncio.Transport):
    """A connection to a server that we play; `abort` closes it."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self.connection = connection
        self.sent = b""
        self.unsent = 0
        self.closed = False
        connection.connection_made(self)

    def write(self, data: Any) -> None:
        self.sent += data

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True
        self.connection.connection_lost(None)


@pytest.mark.parametrize("upload", [False, True])
def test_silence_is_noticed_and_slow_words_are_none(upload: bool) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        connection = Connection(loop, 100.0, lambda _: None, lambda _: None)
        wire = Wire(connection)
        exchange = connection.send(b"GET / HTTP/1.1\r\n\r\n", b"", keeps=True)
        for left in (5, 4, 3) if upload else ():  # a slow upload is no silence
            wire.unsent = left
            await asyncio.sleep(90)
        wire.unsent = 0
        await asyncio.sleep(90)
        connection.data_received(CHUNKED)
        for _ in range(3):
            await asyncio.sleep(90)
            connection.data_received(b"1\r\nx\r\n")
        assert await exchange.read(100) == b"xxx"
        began = loop.time()
        with pytest.raises(SilenceError):
            await exchange.read(100)
        assert 99.9 < loop.time() - began <= 100.0
        assert wire.closed

    anyio.run(main, backend_options=virtual_time()[1])
