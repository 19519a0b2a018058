"""`weaver serve`: everything checked, then served."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import anyio

from weaver._models.layers.prices import check_prices
from weaver._runtime.state.run_state import ROLES
from weaver._serving.app import app_of
from weaver._serving.config import ServeConfig
from weaver._serving.http.listener import Ending, HttpServer, address_of, listen
from weaver._serving.keys import VARIABLE, Clients, keys_from
from weaver._serving.responses.endpoint import Responses
from weaver._serving.service import Service
from weaver._serving.work.offers import offers_of
from weaver.errors import ConfigurationError

if TYPE_CHECKING:
    from weaver._facade.weaver import Weaver


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
    weaver: Weaver,
    config: ServeConfig,
    *,
    on_ready: Callable[[str, Service], object] = lambda _url, _service: None,
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
        listening = listen(config.host, config.port)
        url = f"{address_of(listening)}/v1"

        async def background() -> None:
            if service.background:
                await asyncio.wait(service.background)

        server = HttpServer(
            app_of(service, responses),
            Ending(config.drain, service.drain, service.stop, background),
            lambda: on_ready(url, service),
        )
        try:
            await responses.resume()
            await server.serve_on(listening)
        finally:
            with anyio.CancelScope(shield=True):
                await responses.aclose()
            listening.close()
