"""Listening, and ending in good order."""

from __future__ import annotations

import asyncio
import math
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import anyio
import uvicorn

from weaver._models.layers.prices import check_prices
from weaver._runtime.state.run_state import ROLES
from weaver._serving.app import app_of
from weaver._serving.config import ServeConfig
from weaver._serving.http.protocol import BoundedProtocol
from weaver._serving.keys import VARIABLE, Clients, keys_from
from weaver._serving.responses.endpoint import Responses
from weaver._serving.service import Service
from weaver._serving.work.offers import offers_of
from weaver.errors import ConfigurationError

if TYPE_CHECKING:
    from weaver._facade.weaver import Weaver

KEEP_ALIVE = 75
"""Seconds that an idle connection stays open."""
CLEANUP = 1.0
"""Seconds between the end of the runs and the end of the server, for answers to be sent."""
BACKLOG = 2048


async def service_of(weaver: Weaver, config: ServeConfig) -> Service:
    """Everything that requests share, checked: the offers, the keys, the prices.

    Raises:
        ConfigurationError: something cannot be served.
    """
    secrets = keys_from(os.environ.get(VARIABLE, ""))
    if not secrets and not config.is_local:
        raise ConfigurationError(
            f"{config.host} can be reached from other machines, and there are no keys.",
            hint=f"Set {VARIABLE}=NAME:KEY, or serve on 127.0.0.1.",
        )
    clients = Clients(secrets, config.keys, now=asyncio.get_running_loop().time)
    if any(entry.max_cost is not None for entry in config.keys.values()):
        await check_prices([await weaver.model(role) for role in ROLES])
    return Service(weaver, config, await offers_of(weaver, config), clients)


async def serve(
    weaver: Weaver, config: ServeConfig, *, on_ready: Callable[[str, Service], object] = lambda *_: None
) -> None:
    """Serve until a signal comes (SIGTERM, Ctrl-C), then until the runs have ended or ``drain`` is over.

    Args:
        on_ready: called with the base URL and the service when it listens.

    Raises:
        ConfigurationError: something cannot be served, or the address is taken.
    """
    async with weaver:
        service = await service_of(weaver, config)
        responses = Responses(service)
        listening = _listening(config)
        host, port = listening.getsockname()[:2]
        address = f"[{host}]" if ":" in host else host
        server = _Server(
            uvicorn.Config(
                app_of(service, responses),
                http=BoundedProtocol,
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE,
                timeout_graceful_shutdown=math.ceil(config.drain + 2 * CLEANUP),
                ws="none",
                backlog=BACKLOG,
            ),
            service,
            lambda: on_ready(f"http://{address}:{port}/v1", service),
        )
        try:
            await responses.resume()
            await server.serve(sockets=[listening])
        finally:
            with anyio.CancelScope(shield=True):
                await server.close()
                await responses.aclose()
            listening.close()


class _Server(uvicorn.Server):
    """Lets runs end when the server is to end."""

    def __init__(self, config: uvicorn.Config, service: Service, on_ready: Callable[[], object]) -> None:
        super().__init__(config)
        self._service = service
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._service.drain()
        async with anyio.create_task_group() as group:
            group.start_soon(self._stop_runs)
            await super().shutdown(sockets=sockets)
            if self._service.background:
                await asyncio.wait(self._service.background)
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
        await anyio.sleep(self._service.config.drain)
        self._service.stop()
        await anyio.sleep(CLEANUP)
        self.force_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Work as uvicorn's, but the signal is not raised again at the end: the exit was in good order."""
        with super().capture_signals():
            yield
            captured: list[Any] = self._captured_signals
            captured.clear()


def _listening(config: ServeConfig) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((config.host, config.port))
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        raise ConfigurationError(
            f"{config.host}:{config.port} cannot be listened on: {error.strerror or error}.",
            hint="Choose another --port, or end what listens there.",
        ) from None
    return listening
