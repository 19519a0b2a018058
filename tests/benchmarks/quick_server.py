"""A model server that costs as little as Python allows, so that many calls at once measure the client.

It answers every request in the same way: after some seconds where the prompt asks for a fact (`script` in
`tests.benchmarks.contenders`) or is that of a winner, never where it is that of a loser, else at once.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKS = (
    b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"word0 word1 word2 word3 "}}]}\n\n'
    b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":100,"completion_tokens":4}}\n\ndata: [DONE]\n\n'
)
_MODELS = b'{"data":[{"id":"scripted","owned_by":"vllm"}]}'


def _answer(body: bytes, kind: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n" % (kind, len(body)) + body


_STREAM = _answer(_CHUNKS, b"text/event-stream")
_LIST = _answer(_MODELS, b"application/json")


class _Connection(asyncio.Protocol):
    """One request at a time; clients here do not send the next one before they have an answer."""

    waiting = 0
    """Losers whose connections are open."""
    won_at = left_at = 0.0
    """When the last winner's answer was sent, and when the last loser left (`time.perf_counter`)."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loses = False
        self._received = b""
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, head_end, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not head_end or (length is not None and len(body) < int(length[1])):
            return
        self._received = b""
        if head.startswith(b"HEAD"):
            self._transport.write(_LIST.removesuffix(_MODELS))
        elif head.startswith(b"GET /times"):
            kind = _Connection
            times = {"waiting": kind.waiting, "won_at": kind.won_at, "left_at": kind.left_at}
            self._transport.write(_answer(json.dumps(times).encode(), b"application/json"))
        elif head.startswith(b"GET"):
            self._transport.write(_LIST)
        elif b"LOSER" in body:
            self._loses = True
            _Connection.waiting += 1
        elif b"WINNER" in body:
            self._loop.call_later(self._seconds, self._win)
        elif b"Look_up_fact" in body:
            self._loop.call_later(self._seconds, self._transport.write, _STREAM)
        else:
            self._transport.write(_STREAM)

    def connection_lost(self, error: Exception | None) -> None:
        if self._loses:
            _Connection.waiting -= 1
            _Connection.left_at = time.perf_counter()

    def _win(self) -> None:
        _Connection.won_at = time.perf_counter()
        self._transport.write(_STREAM)


async def serve(seconds: float) -> None:
    """Serve for ever on a free port, which is printed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(seconds), "127.0.0.1", 0, backlog=16_384)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def quick_server(seconds: float) -> Iterator[str]:
    """The base URL of a running server, ``/v1`` included."""
    command = [sys.executable, "-m", "tests.benchmarks.quick_server", str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
    finally:
        process.kill()
        process.wait()


def main() -> None:
    """Serve on uvloop where it is installed."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(serve(float(sys.argv[1])))
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(float(sys.argv[1])))


if __name__ == "__main__":
    main()
