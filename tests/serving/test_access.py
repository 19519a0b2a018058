"""Keys, limits, hosts, bodies and what a client may not do."""

from __future__ import annotations

import json
import socket
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.serving.asking import client, user
from tests.serving.conftest import Start, served
from weaver._data.usage import Usage
from weaver._serving.config import KeyEntry, ServeConfig
from weaver._serving.http.errors import ApiError
from weaver._serving.keys import Client, keys_from
from weaver.errors import ConfigurationError
from weaver.testing import Scripted, Server

ALICE, BOB = "alice-secret-key-1", "bob-secret-key-222"


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEAVER_SERVE_KEYS", f"alice:{ALICE},bob:{BOB}")


@pytest.mark.usefixtures("keys")
def test_a_key_is_needed_where_there_are_keys(start: Start):
    server = start()
    for path in ("/models", "/models/weaver/direct"):
        assert httpx.get(server.url + path).status_code == 401
    root = server.url.removesuffix("/v1")
    assert httpx.get(f"{root}/metrics").status_code == 401
    assert httpx.get(f"{root}/health").json() == {"status": "ok"}
    assert httpx.get(f"{root}/ready").json() == {"status": "ready"}
    with (
        client(server.url, key="wrong-key-of-somebody") as api,
        pytest.raises(openai.AuthenticationError) as raised,
    ):
        api.models.list()
    assert raised.value.code == "invalid_api_key"
    assert "wrong-key" not in str(raised.value)
    with client(server.url, key=ALICE) as api:
        assert "weaver/adaptive" in [m.id for m in api.models.list()]
    headers = {"x-api-key": BOB}
    assert httpx.get(f"{root}/metrics", headers=headers).text.startswith("# HELP weaver_serve_requests_total")


@pytest.mark.usefixtures("keys")
def test_a_key_has_a_rate_a_budget_and_models_of_its_own(start: Start):
    spent = Usage(calls=1, input_tokens=60, output_tokens=50)
    server = start(
        [Scripted("one two", usage=spent)],
        keys={
            "alice": {"max_total_tokens": 100, "models": ["weaver/d*"]},
            "bob": {"rpm": 2},
        },
    )
    with client(server.url, key=ALICE) as api:
        ids = {m.id for m in api.models.list()}
        assert ids >= {"weaver/direct", "weaver/debate", "weaver/deepconf"}
        assert all(name.startswith("weaver/d") for name in ids)
        with pytest.raises(openai.PermissionDeniedError):
            api.chat.completions.create(model="weaver/adaptive", messages=user("hi"))
        api.chat.completions.create(model="weaver/direct", messages=user("hi"))
        with pytest.raises(openai.RateLimitError) as raised:
            api.chat.completions.create(model="weaver/direct", messages=user("hi"))
        assert raised.value.code == "insufficient_quota"
        assert raised.value.response.headers["x-should-retry"] == "false"
    with client(server.url, key=BOB) as api:
        for _ in range(2):
            api.chat.completions.create(model="weaver/direct", messages=user("hi"))
        with pytest.raises(openai.RateLimitError) as raised:
            api.chat.completions.create(model="weaver/direct", messages=user("hi"))
        assert 1 <= int(raised.value.response.headers["retry-after"]) <= 30
    assert len(server.models.requests) == 3
    refused = 'weaver_serve_requests_total{endpoint="/chat/completions",status="429"} 2'
    patience = time.monotonic() + 10
    while refused not in server.service.metrics.text() and time.monotonic() < patience:
        time.sleep(0.01)  # a request is counted once its response is sent
    metrics = server.service.metrics.text()
    assert refused in metrics
    assert 'weaver_serve_tokens_total{model="weaver/direct",key="alice",kind="output"} 50' in metrics


@pytest.mark.usefixtures("keys")
def test_a_budget_holds_over_runs_at_the_same_time(start: Start):
    import threading

    server = start([Scripted("word " * 2000, each=0.001)], keys={"alice": {"max_total_tokens": 1000}})
    statuses = []

    def ask() -> None:
        body = {"model": "weaver/direct", "messages": user("hello")}
        answer = httpx.post(
            f"{server.url}/chat/completions", json=body, headers={"x-api-key": ALICE}, timeout=30
        )
        statuses.append(answer.status_code)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (alice,) = [c for c in server.service.clients.all if c.name == "alice"]
    assert alice.ledger.spent.total_tokens <= 1100
    assert 200 in statuses


@pytest.mark.usefixtures("keys")
def test_nobody_can_continue_or_read_another_keys_response(start: Start):
    server = start("my secret")
    with client(server.url, key=ALICE) as alice, client(server.url, key=BOB) as bob:
        first = alice.responses.create(model="weaver/direct", input="hi")
        assert alice.responses.retrieve(first.id).output_text == "my secret"
        for attempt in (bob.responses.retrieve, bob.responses.delete, bob.responses.cancel):
            with pytest.raises(openai.NotFoundError):
                attempt(first.id)
        with pytest.raises(openai.BadRequestError):
            bob.responses.create(model="weaver/direct", input="x", previous_response_id=first.id)


def test_a_budget_begins_anew_with_its_period():
    now = datetime(2026, 1, 1, 23, 59, tzinfo=UTC)
    one = Client("alice", KeyEntry(max_total_tokens=10), now=lambda: 0.0, today=lambda: now)
    one.ledger.spend(Usage(input_tokens=10))
    with pytest.raises(ApiError, match="no tokens left for this day"), one.request():
        pass
    now = datetime(2026, 1, 2, 0, 1, tzinfo=UTC)
    with one.request():
        pass


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("alice", "entry 1 is not NAME:KEY"),
        ("alice:short", "'alice' is too short"),
        (f"alice:{ALICE},alice:{BOB}", "stands twice"),
        (f"alice:{ALICE},bob:{ALICE}", "stands twice"),
        ('{"alice": 1}', "entry 1 is not NAME:KEY"),
        ("{nonsense", "not a JSON object"),
    ],
)
def test_wrong_keys_are_refused_and_never_shown(text: str, problem: str):
    with pytest.raises(ConfigurationError, match=problem) as raised:
        keys_from(text)
    assert ALICE not in str(raised.value)


def test_keys_are_pairs_or_json():
    assert keys_from(f" alice:{ALICE}, bob:{BOB}\n") == {"alice": ALICE, "bob": BOB}
    assert keys_from(json.dumps({"alice": ALICE})) == {"alice": ALICE}
    assert keys_from("") == {}


def test_a_public_host_needs_keys_and_limits_need_their_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with Server().in_thread() as models:
        with (
            pytest.raises(ConfigurationError, match="there are no keys"),
            served(models, tmp_path, host="0.0.0.0"),
        ):
            pass
        limits = {"carol": {"rpm": 1}}
        with (
            pytest.raises(ConfigurationError, match=r"serve\.keys\.carol"),
            served(models, tmp_path, keys=limits),
        ):
            pass
        monkeypatch.setenv("WEAVER_SERVE_KEYS", f"alice:{ALICE}")
        priced = {"alice": {"max_cost": 1.0}}
        with pytest.raises(ConfigurationError, match="price"), served(models, tmp_path, keys=priced):
            pass
        with served(models, tmp_path, host="0.0.0.0") as server:
            url = server.url.replace("0.0.0.0", "127.0.0.1")
            headers = {"authorization": f"bearer {ALICE}", "host": "weaver.example.org"}
            assert httpx.get(f"{url}/models", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"host": "evil.example"}, "host_not_allowed"),
        ({"origin": "https://evil.example"}, "origin_not_allowed"),
        ({"origin": "null"}, "origin_not_allowed"),
    ],
)
def test_web_pages_and_rebound_names_reach_nothing(start: Start, headers: dict[str, str], code: str):
    server = start()
    body = json.dumps({"model": "weaver/direct", "messages": user("hi")})
    answer = httpx.post(
        f"{server.url}/chat/completions", content=body, headers={"content-type": "text/plain", **headers}
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, code)
    assert not server.models.requests


def test_a_page_that_is_allowed_may_call(start: Start):
    server = start(cors=["http://localhost:3000"])
    ask = {"origin": "http://localhost:3000", "access-control-request-method": "POST"}
    answer = httpx.options(f"{server.url}/chat/completions", headers=ask)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert httpx.options(f"{server.url}/models", headers={**ask, "origin": "http://x"}).status_code == 403


def test_a_body_of_50_megabytes_is_refused_before_it_is_read(start: Start):
    server = start()
    body = json.dumps({"model": "weaver/direct", "messages": user("x" * 50_000_000)}).encode()
    with httpx.Client(timeout=20) as http:
        try:
            answer = http.post(f"{server.url}/chat/completions", content=body)
            assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")
        except httpx.TransportError:
            pass  # the connection was closed while the client was still writing

        def pieces() -> Any:
            for _ in range(50):
                yield b" " * 1_000_000

        with suppress(httpx.TransportError):
            assert http.post(f"{server.url}/chat/completions", content=pieces()).status_code == 413
    assert 'status="413"} 2' in server.service.metrics.text()
    assert not server.models.requests


def test_a_body_that_comes_too_slowly_is_given_up(start: Start):
    server = start(body_timeout=0.3)
    host, port = server.url.removeprefix("http://").removesuffix("/v1").split(":")
    with socket.create_connection((host, int(port))) as sock:
        sock.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{"
        )
        sock.settimeout(3)
        assert sock.recv(1000).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"[1, 2]",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"model": 7, "messages": []}',
        b'{"model": "weaver/direct"}',
        b'{"model": "weaver/direct", "messages": "hi"}',
        b'{"model": "weaver/direct", "messages": [7]}',
        b'{"model": "weaver/direct", "messages": [{"role": "boss", "content": "x"}]}',
        b'{"model": "weaver/direct", "messages": [{"role": "user", "content": [{"type": "image_url"}]}]}',
        b'{"model": "weaver/direct", "messages": [{"role": "user", "content": "x"}], "max_tokens": 1e400}',
        b'{"model": "weaver/direct", "messages": [{"role": "user", "content": "x"}], "temperature": NaN}',
        b'{"model": "weaver/direct", "messages": [{"role": "user", "content": "x"}], "n": 3}',
        b'{"model": "weaver/direct", "messages": [{"role": "user", "content": "x"}], "tools": [{}]}',
        b'{"model": "weaver/direct", "messages": [{"role": "user", "content": "x"}], "tool_choice": "x"}',
        b'{"model": "weaver/direct", "messages": [{"role": "user", "content": "x"}], "weaver": 7}',
        b'{"model": "direct", "messages": [{"role": "user", "content": "x"}], "weaver": {"deadline": -1}}',
        b'{"model": "weaver/direct", "messages": [{"role": "user", "content": "x"}], "background": true}',
        b'{"model": "weaver/direct", "messages": [{"role": "user", "content": "x"}], "stream_options": []}',
    ],
)
@pytest.mark.parametrize("path", ["/chat/completions", "/responses"])
def test_nonsense_is_a_400_in_openais_shape(start: Start, body: bytes, path: str):
    server = start()
    answer = httpx.post(server.url + path, content=body)
    if path == "/responses" and b'"messages"' in body:
        body_without = body.replace(b'"messages": [{"role": "user", "content": "x"}]', b'"input": "x"')
        answer = httpx.post(server.url + path, content=body_without)
        if any(word in body for word in (b'"n"', b"stream_options", b"max_tokens", b"background")):
            return  # fields of the other protocol, which are ignored
    assert answer.status_code == 400
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert not server.models.requests


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd.py:f",
        "weaver/../x.py",
        "file.py:strategy",
        "adaptive:policy=python:x.py:f",
        "fixed",
        "x.gguf",
        "openai/gpt-5",
    ],
)
def test_a_name_loads_no_file_and_chooses_no_other_model(start: Start, name: str):
    server = start()
    with client(server.url) as api:
        with pytest.raises(openai.NotFoundError):
            api.chat.completions.create(model=name, messages=user("hi"))
        extra = {"weaver": {"strategy": name}}
        with pytest.raises(openai.NotFoundError):
            api.chat.completions.create(model="weaver/direct", messages=user("hi"), extra_body=extra)
    assert not server.models.requests


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "http://127.0.0.1:9/x"},
        {"type": "object", "properties": {"a": {"$ref": "file:///etc/passwd"}}},
        {"type": "object", "patternProperties": {"(a+)+$": {}}},
        {"enum": list(range(10_000))},
        json.loads('{"items": ' * 80 + "{}" + "}" * 80),
    ],
)
def test_a_schema_fetches_nothing_and_is_bounded(start: Start, schema: Any):
    server = start('{"a": 1}')
    form: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    with client(server.url) as api, pytest.raises(openai.BadRequestError):
        api.chat.completions.create(model="weaver/direct", messages=user("hi"), response_format=form)
    assert not server.models.requests


def test_a_pattern_is_told_to_the_model_and_not_checked(start: Start):
    server = start('{"pattern": "' + "a" * 40 + '!"}')
    fields = {"pattern": {"type": "string", "pattern": "^(a+)+$", "description": "Letters."}}
    schema = {"type": "object", "properties": fields, "required": ["pattern"]}
    form: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    with client(server.url, timeout=60) as api:
        answer = api.chat.completions.create(model="weaver/direct", messages=user("hi"), response_format=form)
    assert "aaaa!" in (answer.choices[0].message.content or "")
    sent = server.models.requests[0].request.output
    assert sent is not None
    assert "Letters. Matches the regular expression ^(a+)+$" in json.dumps(sent.schema)


def test_settings_of_the_table_are_checked_and_are_no_settings_of_runs(tmp_path: Path):
    from weaver._settings.settings import Settings

    (tmp_path / "weaver.toml").write_text("deadline = 9\n[serve]\nport = 1234\n[serve.keys.alice]\nrpm = 5\n")
    config = ServeConfig.load(tmp_path)
    assert (config.port, config.keys["alice"].rpm, config.folder) == (1234, 5, tmp_path)
    assert ServeConfig.load(tmp_path, port=99).port == 99
    assert Settings.load({}, tmp_path).deadline == 9
    (tmp_path / "weaver.toml").write_text("[serve]\nprot = 1234\n")
    with pytest.raises(ConfigurationError, match=r"weaver\.toml: serve\.prot"):
        ServeConfig.load(tmp_path)


def test_a_head_that_is_endless_or_slow_is_given_up(start: Start, monkeypatch: pytest.MonkeyPatch):
    from weaver._serving.http import protocol

    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.2)
    server = start()
    host, port = server.url.removeprefix("http://").removesuffix("/v1").split(":")
    endless = b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 200_000
    for sent in (endless, b"GET /health HTTP/1.1\r\nHost: loc", b""):
        with socket.create_connection((host, int(port))) as sock:
            sock.settimeout(5)
            with suppress(ConnectionError):
                sock.sendall(sent)
                assert sock.recv(100) == b""
    with socket.create_connection((host, int(port))) as sock:
        sock.settimeout(5)
        for pause in (0.0, 0.4):  # an idle connection is not a slow head
            time.sleep(pause)
            sock.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = b""
            while b"}" not in answer:
                answer += sock.recv(1000)
            assert answer.startswith(b"HTTP/1.1 200")


def test_runs_go_on_with_the_trace_of_the_request(start: Start):
    """One trace shows the client's program, the run and the model server; baggage goes no further."""
    theirs = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    spans, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    server = start(weaver={"tracer_provider": provider})
    body = {"model": "weaver/direct", "messages": [{"role": "user", "content": "q"}]}
    headers = {"traceparent": theirs, "baggage": "user=ada"}
    reply = httpx.post(f"{server.url}/chat/completions", json=body, headers=headers)
    assert reply.status_code == 200
    (root,) = [span for span in spans.get_finished_spans() if span.name.startswith("invoke_workflow")]
    assert root.context is not None
    assert root.parent is not None
    assert f"{root.context.trace_id:032x}" == theirs.split("-")[1]
    assert f"{root.parent.span_id:016x}" == theirs.split("-")[2]
    sent = server.models.requests[-1].headers
    assert sent["traceparent"].split("-")[1] == theirs.split("-")[1]
    assert "baggage" not in sent
