"""`weaver ui`: the page, served on this machine only."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import anyio

from weaver._serving.config import ServeConfig
from weaver._serving.http.listener import Ending, HttpServer, address_of, listen
from weaver._serving.ui.app import Desk, app_of
from weaver._serving.ui.flows import Flows
from weaver._serving.ui.kept_runs import KeptRuns
from weaver._serving.ui.open_runs import OpenRuns
from weaver._serving.ui.secret import SecretGuard
from weaver.errors import ConfigurationError

if TYPE_CHECKING:
    import socket

    from weaver._facade.weaver import Weaver
    from weaver._tracing.store.sqlite import Store

HOST = "127.0.0.1"
PORT = 8321
END_SECONDS = 2.0
"""Seconds that runs get to end with what they have, when the server is stopped."""
LOOK_SECONDS = 20.0
"""Seconds in which a model is to be found before the page is served; it looks again when it is opened."""


async def serve_page(
    weaver: Weaver,
    config: ServeConfig,
    *,
    secret: str,
    store: Store | None,
    port: int | None = None,
    flush: Callable[[], object] = bool,
    on_ready: Callable[[str, Desk], object] = lambda _url, _desk: None,
) -> None:
    """Serve the page until a signal comes (SIGTERM, Ctrl-C); runs end with what they have.

    Args:
        config: says which workflows the page offers.
        secret: stands in the address; whoever does not know it gets nothing.
        store: where runs are kept, or None.
        port: None takes `PORT`, or a free one where that is taken.
        flush: writes to the store what it has not got yet.
        on_ready: called with the address when it listens.

    Raises:
        ConfigurationError: a workflow cannot be used, or the port is taken.
    """
    flows = Flows.load(config)
    async with weaver:
        runs = OpenRuns(flush)
        desk = Desk(weaver, runs, flows, KeptRuns(store) if store is not None else None)
        await desk.look_for_model(LOOK_SECONDS)
        listening = _listening(port)
        address = address_of(listening)
        guard = SecretGuard(app_of(desk), secret, listening.getsockname()[1])
        ready = f"{address}/{secret}/"
        server = HttpServer(guard, Ending(END_SECONDS, runs.drain, runs.drain), lambda: on_ready(ready, desk))
        try:
            await server.serve_on(listening)
        finally:
            with anyio.CancelScope(shield=True):
                await runs.end()


def _listening(port: int | None) -> socket.socket:
    if port is not None:
        return listen(HOST, port)
    try:
        return listen(HOST, PORT)
    except ConfigurationError:
        return listen(HOST, 0)
