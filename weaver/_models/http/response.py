"""What every client gives: an answer whose body is read as it comes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol


class Headers(dict[str, str]):
    """Headers of an answer by their names in lower case; looked up in any case. The first of a name stays."""

    __slots__ = ()

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        super().__init__()
        for name, value in pairs:
            self.setdefault(name.lower(), value)

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.lower())

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]
        """Return a header's value, or ``default``."""
        return super().get(name.lower(), default)


class Response(Protocol):
    """An answer whose status and headers have come."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def is_open(self) -> bool:
        """True if it still has a connection, which nobody else uses."""
        ...

    async def read(self, most: int) -> bytes:
        """Return the next bytes of the body, at most so many; none at its end.

        Raises:
            TransportError: the body is cut, or there was silence for too long.
        """
        ...

    def release(self) -> None:
        """Let go of an answer that has been read. Its connection is kept when the rest comes soon."""
        ...

    def abort(self) -> None:
        """Close its connection at once, without TLS's farewell, which a busy server may ignore."""
        ...


class Client(Protocol):
    """Sends requests within one event loop, and keeps connections from one to the next."""

    async def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> Response:
        """Send a request and wait for its answer's headers. Redirects are not followed.

        Raises:
            TransportError: there is no answer.
        """
        ...

    async def aclose(self) -> None:
        """Close every connection."""
        ...


async def whole_body(response: Response, *, most: int) -> bytes:
    """Read a body that is small, at most ``most`` bytes of it, and let go of the answer.

    Raises:
        TransportError: the body is cut.
    """
    body = bytearray()
    try:
        while len(body) < most and (read := await response.read(most)):
            body += read
    except BaseException:
        response.abort()
        raise
    response.release()
    return bytes(body[:most])
