"""A model server that misbehaves in one way, as a process: ``python tests/bad_server.py`` prints its port.

The base URL chooses the way and when it begins: ``http://127.0.0.1:PORT/KIND/PHASE/v1``. The first PHASE
requests that ask a model are answered well.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable

PLAN = {
    "parallel": True,
    "reason": "two parts",
    "subtasks": [{"id": name, "title": name, "prompt": f"What is {name}?"} for name in "ab"],
}
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
FLOOD = 100 * 2**20
Write = Callable[[bytes], Awaitable[None]]


def event(text: str, field: str = "content", *, raw: bool = False) -> bytes:
    choice = {"index": 0, "text": text} if raw else {"index": 0, "delta": {field: text}}
    return b"data: " + json.dumps({"id": "c", "choices": [choice]}).encode() + b"\n\n"


def refusal(status: int, body: bytes, headers: bytes = b"") -> bytes:
    return (
        b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n"
        % (status, len(body))
        + headers
        + b"\r\n"
        + body
    )


async def silent(write: Write, raw: bool) -> None:
    await asyncio.sleep(30)


async def silent_after_head(write: Write, raw: bool) -> None:
    await write(HEAD)
    await asyncio.sleep(30)


async def silent_after_text(write: Write, raw: bool) -> None:
    await write(HEAD + event("It is ", raw=raw) * 3)
    await asyncio.sleep(30)


async def drip(write: Write, raw: bool) -> None:
    await write(HEAD)
    for byte in event("slow ", raw=raw) * 1000:
        await write(bytes([byte]))
        await asyncio.sleep(0.02)


async def flood(write: Write, raw: bool) -> None:
    await write(HEAD)
    block = event("flood ", raw=raw) * 1000
    for _ in range(FLOOD // len(block)):
        await write(block)


async def endless(write: Write, raw: bool) -> None:
    await write(HEAD)
    while True:
        await write(event("again ", raw=raw))


async def one_line(write: Write, raw: bool) -> None:
    await write(HEAD + b'data: {"choices":[{"index":0,"delta":{"content":"')
    for _ in range(FLOOD // 2**16):
        await write(b"x" * 2**16)


async def endless_reasoning(write: Write, raw: bool) -> None:
    await write(HEAD)
    while True:
        await write(event("hm ", "reasoning_content", raw=raw) * 50)


async def endless_comments(write: Write, raw: bool) -> None:
    await write(HEAD)
    while True:
        await write(b": PROCESSING\n\n" * 100)


async def brackets(write: Write, raw: bool) -> None:
    await write(HEAD + event("[{" * 50_000, raw=raw) * 4 + b"data: [DONE]\n\n")


async def tags(write: Write, raw: bool) -> None:
    text = '<Parallel><Thread><think>1. a\n"' * 8_000
    await write(HEAD + event(text, raw=raw) * 4 + b"data: [DONE]\n\n")


async def title_page(write: Write, raw: bool) -> None:
    await write(refusal(502, b"<html>" + b"<title>" * 8_000))


async def rate_limited(write: Write, raw: bool) -> None:
    await write(refusal(429, b'{"error":{"message":"slow down"}}', b"retry-after: 60\r\n"))


async def overloaded(write: Write, raw: bool) -> None:
    await write(refusal(503, b'{"error":{"message":"loading"}}'))


async def reset(write: Write, raw: bool) -> None:
    await write(HEAD + event("It is ", raw=raw) * 3)
    raise ConnectionResetError


async def cut(write: Write, raw: bool) -> None:
    await write(HEAD + event("It is ", raw=raw) * 3)


async def well(write: Write, raw: bool) -> None:
    """What a well-behaved server says; also the kind whose list of models stalls."""
    await write(HEAD + event(json.dumps(PLAN), raw=raw) + b"data: [DONE]\n\n")


KINDS = {
    one.__name__: one
    for one in (
        silent, silent_after_head, silent_after_text, drip, flood, endless, one_line, endless_reasoning,
        endless_comments, brackets, tags, title_page, rate_limited, overloaded, reset, cut,
    )
} | {"models_stall": well}  # fmt: skip


async def main() -> None:
    seen: Counter[str] = Counter()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def write(data: bytes) -> None:
            writer.write(data)
            await writer.drain()

        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                (int(h[15:]) for h in head.split(b"\r\n") if h.lower().startswith(b"content-length:")), 0
            )
            body = await reader.readexactly(length)
            path = head.split(b" ")[1].decode()
            _, kind, phase, *_ = path.split("/")
            raw = path.endswith("/completions") and not path.endswith("chat/completions")
            if head.startswith(b"GET"):
                if kind == "models_stall":
                    await asyncio.sleep(30)
                listed = b'{"object":"list","data":[{"id":"m","owned_by":"vllm"}]}'
                await write(refusal(200, listed).replace(b" X\r\n", b" OK\r\n", 1))
                return
            key = path
            seen[key] += 1
            if seen[key] <= int(phase.split("-")[0]):
                text = json.dumps(PLAN) if b"subtasks" in body else "It is four. Answer: 4"
                end = b'data: {"choices":[{"index":0,"delta":{},"text":"","finish_reason":"stop"}]}\n\n'
                await write(HEAD + event(text, raw=raw) + end + b"data: [DONE]\n\n")
            else:
                await KINDS[kind](write, raw)
        except ConnectionResetError:
            writer.transport.abort()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, limit=2**20)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
