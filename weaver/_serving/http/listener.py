"""Listening for HTTP, and ending in good order."""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import uvicorn

from weaver._serving.http.protocol import BoundedProtocol
from weaver.errors import ConfigurationError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

KEEP_ALIVE = 75
"""Seconds that an idle connection stays open."""
CLEANUP = 1.0
"""Seconds between the end of the runs and the end of the server, for answers to be sent."""
BACKLOG = 2048


@dataclass(frozen=True, slots=True)
class Ending:
    """How a server ends after a signal.

    Args:
        seconds: that runs get to end.
        drain: called first: no new work is taken any more.
        stop: called when the seconds are over: runs are to end now.
        background: waits, within the seconds, for work that belongs to no request.
    """

    seconds: float
    drain: Callable[[], object]
    stop: Callable[[], object]
    background: Callable[[], Awaitable[object]] = anyio.lowlevel.checkpoint


class HttpServer(uvicorn.Server):
    """Serves an application until a signal comes (SIGTERM, Ctrl-C), and lets its runs end."""

    def __init__(self, app: ASGIApp, ending: Ending, on_ready: Callable[[], object]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=BoundedProtocol,
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE,
                timeout_graceful_shutdown=math.ceil(ending.seconds + 2 * CLEANUP),
                ws="none",
                backlog=BACKLOG,
            )
        )
        self._ending = ending
        self._on_ready = on_ready

    async def serve_on(self, listening: socket.socket) -> None:
        """Serve on a socket, and close it."""
        try:
            await self.serve(sockets=[listening])
        finally:
            with anyio.CancelScope(shield=True):
                await self.close()
            listening.close()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._ending.drain()
        async with anyio.create_task_group() as group:
            group.start_soon(self._stop_runs)
            await super().shutdown(sockets=sockets)
            await self._ending.background()
            group.cancel_scope.cancel()

    async def close(self) -> None:
        """Close what is still open: this was cancelled, or the time to end in good order is over."""
        for server in getattr(self, "servers", ()):
            server.close()
        for connection in tuple(self.server_state.connections):
            connection.transport.abort()
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=CLEANUP)
        await asyncio.sleep(0)

    async def _stop_runs(self) -> None:
        await anyio.sleep(self._ending.seconds)
        self._ending.stop()
        await anyio.sleep(CLEANUP)
        self.force_exit = True

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Work as uvicorn's, but the signal is not raised again at the end: the exit was in good order."""
        with super().capture_signals():
            yield
            captured: list[Any] = self._captured_signals
            captured.clear()


def listen(host: str, port: int) -> socket.socket:
    """Open the socket to listen on; port 0 takes a free one.

    Raises:
        ConfigurationError: the address is taken, or not of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        raise ConfigurationError(
            f"{host}:{port} cannot be listened on: {error.strerror or error}.",
            hint="Choose another --port, or end what listens there.",
        ) from None
    return listening


def address_of(listening: socket.socket) -> str:
    """Return the address of a socket as the beginning of a URL: ``http://127.0.0.1:8320``."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
