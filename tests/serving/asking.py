"""How tests ask a server: by OpenAI's client, or by a bare connection."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from typing import Any

import openai

from weaver.testing import Scripted


def client(url: str, **options: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=url, api_key=options.pop("key", "none"), max_retries=0, **options)


def user(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def vars_of(one: Scripted) -> dict[str, Any]:
    return {"text": one.text, "when": one.when}


def connected(url: str, body: Any, headers: str = "") -> socket.socket:
    """A connection that has sent a request, and reads nothing."""
    host, port = url.removeprefix("http://").removesuffix("/v1").split(":")
    sock = socket.create_connection((host, int(port)))
    data = json.dumps(body).encode()
    length = f"Content-Length: {len(data)}\r\n"
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n{headers}{length}\r\n"
    sock.sendall(head.encode() + data)
    return sock


def wait_for(condition: Callable[[], object], seconds: float = 10) -> float:
    """Wait until it holds; the seconds it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds
        time.sleep(0.002)
    return time.monotonic() - began
