"""Base URLs as users write them, checked and taken apart. Credentials in one are never shown."""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from ipaddress import ip_address
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit, urlunsplit

from weaver.errors import ConfigurationError

_EXAMPLE = "For example: http://localhost:8080/v1"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A base URL of the OpenAI protocol.

    Attributes:
        url: what may be shown: no user, password or query, no slash at its end.
        host: lower case, without port.
        query: what follows the question mark, without it; may hold secrets.
        authorization: value of the ``Authorization`` header that the URL's user and password stand for.
    """

    url: str
    host: str
    query: str = ""
    authorization: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """Headers that the URL's credentials stand for."""
        return {} if self.authorization is None else {"Authorization": self.authorization}

    @property
    def query_values(self) -> tuple[str, ...]:
        """The values in the query; they may be secrets."""
        return tuple(value for _, value in parse_qsl(self.query))

    @property
    def loopback(self) -> bool:
        """True if this is the machine itself."""
        if self.host == "localhost" or self.host.endswith(".localhost"):
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    def at(self, path: str = "") -> str:
        """The URL to send a request to, query included. Not to be shown."""
        return f"{self.url}{path}?{self.query}" if self.query else f"{self.url}{path}"

    def beside(self, path: str) -> str:
        """Return the URL of a path beside ``/v1``; see `at`."""
        return replace(self, url=self.url.removesuffix("/v1")).at(path)


def endpoint(url: str, *, place: str, port: int | None = None) -> Endpoint:
    """Check a base URL. A URL without a path gets ``/v1``.

    Args:
        url: as given by the user.
        place: where it was given, for the message: ``base_url``, ``OPENAI_BASE_URL``.
        port: accept also ``host`` and ``host:port`` (as in ``OLLAMA_HOST``), with this port as default.

    Raises:
        ConfigurationError: not http or https, no host, or a port that is none. The message never
            repeats the URL, which may hold a password.
    """
    text = url.strip()
    if port is not None and "://" not in text:
        text = f"http://{text}"
    try:
        parts = urlsplit(text)
        host, given_port = parts.hostname, parts.port
    except ValueError:
        raise ConfigurationError(f"{place} is not a URL.", hint=_EXAMPLE) from None
    if parts.scheme not in {"http", "https"}:
        scheme = f"begins with {parts.scheme}://" if "://" in text else "has no http:// or https://"
        raise ConfigurationError(f"{place} {scheme}.", hint=_EXAMPLE)
    if not host or any(c.isspace() or ord(c) < 32 for c in text):
        raise ConfigurationError(f"{place} names no host.", hint=_EXAMPLE)
    if port is not None:
        host = "127.0.0.1" if host == "0.0.0.0" else host
        given_port = given_port or (port if parts.scheme == "http" else None)
    path = parts.path.rstrip("/")
    for ending in ("/chat/completions", "/completions"):
        path = path.removesuffix(ending)
    clean = SplitResult(parts.scheme, _netloc(host, given_port), path or "/v1", "", "")
    return Endpoint(urlunsplit(clean), host, parts.query, _basic(parts))


def _netloc(host: str, port: int | None) -> str:
    host = f"[{host}]" if ":" in host else host
    return host if port is None else f"{host}:{port}"


def _basic(parts: SplitResult) -> str | None:
    if parts.username is None and parts.password is None:
        return None
    pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return "Basic " + base64.b64encode(pair.encode()).decode()
