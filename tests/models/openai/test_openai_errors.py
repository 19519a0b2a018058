"""The adapter against a server that misbehaves: every way ends in one typed error, or in the answer."""

from __future__ import annotations

import asyncio
import errno
import json
import traceback

import anyio
import pytest

from tests.models.conftest import Heard, Serve, hear
from weaver._data.messages import user
from weaver._models.http.errors import ConnectError, DisconnectedError, TransportError, UnknownHostError
from weaver._models.openai.errors.complaints import wait_in
from weaver._models.openai.errors.http_errors import Failures
from weaver._models.openai.model import OpenAIModel
from weaver._models.protocol import Request
from weaver._testing import faults as f
from weaver.errors import (
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ModelConnectionError,
    ModelError,
    ModelProtocolError,
    ModelTimeoutError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
)
from weaver.testing import Scripted

pytestmark = pytest.mark.anyio

HELLO = Request(messages=(user("Hello"),))
SECRET = "sk-very-secret-123"


def refusal(status: int, **options: object) -> list[f.Fault]:
    return [f.Refusal(status, **options)]  # type: ignore[arg-type]


BEFORE: list[tuple[list[f.Fault], type[ModelError], str]] = [
    (refusal(400), BadRequestError, "HTTP 400: injected fault"),
    (refusal(401), AuthenticationError, "API key"),
    (refusal(403), AuthenticationError, "HTTP 403"),
    (refusal(402), BadRequestError, "credit"),
    (refusal(404), BadRequestError, "/models lists them"),
    (refusal(408), ModelTimeoutError, "HTTP 408"),
    (refusal(418), BadRequestError, "HTTP 418"),
    (refusal(429), RateLimitError, "HTTP 429"),
    (refusal(429, message="You exceeded your current quota"), BadRequestError, "quota"),
    (refusal(500), ServerError, "HTTP 500"),
    (refusal(502, body=b"<html><title>502 Bad Gateway</title></html>"), ServerError, "502 Bad Gateway"),
    (refusal(503), RateLimitError, "HTTP 503"),
    (refusal(529), RateLimitError, "HTTP 529"),
    (refusal(599, body=b"\xff\xfe"), ServerError, "HTTP 599"),
    (refusal(422, body=b'{"detail": [{"msg": "field required"}]}'), BadRequestError, "field required"),
    (refusal(500, body=b'{"error": "plain"}'), ServerError, "plain"),
    (refusal(500, body=b"[" * 50_000), ServerError, "HTTP 500"),
    (refusal(500, body=b"x" * 10_000_000), ServerError, "xxx…"),
    (refusal(500, body=b" "), ServerError, "no explanation"),
    (
        [f.Body(status=302, headers=(("Location", "http://x.test/a?token=1"),))],
        ModelProtocolError,
        "x.test/a ",
    ),
    ([f.Body(status=204)], ModelProtocolError, "HTTP 204"),
    ([f.Page()], ModelProtocolError, "an HTML page: Welcome"),
    ([f.Page(status=404)], BadRequestError, "an HTML page: Welcome"),
    ([f.Body(b"", "text/event-stream")], ModelProtocolError, "empty body"),
    ([f.Body(b"  \n", "application/json")], ModelProtocolError, "empty body"),
    ([f.Body(b'{"choices": [', "application/json")], ModelProtocolError, "no answer"),
    ([f.Body(b'{"greeting": "hi"}', "application/json")], ModelProtocolError, "neither choices"),
    ([f.Body(b'["hi"]', "application/json")], ModelProtocolError, "application/json"),
    ([f.Body(b"hello there", "text/plain")], ModelProtocolError, "hello there"),
    ([f.Body(b'{"error": {"message": "no such model", "code": 404}}')], BadRequestError, "no such model"),
    ([f.Body(b'{"error": {"message": "busy", "code": "503"}}')], RateLimitError, "busy"),
    ([f.Body(b'{"object": "error", "message": "old vLLM", "code": 400}')], BadRequestError, "old vLLM"),
    ([f.error_event("too busy", 429, at=0)], RateLimitError, "too busy"),
    ([f.Insert(b'event: error\ndata: {"message": "bad"}\n\n', 0)], ServerError, "bad"),
    ([f.Insert(b"event: error\ndata: oh no\n\n", 0)], ServerError, "oh no"),
    ([f.malformed(at=0)], ModelProtocolError, "not a chunk"),
    ([f.Insert(b"data: 17\n\n", 0)], ModelProtocolError, "not a chunk"),
    ([f.Insert(b'data: {"choices": [{"delta": {"content": 5}}]}\n\n', 0)], ModelProtocolError, "not a chunk"),
    ([f.Insert(b'data: {"choices": "x"}\n\n', 0)], ModelProtocolError, "not a chunk"),
    ([f.Reset()], ModelConnectionError, "closed the connection before it answered"),
    ([f.Reset(after=0)], ModelConnectionError, "closed the connection before"),
    ([f.Truncate(after=0)], ModelConnectionError, "before any output"),
    ([f.Stall()], ModelTimeoutError, "idle_timeout"),
    ([f.Stall(after=0)], ModelTimeoutError, "went silent for 0.2 s"),
]


@pytest.mark.parametrize(("fault", "kind", "said"), BEFORE, ids=lambda v: str(v)[:60])
async def test_failures_before_any_output(
    serve: Serve, fault: list[f.Fault], kind: type[ModelError], said: str
) -> None:
    server, model = await serve(
        faults=fault, model_options={"idle_timeout": 0.2, "api_key": SECRET, "max_bytes": 10**6}
    )
    heard = Heard()
    with pytest.raises(ModelError) as raised:
        await hear(model, HELLO, heard)
    error = raised.value
    assert type(error) is kind
    assert said in str(error)
    assert heard.deltas == []
    assert error.model == "openai/scripted"
    assert server.url in error.message
    assert error.hint
    assert len(str(error)) < 700
    assert "\n" not in str(error)
    await server.until(lambda s: s.in_flight == 0)
    assert len(server.requests) == 1


DURING: list[tuple[list[f.Fault], str]] = [
    ([f.Reset(after=2)], "closed the connection in the middle"),
    ([f.Truncate(after=2)], "closed the connection in the middle"),
    ([f.Truncate(after=2, clean=True)], "closed the connection in the middle"),
    ([f.Truncate(after=2, clean=True, cut=30)], "not a chunk"),
    ([f.Truncate(after=2, cut=30)], "closed the connection in the middle"),
    ([f.malformed()], "not a chunk"),
    ([f.error_event("overheated")], "overheated"),
    ([f.Stall(after=2)], "went silent for 0.2 s"),
    ([f.Stall(after=2), f.Drip(size=9)], "went silent for 0.2 s"),
    ([f.Insert(b'data: {"choices":[{"finish_reason":"abort"}]}\n\n')], "abort"),
]


@pytest.mark.parametrize(("fault", "said"), DURING, ids=lambda v: str(v)[:60])
async def test_failures_after_output_keep_it(serve: Serve, fault: list[f.Fault], said: str) -> None:
    server, model = await serve(faults=fault, model_options={"idle_timeout": 0.2})
    heard = Heard()
    with pytest.raises(StreamInterruptedError, match=said):
        await hear(model, HELLO, heard)
    assert heard.text == "one two "
    await server.until(lambda s: s.in_flight == 0)


async def test_a_failure_that_arrives_with_the_first_output_comes_after_it(serve: Serve) -> None:
    both = b'data: {"choices":[{"delta":{"content":"one"}}]}\n\ndata: {"error": {"message": "gone"}}\n\n'
    _, model = await serve(faults=[f.Body(both, "text/event-stream")])
    heard = Heard()
    with pytest.raises(StreamInterruptedError, match="gone"):
        await hear(model, HELLO, heard)
    assert heard.text == "one"


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(f.Flood(3_000_000), StreamInterruptedError), (f.Flood(3_000_000, whole=True), StreamInterruptedError)],
)
async def test_huge_answers_are_bounded(serve: Serve, fault: f.Fault, kind: type[ModelError]) -> None:
    server, model = await serve(faults=[fault], model_options={"max_bytes": 10**6})
    heard = Heard()
    with pytest.raises(kind, match="more than 1000000 bytes"):
        await hear(model, HELLO, heard)
    assert len(heard.text) <= 10**6
    await server.until(lambda s: s.connections == 0, timeout=2)


async def test_a_stall_after_the_finish_reason_is_no_failure(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("weaver._models.openai.stream._GRACE", 0.05)
    _, model = await serve(faults=[f.Stall(after=4)])
    heard = await hear(model, HELLO)
    assert heard.text == "one two three"
    assert heard.finish.reason == "stop"


class NeverEnds(f.Fault):
    async def during(self, events: f.Events, _exchange: f.Exchange, /) -> f.Events:
        async for event in events:
            yield event
        await anyio.sleep_forever()


async def test_a_connection_that_never_ends_is_closed_in_the_end(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("weaver._models.http.connection.LINGER", 0.05)
    server, model = await serve(faults=[NeverEnds()])
    heard = await hear(model, HELLO)
    assert heard.text == "one two three"
    assert server.in_flight == 1
    await server.until(lambda s: s.requests[0].closed == "disconnected", timeout=2)


async def test_refused_connections(serve: Serve) -> None:
    server, model = await serve()
    async with server.refusing():
        with pytest.raises(ModelConnectionError, match="refuses connections") as raised:
            await hear(model, HELLO)
        assert raised.value.retriable
    assert (await hear(model, HELLO)).text == "one two three"


async def test_an_unknown_host() -> None:
    model = OpenAIModel("openai/x", base_url="http://no-such-host.invalid/v1")
    with pytest.raises(ModelConnectionError, match="not known"):
        await hear(model, HELLO)
    await model.aclose()


@pytest.mark.parametrize(
    ("error", "said", "retriable"),
    [
        (ConnectError(errno.EHOSTUNREACH), "No route to host", True),
        (ConnectError(errno.EMFILE), "too many open files", True),
        (ConnectError(errno.ECONNREFUSED), "refuses connections.", True),
        (ConnectError(None), "cannot be reached", True),
        (UnknownHostError("h", is_final=True), "not known", False),
        (UnknownHostError("h", is_final=False), "not known", True),
        (DisconnectedError("x"), "closed the connection", True),
    ],
)
def test_what_keeps_from_connecting(error: TransportError, said: str, retriable: bool) -> None:
    ours = Failures("m", "http://x/v1", []).connection(error)
    assert isinstance(ours, ModelConnectionError)
    assert said in str(ours)
    assert ours.retriable is retriable


async def test_tls_where_there_is_none(serve: Serve) -> None:
    server, _ = await serve()
    model = OpenAIModel("openai/x", base_url=server.url.replace("http:", "https:"))
    with pytest.raises(ModelConnectionError, match="TLS") as raised:
        await hear(model, HELLO)
    assert not raised.value.retriable
    await model.aclose()


async def test_a_server_that_does_not_speak_http() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"220 mail.test ESMTP\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        model = OpenAIModel("openai/x", base_url=f"http://127.0.0.1:{port}")
        with pytest.raises(ModelProtocolError, match="valid HTTP"):
            await hear(model, HELLO)
        await model.aclose()


@pytest.mark.parametrize(
    "url", ["", "localhost:8080", "ftp://x", "http://", "http://[::1", "http://u:hunter22@x:notaport/v1"]
)
def test_base_urls_that_are_none(url: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        OpenAIModel("openai/x", base_url=url)
    assert raised.value.hint
    assert "hunter22" not in str(raised.value)


@pytest.mark.parametrize(
    "where", ["status", "redirect", "stream", "stream later", "page", "body", "unreachable"]
)
async def test_secrets_never_appear(serve: Serve, where: str) -> None:
    echo = f"your key {SECRET} is not good"
    fault: dict[str, f.Fault] = {
        "status": f.Refusal(401, message=echo),
        "redirect": f.Body(status=301, headers=(("Location", f"http://x/{SECRET}"),)),
        "stream": f.error_event(echo, at=0),
        "stream later": f.error_event(echo, at=1),
        "page": f.Page(html=f"<title>{SECRET}</title>"),
        "body": f.Body(f"hm {SECRET}".encode(), "text/plain"),
    }
    server, model = await serve(
        faults=[fault[where]] if where in fault else [],
        model_options={"api_key": SECRET, "headers": {"X-Key": SECRET[::-1]}},
    )
    if where == "unreachable":
        await server.__aexit__()
    with pytest.raises(ModelError) as raised:
        await hear(model, HELLO)
    shown = "".join(traceback.format_exception(raised.value)) + repr(raised.value) + repr(model)
    chain: BaseException | None = raised.value
    while chain is not None:
        shown += repr(chain)
        chain = chain.__cause__ or chain.__context__
    assert SECRET not in shown
    assert SECRET[::-1] not in shown


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "3"}, 3.0),
        ({"Retry-After": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "Retry-After": "1"}, 0.25),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:30 GMT", "Date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 30.0),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-3"}, None),
        ({"Retry-After": ""}, None),
        ({}, None),
    ],
)
def test_how_long_a_server_asks_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert wait_in(headers) == seconds


async def test_retry_after_reaches_the_error(serve: Serve) -> None:
    _, model = await serve(faults=[f.Refusal(429, retry_after=2)])
    with pytest.raises(RateLimitError) as raised:
        await hear(model, HELLO)
    assert raised.value.retry_after == 2.0


async def test_cancelling_in_the_middle_of_an_error_body(serve: Serve) -> None:
    server, model = await serve(Scripted("x", first=30.0), faults=[f.Stall()])
    with anyio.move_on_after(0.05):
        await hear(model, HELLO)
    await server.until(lambda s: s.connections == 0, timeout=2)
    assert server.requests[0].closed == "disconnected"


async def test_bad_weather_never_hangs_and_never_raises_anything_else(serve: Serve) -> None:
    server, model = await serve(
        Scripted("one two three four five"),
        faults=f.bad_weather(0.9, patience=0.3),
        seed=5,
        model_options={"idle_timeout": 0.2},
    )
    ended: list[str] = []

    async def call(i: int) -> None:
        try:
            heard = await hear(model, Request(messages=(user(f"question {i}"),)))
            assert heard.finish.reason == "stop"
            ended.append("answer")
        except ModelError as error:
            ended.append(type(error).__name__)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            for i in range(150):
                tasks.start_soon(call, i)
    assert len(ended) == 150
    assert 20 < ended.count("answer") < 130
    assert {"StreamInterruptedError", "ModelProtocolError", "RateLimitError", "ModelTimeoutError"} <= set(
        ended
    )
    await server.until(lambda s: s.in_flight == 0)
    json.dumps(server.stats())
