"""Many clients at once, and clients that read slowly, vanish or lose their model server."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import time
from typing import Any

import aiohttp
import httpx
import pytest

from tests.benchmarks.serving import Figures, load, measure, replies
from tests.serving.asking import connected, user, wait_for
from tests.serving.conftest import Start
from weaver._testing.faults import Reset
from weaver.testing import Scripted


def test_everybody_gets_their_own_answer(start: Start):
    server = start(replies(60, 0.02, seconds=1.0))
    figures = asyncio.run(load(server.url, "weaver/direct", 60, within=0.5))
    assert (len(figures.whole), figures.errors) == (60, 0)
    wait_for(lambda: not server.service.open)


def test_clients_that_vanish_leave_nothing_behind(start: Start):
    server = start([Scripted("word " * 2000, each=0.01)])
    chance = random.Random(7)

    async def vanish(http: aiohttp.ClientSession, number: int) -> None:
        models = ("weaver/direct", "weaver/self_consistency", "weaver/adaptive")
        body = {"model": models[number % 3], "stream": number % 2 == 0, "messages": user("hello?")}
        try:
            async with asyncio.timeout(chance.uniform(0.05, 0.6)):
                async with http.post(f"{server.url}/chat/completions", json=body) as answer:
                    await answer.read()
        except TimeoutError:
            pass

    async def everybody() -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
            await asyncio.gather(*(vanish(http, number) for number in range(60)))

    asyncio.run(everybody())
    wait_for(lambda: not server.service.open)
    wait_for(lambda: not server.models.in_flight)
    assert "weaver_serve_open_requests 0" in server.service.metrics.text()


def test_a_slow_reader_holds_up_nobody_and_is_given_up(start: Start):
    big = Scripted("x" * 5_000_000, when="big")
    server = start([big, Scripted("quick")], send_timeout=0.4, weaver={"max_answer": 10_000_000})
    body = {"model": "weaver/direct", "stream": True, "messages": user("big")}
    with connected(server.url, body) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wait_for(lambda: server.models.requests)
        began = time.monotonic()
        answer = httpx.post(
            f"{server.url}/chat/completions", json={"model": "weaver/direct", "messages": user("quick")}
        )
        assert answer.status_code == 200
        assert time.monotonic() - began < 1.5
        wait_for(lambda: not server.service.open)
    assert 'status="499"} 1' in server.service.metrics.text(), server.service.metrics.text()[:700]


def test_a_model_server_that_dies_is_an_error_in_the_stream(start: Start):
    server = start([Scripted("one two three four five", each=0.2)], server={"faults": [Reset(2)]})
    body = {"model": "weaver/direct", "stream": True, "messages": user("hi")}
    text = httpx.post(f"{server.url}/chat/completions", json=body, timeout=20).text
    lines = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    assert any(one.get("choices", [{}])[0].get("delta", {}).get("content") for one in lines[:-1])
    assert set(lines[-1]) == {"error"}
    assert "[DONE]" not in text


def test_a_silent_run_sends_comments(start: Start, monkeypatch: pytest.MonkeyPatch):
    from weaver._serving.http import exchange

    monkeypatch.setattr(exchange, "SILENCE", 0.1)
    server = start([Scripted("late", first=0.9)])
    body = {"model": "weaver/direct", "stream": True, "messages": user("hi")}
    text = httpx.post(f"{server.url}/chat/completions", json=body, timeout=20).text
    assert text.count(": keep-alive\n\n") >= 2
    assert text.index('"role":"assistant"') < text.index(": keep-alive")
    assert '"content":"late"' in text


def test_more_requests_than_allowed_are_asked_to_come_later(start: Start):
    server = start([Scripted("word " * 100, each=0.02)], max_requests=2)
    body: Any = {"model": "weaver/direct", "stream": True, "messages": user("hi")}
    with connected(server.url, body), connected(server.url, body):
        wait_for(lambda: len(server.service.open) == 2)
        answer = httpx.post(f"{server.url}/chat/completions", json=body)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["error"]["code"] == "overloaded"


@pytest.mark.heavy
@pytest.mark.timeout(300)
def test_five_hundred_clients_at_once(capsys: pytest.CaptureFixture[str]):
    figures: Figures | dict[str, Any] = measure(500, pause=1.0)
    assert isinstance(figures, dict)
    assert figures["errors"] == 0
    assert figures["per_client_kb"] < 500
