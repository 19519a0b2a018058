"""From aiohttp's exceptions to those of our transport; litellm's carry them, too."""

from __future__ import annotations

import socket

import aiohttp

from weaver._models.http.errors import (
    ConnectError,
    ConnectTimeoutError,
    DisconnectedError,
    NotHTTPError,
    SilenceError,
    TLSError,
    TransportError,
    UnknownHostError,
)


def transport_error(error: Exception) -> TransportError:
    """Return what ``error`` means."""
    match error:
        case aiohttp.SocketTimeoutError():
            return SilenceError("silent")
        case aiohttp.ClientSSLError():
            return TLSError(str(error))
        case aiohttp.ClientConnectorDNSError():
            return UnknownHostError(error.host, is_final=error.os_error.errno == socket.EAI_NONAME)
        case TimeoutError():
            return ConnectTimeoutError("no connection in time")
        case aiohttp.ClientConnectorError():
            return ConnectError(error.errno)
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError() | OSError():
            return DisconnectedError("the connection was closed")
        case aiohttp.ClientHttpProxyError():
            return ConnectError(None)
        case aiohttp.ClientResponseError():
            return NotHTTPError(type(error).__name__)
        case _:
            return ConnectError(None)
