"""A loopback server whose bytes are the test's own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from weaver._models.openai.model import OpenAIModel
from weaver._models.protocol import Capabilities

ABORT = object()
"""A part of an answer: the connection is reset here."""
HANG = object()
"""A part of an answer: nothing more comes, and the connection stays open."""
DONE = b"data: [DONE]\n\n"
CAN = Capabilities(json_object=True, tools=True)


def event(value: Any) -> bytes:
    """An event whose data is ``value`` as JSON."""
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> bytes:
    """A chunk with one choice."""
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    return event({"id": "x", "object": "chat.completion.chunk", "choices": [choice], **more})


def usage(given: int, produced: int, **more: Any) -> bytes:
    """The chunk with the usage at the end."""
    report = {"prompt_tokens": given, "completion_tokens": produced, "total_tokens": given + produced}
    return event({"id": "x", "choices": [], "usage": {**report, **more}})


@dataclass
class Answer:
    """What the server sends for one request."""

    parts: list[Any]
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class RawServer:
    """Answers the n-th POST with the n-th answer, later ones with the last."""

    answers: list[Answer]
    url: str = ""
    models: bytes = b'{"data": [{"id": "raw"}]}'
    heads: list[str] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            fields = dict(line.lower().split(": ", 1) for line in head.splitlines() if ": " in line)
            length = int(fields.get("content-length", 0))
            body = await reader.readexactly(length)
            self.heads.append(head)
            answer = Answer([self.models])
            if head.startswith("POST"):
                self.bodies.append(json.loads(body))
                answer = self.answers[min(len(self.bodies), len(self.answers)) - 1]
            lines = [f"HTTP/1.1 {answer.status} X", "Connection: close", "Transfer-Encoding: chunked"]
            lines += [f"{name}: {value}" for name, value in answer.headers.items()]
            writer.write("\r\n".join(lines).encode() + b"\r\n\r\n")
            for part in answer.parts:
                if part is ABORT:
                    await writer.drain()
                    await asyncio.sleep(0.02)
                    writer.transport.abort()
                    return
                if part is HANG:
                    await writer.drain()
                    await reader.read()
                    return
                if isinstance(part, float):
                    await asyncio.sleep(part)
                    continue
                writer.write(b"%x\r\n%s\r\n" % (len(part), part))
                await writer.drain()
            writer.write(b"0\r\n\r\n")
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


Raw = Callable[..., Any]


@pytest.fixture
async def raw() -> AsyncIterator[Raw]:
    """``server, model = await raw(part, part, ...)``, or with `Answer` objects for several requests."""
    async with AsyncExitStack() as stack:

        async def start(*parts: Any, path: str = "/v1", **options: Any) -> tuple[RawServer, OpenAIModel]:
            answers = list(parts) if parts and isinstance(parts[0], Answer) else [Answer(list(parts))]
            server = RawServer(answers)
            listening = await stack.enter_async_context(
                await asyncio.start_server(server.handle, "127.0.0.1", 0, limit=2**20)
            )
            server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}{path}"
            settings = {"base_url": server.url, "capabilities": CAN, **options}
            model = OpenAIModel("openai/raw", **settings)
            stack.push_async_callback(model.aclose)
            return server, model

        yield start
