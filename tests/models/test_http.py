"""Our own HTTP client: answers of every shape, connections that are kept, closed or lost, TLS, proxies."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weaver._models.http import client as client_module
from weaver._models.http.address import address_of
from weaver._models.http.client import HTTPClient
from weaver._models.http.clients import open_client
from weaver._models.http.connection import Connection
from weaver._models.http.errors import (
    ConnectError,
    ConnectTimeoutError,
    DisconnectedError,
    NotHTTPError,
    SilenceError,
    TLSError,
    UnknownHostError,
)
from weaver._models.http.response import Headers, Response, whole_body
from weaver._models.layers.call_log import CallLog, current_call
from weaver.testing import virtual_time

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


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (HELLO, b"hello world"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + HELLO, b"hello world"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 P\r\n\r\n" + HELLO, b"hello world"),
        (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi", b"hi"),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", b"hi"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi and more", b"hi"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi HTTP/1.1 200 again", b"hi"),
        (CHUNKED.replace(b"X-A", b"X-Long: " + b"x" * 60_000 + b"\r\nX-A") + b"0\r\n\r\n", b""),
        (CHUNKED + b"2 \r\nhi\r\n0\r\nTrailer: x\r\n\r\n", b"hi"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
            % len(gzip.compress(b"zip" * 9, mtime=0)) + gzip.compress(b"zip" * 9),
            b"zip" * 9,
        ),
    ],
    ids=short,
)  # fmt: skip
async def test_answers_of_every_shape(answer: bytes, body: bytes) -> None:
    response, read = await fetched(answer)
    assert (response.status, read) == (204 if b" 204 " in answer else 200, body)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 400), max_size=12))
def test_an_answer_is_the_same_wherever_the_network_cuts_it(places: list[int]) -> None:
    async def in_pieces(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in cut(b"HTTP/1.1 100 Continue\r\n\r\n" + HELLO, places):
            writer.write(piece)
            await asyncio.sleep(0)

    async def main() -> None:
        async with Peer(in_pieces) as peer, opened() as client:
            for _ in range(2):
                response = await client.send("GET", peer.url, {})
                assert response.headers["X-A"] == "one"
                assert await whole_body(response, most=100) == b"hello world"
            assert peer.connections == 1

    in_loop(main())


@pytest.mark.anyio
async def test_a_body_without_a_length_ends_with_the_connection() -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nall there is")
        writer.close()

    assert (await fetched(talk))[1] == b"all there is"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", DisconnectedError),
        (b"HTTP/1.1 200 OK\r\nContent-", DisconnectedError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi", DisconnectedError),
        (CHUNKED + b"5\r\nhel", DisconnectedError),
        (CHUNKED + b"zz\r\nhello", DisconnectedError),
        (b"220 mail.test ESMTP\r\n\r\n", NotHTTPError),
        (b"\x15\x03\x01\x00\x02\x02\x46", NotHTTPError),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", NotHTTPError),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 2\r\n\r\nhi", NotHTTPError),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nhi", DisconnectedError),
        (b"HTTP/1.1 200 OK\r\n" + b"X-Long: " + b"x" * 600_000, NotHTTPError),
        (b"HTTP/1.1 200 OK\r\n" + b"X-Many: x\r\n" * 60_000, NotHTTPError),
    ],
    ids=short,
)
async def test_answers_that_are_none(answer: bytes, error: type[Exception]) -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()
        writer.close()

    with pytest.raises(error):
        await fetched(talk)


@pytest.mark.anyio
async def test_the_request_says_what_it_was_given() -> None:
    async with Peer(HELLO) as peer, opened() as client:
        url = f"{peer.url}/ä b?key=ü&x=1"
        await whole_body(await client.send("POST", url, {"X-One": "1"}, b"{}" * 40_000), most=100)
        head, _, body = peer.requests[0].partition(b"\r\n\r\n")
    assert body == b"{}" * 40_000
    assert head.decode().split("\r\n") == [
        "POST /v1/%C3%A4%20b?key=%C3%BC&x=1 HTTP/1.1",
        f"Host: 127.0.0.1:{peer.port}",
        "X-One: 1",
        "Content-Length: 80000",
    ]


@pytest.mark.anyio
async def test_a_header_with_a_line_break_is_not_sent() -> None:
    async with Peer(HELLO) as peer, opened() as client:
        with pytest.raises(ValueError, match="line break"):
            await client.send("POST", peer.url, {"X": "1\r\nHost: other"})
        assert peer.requests == []


def test_where_urls_lead() -> None:
    assert address_of("https://api.test/v1?a=b") == (True, "api.test", 443, "api.test", "/v1?a=b")
    assert address_of("http://[::1]:80") == (False, "::1", 80, "[::1]", "/")
    assert address_of("http://münchen.test:81/v1")[1:4] == (
        "xn--mnchen-3ya.test", 81, "xn--mnchen-3ya.test:81",
    )  # fmt: skip


def test_headers_are_found_in_any_case() -> None:
    headers = Headers([("Retry-After", "1"), ("retry-after", "2")])
    assert headers["RETRY-AFTER"] == headers.get("Retry-After") == "1"
    assert "Retry-after" in headers
    assert headers.get("X", "none") == "none"


# ---- connections


@pytest.mark.anyio
async def test_connections_are_kept_and_shared_by_no_two() -> None:
    async with Peer(HELLO) as peer, opened() as client:

        async def one() -> bytes:
            return await whole_body(await client.send("GET", peer.url, {}), most=100)

        assert await asyncio.gather(*(one() for _ in range(20))) == [b"hello world"] * 20
        assert await asyncio.gather(*(one() for _ in range(20))) == [b"hello world"] * 20
        assert peer.connections == 20


@pytest.mark.anyio
@pytest.mark.parametrize("headers", [{"Connection": "close"}, {}])
async def test_connections_that_are_not_to_be_kept(headers: dict[str, str]) -> None:
    answer = HELLO if headers else HELLO.replace(b"X-A", b"Connection: close\r\nX-A")
    async with Peer(answer) as peer, opened() as client:
        for _ in range(2):
            await whole_body(await client.send("GET", peer.url, headers), most=100)
        assert peer.connections == 2


@pytest.mark.anyio
async def test_idle_connections_are_closed_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
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
async def test_what_comes_on_an_idle_connection_belongs_to_nobody() -> None:
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


# ---- getting there


@pytest.mark.anyio
async def test_places_that_cannot_be_reached() -> None:
    async with opened(connect=30.0) as client:
        with pytest.raises(UnknownHostError) as raised:
            await client.send("GET", "http://no-such-host.invalid/v1", {})
        assert raised.value.is_final
        with pytest.raises(UnknownHostError):
            await client.send("GET", f"http://{'x' * 70}.test/v1", {})
        with pytest.raises(ConnectError) as refused:
            await client.send("GET", "http://127.0.0.1:1/v1", {})
        assert refused.value.number is not None
    async with opened(connect=0.1) as client:
        with pytest.raises((ConnectTimeoutError, ConnectError)):
            await client.send("GET", "http://192.0.2.1/v1", {})  # reserved: nobody is there


@pytest.mark.anyio
async def test_a_name_with_several_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Peer(HELLO) as peer, opened() as client:
        asked: list[str] = []

        async def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
            asked.append(host)
            first = (10, 1, 6, "", ("::1", port, 0, 0))  # nobody listens there
            return [first, (2, 1, 6, "", ("127.0.0.1", port))]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
        url = f"http://two.test:{peer.port}/v1"

        async def one() -> bytes:
            return await whole_body(await client.send("GET", url, {}), most=100)

        assert await asyncio.gather(*(one() for _ in range(5))) == [b"hello world"] * 5
        assert asked == ["two.test"]  # once for all


@pytest.mark.anyio
async def test_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = self_signed(tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED)
        await reader.readexactly(1)

    async with Peer(HELLO, HELLO, wait, tls=server) as peer, opened() as client:
        with pytest.raises(TLSError, match="certificate"):
            await client.send("GET", peer.url, {})
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        client_module._tls.cache_clear()
        for _ in range(2):
            response = await client.send("GET", peer.url, {}, b"x" * 100_000)
            assert await whole_body(response, most=100) == b"hello world"
        response = await client.send("GET", peer.url, {})
        response.abort()
        async with asyncio.timeout(1):
            while not peer.left:
                await asyncio.sleep(0)
        assert peer.connections == 1
    client_module._tls.cache_clear()


def self_signed(folder: Path) -> Path:
    """A key and a certificate for 127.0.0.1, in one file."""
    from datetime import datetime, timedelta
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    now = datetime.fromtimestamp(time.time())
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=2)).not_valid_after(now + timedelta(days=2))
    builder = builder.add_extension(names, critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    certificate = builder.sign(key, hashes.SHA256())
    place = folder / "server.pem"
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    place.write_bytes(private + certificate.public_bytes(pem))
    return place


@pytest.mark.anyio
async def test_requests_through_a_proxy_are_made_by_aiohttp() -> None:
    async with Peer(HELLO, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi") as proxy:
        through = f"http://127.0.0.1:{proxy.port}"
        async with opened(proxy=through) as client:
            assert not isinstance(client, HTTPClient)
            response = await client.send("POST", "http://api.test/v1", {"X-One": "1"}, b"{}")
            assert (response.status, response.headers["x-a"]) == (200, "one")
            assert await whole_body(response, most=100) == b"hello world"
            assert proxy.requests[0].startswith(b"POST http://api.test/v1 HTTP/1.1\r\nHost: api.test\r\n")
            cut_off = await client.send("GET", "http://api.test/v1", {})
            assert proxy.connections == 1
            assert await cut_off.read(100) == b"hi"
            cut_off.abort()
            assert not cut_off.is_open
        async with asyncio.timeout(1):
            while not proxy.left:
                await asyncio.sleep(0)


def test_the_same_on_uvloop() -> None:
    uvloop = pytest.importorskip("uvloop")

    async def main() -> None:
        async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(CHUNKED)
            await reader.readexactly(1)

        async with Peer(HELLO, HELLO, wait) as peer, opened() as client:
            for _ in range(2):
                assert await whole_body(await client.send("GET", peer.url, {}), most=100) == b"hello world"
            (await client.send("GET", peer.url, {})).abort()
            async with asyncio.timeout(1):
                while not peer.left:
                    await asyncio.sleep(0)
            assert peer.connections == 1

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
