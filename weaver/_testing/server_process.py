"""A `Server` in its own process, so that a benchmark does not share its interpreter."""

from __future__ import annotations

import asyncio
import base64
import json
import pickle
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Self
from urllib.request import urlopen

from weaver._testing.scripted import Scripted


class ServerProcess:
    """Runs `Server` in a child process, which ends with this one at the latest.

    Use it as ``with ServerProcess(...) as server``; ``server.url`` is the base URL.

    Args:
        replies: as for `Server`; they are pickled, so no lambdas.
        options: `Server`'s keyword arguments.

    Raises:
        RuntimeError: the process did not come to serve; the message has its error output.
    """

    def __init__(self, replies: Iterable[Scripted | str] | Scripted | str = "ok", **options: Any) -> None:
        self._setup = pickle.dumps(
            (replies if isinstance(replies, str | Scripted) else list(replies), options)
        )
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        self._process = process = subprocess.Popen(
            [sys.executable, "-m", "weaver._testing.server_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(base64.b64encode(self._setup) + b"\n")
        process.stdin.flush()
        self.url = process.stdout.readline().decode().strip()
        if not self.url:
            code = process.wait()
            raise RuntimeError(f"The server's process ended with code {code} before it served.")
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is None:
            return
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()  # the end of its input ends it
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def stats(self) -> dict[str, int]:
        """`Server.stats` of the other process."""
        with urlopen(self.url.removesuffix("/v1") + "/stats") as answer:
            stats: dict[str, int] = json.load(answer)
        return stats


async def _serve() -> None:
    from weaver._testing.server import Server

    _raise_file_limit()
    replies, options = pickle.loads(base64.b64decode(sys.stdin.buffer.readline()))
    async with Server(replies, **options) as server:
        print(server.url, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)


def _raise_file_limit() -> None:
    """Allow as many connections as the system lets this process have."""
    try:
        import resource
    except ImportError:  # not on Windows
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        try:
            import uvloop
        except ImportError:
            asyncio.run(_serve())
        else:
            uvloop.run(_serve())
