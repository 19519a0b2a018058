"""What can go wrong on the way to a server and back."""

from __future__ import annotations


class TransportError(Exception):
    """A request or its answer was lost on the way.

    Attributes:
        is_stale: the server had closed an idle connection just when it was used again. It has not seen the
            request, so sending it once more is safe.
    """

    is_stale = False


class UnknownHostError(TransportError):
    """The host's name leads to no address.

    Args:
        is_final: there is no such name; False: a name server did not answer just now.
    """

    def __init__(self, host: str, *, is_final: bool) -> None:
        super().__init__(f"{host} has no address")
        self.is_final = is_final


class ConnectError(TransportError):
    """No connection came about.

    Args:
        number: of the operating system's error; None: unknown.
    """

    def __init__(self, number: int | None) -> None:
        super().__init__(f"no connection (error {number})")
        self.number = number


class ConnectTimeoutError(TransportError):
    """No connection came about in time."""


class TLSError(TransportError):
    """The server does not speak TLS, or its certificate cannot be trusted."""


class SilenceError(TransportError):
    """The server is connected and sends nothing."""


class DisconnectedError(TransportError):
    """The connection was closed before the answer was whole."""


class NotHTTPError(TransportError):
    """What the server sends is not an answer in HTTP."""
