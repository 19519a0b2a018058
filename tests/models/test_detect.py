"""Looking for local servers and keys. Real servers on loopback ports, honest ones and others."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp import web

from weaver._models.catalog import detect
from weaver._models.endpoint import endpoint
from weaver.errors import (
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ModelConnectionError,
    ModelProtocolError,
    ModelTimeoutError,
)
from weaver.testing import Server

pytestmark = pytest.mark.anyio

Answering = Callable[..., Awaitable[str]]


@pytest.fixture
async def answering() -> AsyncIterator[Answering]:
    """``url = await answering(response)``: a server that answers everything so; or call it with a handler."""
    async with AsyncExitStack() as stack:

        async def start(answer: Any) -> str:
            async def handle(request: web.Request) -> web.StreamResponse:
                if callable(answer):
                    return await answer(request)
                if isinstance(answer, str):
                    return web.Response(text=answer, content_type="text/html")
                return web.json_response(answer)

            app = web.Application()
            app.router.add_route("*", "/{path:.*}", handle)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
            stack.push_async_callback(runner.cleanup)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            return f"http://127.0.0.1:{runner.addresses[0][1]}/v1"

        yield start


@pytest.fixture
def closed_port() -> Iterator[str]:
    """A URL where nobody listens, for as long as the test runs."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}/v1"


async def look(*urls: str, **options: Any) -> list[detect.Server]:
    return await detect.servers({detect.SERVERS_VARIABLE: ",".join(urls)}, **options)


@pytest.mark.parametrize(
    ("dialect", "kind", "prefix"),
    [("llama.cpp", "llama.cpp", "openai"), ("vllm", "vLLM", "hosted_vllm"), ("openai", "server", "openai")],
)
async def test_a_model_server_is_known_by_what_it_says(dialect: Any, kind: str, prefix: str) -> None:
    async with Server(dialect=dialect, model="qwen") as server:
        (found,) = await look(server.url)

    assert (found.kind, found.url, found.prefix, found.models) == (kind, server.url, prefix, ("qwen",))
    assert found.usable


async def test_what_only_listens_is_not_taken_for_a_model_server(
    answering: Answering, closed_port: str
) -> None:
    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        raise AssertionError

    async def loading(_: web.Request) -> web.Response:
        return web.json_response({"error": {"message": "Loading model"}}, status=503)

    async def elsewhere(_: web.Request) -> web.Response:
        raise web.HTTPFound("/login")

    urls = [
        closed_port,
        await answering("<html><title>Jenkins</title></html>"),
        await answering({"status": "up"}),
        await answering([1, 2, 3]),
        await answering({"data": [{"name": "no id"}]}),
        await answering(elsewhere),
        await answering(slow),
        await answering(loading),
        await answering({"object": "list", "data": None}),
    ]

    found = await look(*urls, seconds=0.3)

    assert [server.url for server in found] == urls
    no_protocol = "answers, but does not speak the OpenAI protocol"
    assert [server.problem for server in found] == [
        "nothing answers there",
        *[no_protocol] * 5,
        "does not answer within 0.3 s",
        "is busy, or still loading its model",
        "lists no model that can hold a chat",
    ]
    assert [server.listening for server in found] == [False] + [True] * 8


async def test_no_key_is_sent_when_looking_around() -> None:
    async with Server(api_key="secret") as server:
        (found,) = await detect.servers(
            {detect.SERVERS_VARIABLE: server.url, "OPENAI_API_KEY": "secret", "WEAVER_API_KEY": "secret"}
        )

    assert found.problem.startswith("asks for a key")


async def test_models_that_cannot_chat_are_left_out(answering: Answering) -> None:
    ids = ["text-embedding-nomic", "whisper-1", "bge-m3", "qwen3-8b"]
    url = await answering({"data": [{"id": i, "owned_by": "organization_owner"} for i in ids]})

    (found,) = await look(url)

    assert (found.kind, found.models) == ("LM Studio", ("qwen3-8b",))


async def test_all_places_are_looked_at_at_once(answering: Answering) -> None:
    arrived: set[str] = set()
    together = asyncio.Event()

    async def meet(request: web.Request) -> web.Response:
        arrived.add(request.host)
        if len(arrived) == 4:
            together.set()
        await together.wait()
        return web.json_response({"data": [{"id": "m"}]})

    found = await look(*[await answering(meet) for _ in range(4)], seconds=5.0)

    assert [server.usable for server in found] == [True] * 4


def test_the_usual_ports_can_be_moved() -> None:
    usual = [(kind, at.url) for kind, at, _ in detect.places({})]
    moved = [(kind, at.url) for kind, at, _ in detect.places({"OLLAMA_HOST": "0.0.0.0:9999"})]

    assert [url.rpartition(":")[2] for _, url in usual] == ["8080/v1", "11434/v1", "8000/v1", "1234/v1"]
    assert moved[1] == ("Ollama", "http://127.0.0.1:9999/v1")
    assert detect.places({detect.SERVERS_VARIABLE: ""}) == []
    with pytest.raises(ConfigurationError, match="WEAVER_SERVERS"):
        detect.places({detect.SERVERS_VARIABLE: "ftp://host"})


async def test_a_list_of_models_needs_the_key_and_never_shows_it() -> None:
    async with Server(api_key="sk-correct", model="m") as server:
        at = endpoint(server.url, place="base_url")

        listed = await detect.list_models(at, api_key="sk-correct")
        with pytest.raises(AuthenticationError) as caught:
            await detect.list_models(at, api_key="sk-incorrect")

    assert [item.id for item in listed] == ["m"]
    assert "sk-incorrect" not in str(caught.value)


async def test_each_failure_of_a_list_has_its_type(answering: Answering, closed_port: str) -> None:
    async def hang_up(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async def refuse(_: web.Request) -> web.Response:
        return web.json_response({"error": "no"}, status=404)

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"data": [')
        await asyncio.sleep(60)
        return response

    cases: list[tuple[str, type[Exception]]] = [
        (closed_port, ModelConnectionError),
        (await answering(hang_up), ModelConnectionError),
        (await answering(refuse), BadRequestError),
        (await answering("<html>"), ModelProtocolError),
        (await answering(endless), ModelTimeoutError),
    ]
    for url, kind in cases:
        with pytest.raises(kind, match=r"127\.0\.0\.1"):
            await detect.list_models(endpoint(url, place="base_url"), seconds=0.3)


async def test_the_urls_credentials_are_used_but_not_shown(answering: Answering) -> None:
    seen: list[str | None] = []

    async def remember(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        return web.json_response({"error": f"bad {request.headers['Authorization']}"}, status=401)

    url = (await answering(remember)).replace("://", "://user:hunter22@")
    with pytest.raises(AuthenticationError) as caught:
        await detect.list_models(endpoint(url, place="base_url"), api_key="other")

    assert seen == ["Basic dXNlcjpodW50ZXIyMg=="]
    assert "hunter22" not in str(caught.value)
    assert "dXNlcjpodW50ZXIyMg" not in str(caught.value)


def test_keys_are_found_by_name_and_their_values_are_not_kept() -> None:
    found = detect.keys(
        {"GROQ_API_KEY": "a", "ANTHROPIC_API_KEY": "b", "OPENAI_API_KEY": "c", "MISTRAL_API_KEY": " "}
    )

    assert [key.variable for key in found] == ["OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GROQ_API_KEY"]
    assert [key.needs_litellm for key in found] == [False, True, False]
    assert found[0].model == "openai/gpt-5-mini"
    assert not {"a", "b", "c"} & {part for key in found for part in (key.variable, key.model)}
