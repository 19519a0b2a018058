"""`weaver.verify` in a request: the answer is checked and mended before it is sent."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.serving.asking import user
from tests.serving.conftest import Start
from weaver.testing import Scripted


def checked(start: Start, verify: Any, *replies: str, stream: bool = False) -> httpx.Response:
    server = start([Scripted(text, times=1) for text in replies])
    body = {
        "model": "weaver/direct",
        "messages": user("What are 12 boxes of 3?"),
        "stream": stream,
        "weaver": {"verify": verify},
    }
    return httpx.post(f"{server.url}/chat/completions", json=body)


@pytest.mark.parametrize(
    ("verify", "replies", "verified", "text"),
    [
        ("arithmetic", ["12 * 3 = 36"], True, "12 * 3 = 36"),
        ("arithmetic", ["12 * 3 = 38", "12 * 3 = 36"], True, "12 * 3 = 36"),
        ("arithmetic", ["12 * 3 = 38", "12 * 3 = 37"], False, "12 * 3 = 38"),
        ("arithmetic", ["Thirty-six."], None, "Thirty-six."),
        ({"type": "object", "required": ["n"]}, ["none", '{"n": 36}'], True, '{"n": 36}'),
    ],
)
def test_an_answer_is_checked_where_the_request_asks_for_it(start: Start, verify, replies, verified, text):
    reply = checked(start, verify, *replies).json()
    assert reply["choices"][0]["message"]["content"] == text
    assert reply["weaver"]["verified"] is verified
    assert reply["choices"][0]["finish_reason"] == ("length" if verified is False else "stop")


def test_a_streamed_answer_is_sent_when_it_is_checked(start: Start):
    text = checked(start, "arithmetic", "12 * 3 = 38", "12 * 3 = 36", stream=True).text
    chunks = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    content = "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"])
    assert content == "12 * 3 = 36"
    assert chunks[-1]["weaver"]["verified"] is True


@pytest.mark.parametrize(
    ("verify", "why"),
    [
        ("arithmetik", "arithmetic"),
        ("command: rm -r x", "verifier"),
        ("python:checks.py:passes", "verifier"),
        (7, "name of a check"),
        ({"type": "no such type"}, "weaver.verify"),
    ],
)
def test_a_check_that_is_not_installed_is_refused(start: Start, verify, why):
    reply = checked(start, verify, "x")
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == "weaver.verify"
    assert why in reply.json()["error"]["message"]
