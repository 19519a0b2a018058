"""Answers of every shape, requests, and URLs, by our own HTTP client."""

from __future__ import annotations

import asyncio
import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.http.peer import CHUNKED, HELLO, Peer, cut, fetched, in_loop, opened, short
from weaver._models.http.address import address_of
from weaver._models.http.errors import (
    DisconnectedError,
    NotHTTPError,
)
from weaver._models.http.response import Headers, whole_body


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
async def test_the_client_reads_answers_of_every_shape(answer: bytes, body: bytes) -> None:
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
async def test_the_client_refuses_bytes_that_are_no_answer(answer: bytes, error: type[Exception]) -> None:
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


def test_a_url_gives_its_address() -> None:
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
