"""Where a request goes."""

from __future__ import annotations

import functools
from typing import NamedTuple
from urllib.parse import quote, urlsplit

_PATH = "/%:@!$&'()*+,;=~-._"
_QUERY = _PATH + "?"


class Address(NamedTuple):
    """A URL, taken apart.

    Attributes:
        host: in ASCII, without brackets.
        authority: for the ``Host`` header: the host, and the port where it is not the usual one.
        target: path and query, for the request line.
    """

    is_secure: bool
    host: str
    port: int
    authority: str
    target: str


@functools.lru_cache(maxsize=256)
def address_of(url: str) -> Address:
    """Take an ``http`` or ``https`` URL apart that has been checked (`weaver._models.endpoint`)."""
    parts = urlsplit(url)
    is_secure = parts.scheme == "https"
    usual = 443 if is_secure else 80
    host, port = _ascii(parts.hostname or ""), parts.port or usual
    shown_host = f"[{host.partition('%')[0]}]" if ":" in host else host
    target = quote(parts.path or "/", safe=_PATH)
    if parts.query:
        target = f"{target}?{quote(parts.query, safe=_QUERY)}"
    return Address(is_secure, host, port, shown_host if port == usual else f"{shown_host}:{port}", target)


def _ascii(host: str) -> str:
    if host.isascii():
        return host
    import idna

    try:
        return idna.encode(host, uts46=True).decode()
    except idna.IDNAError:
        return host
