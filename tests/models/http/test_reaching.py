"""The way to a server: names, refusals, TLS, proxies, and uvloop."""

from __future__ import annotations

import asyncio
import ssl
import time
from pathlib import Path
from typing import Any

import pytest

from tests.models.http.peer import CHUNKED, HELLO, Peer, opened
from weaver._models.http import client as client_module
from weaver._models.http.client import HTTPClient
from weaver._models.http.errors import (
    ConnectError,
    ConnectTimeoutError,
    TLSError,
    UnknownHostError,
)
from weaver._models.http.response import whole_body


@pytest.mark.anyio
async def test_the_client_says_why_a_server_cannot_be_reached() -> None:
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
async def test_the_client_tries_the_addresses_of_a_name_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
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
async def test_the_client_checks_certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_the_client_works_on_uvloop() -> None:
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
