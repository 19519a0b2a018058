"""From the exceptions of litellm, and of the packages that it stands on, to weaver's errors."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import aiohttp

from weaver._json_reading.json_types import Json, is_object
from weaver._models.http.aiohttp_errors import transport_error
from weaver._models.openai.errors.complaints import is_used_up, wait_in
from weaver._models.openai.errors.error_bodies import message_of
from weaver._models.openai.errors.http_errors import Failures
from weaver.errors import ModelError

_JARGON = re.compile(
    r"litellm\.\w+: |^(?:\w+(?:Error|Timeout): )+|\w+Exception - |Original exception: .*"
    r"|^Error code: \d{3}(?: - )?",
    re.DOTALL,
)
_BYTES = re.compile(r"""b(['"])[\[{].*[\]}]\1""", re.DOTALL)  # a body, as Python writes bytes
_MAX_LINKS = 12
_TIMEOUTS = {"APITimeoutError", "TimeoutException", "TimeoutError", "SocketTimeoutError"}
_CONNECTIONS = {"APIConnectionError"}


def model_error(error: Exception, failures: Failures, *, begun: bool) -> ModelError:
    """Our error for one that litellm raised.

    Args:
        begun: output had begun.
    """
    links = list(_chain(error))
    bodies: list[Json] = [getattr(link, "body", None) for link in links]
    body = next((b for b in bodies if isinstance(b, dict | list) and b), None)
    words = _words(body, links)
    if begun:
        return failures.broken(f"broke off in the middle of its answer: {failures.clean(words)}")
    connection = next((link for link in links if _is_connection(link)), None)
    if connection is not None and body is None:
        return failures.connection(transport_error(connection))
    if body is None and any(_is_a(link, _TIMEOUTS) for link in links):
        return failures.silent("sent no answer")
    raw = words.encode() if body is None else json.dumps(body, default=str).encode()
    status = next((s for link in links if isinstance(s := getattr(link, "status_code", None), int)), None)
    if body is not None and (status is None or _is_a(links[0], {"MidStreamFallbackError"})):
        return failures.in_stream(
            body if is_object(body) and "error" in body else {"error": body}, begun=False
        )
    if is_used_up(429, words, wait_in({}, raw)):  # in a stream it comes as a lost connection
        return failures.status(429 if status in {None, 500, 503} else int(status or 429), {}, raw)
    if _is_a(links[0], _CONNECTIONS) or words.endswith("Connection error."):
        return failures.unreachable(failures.clean(words))
    if status is not None and status >= 400:
        headers: Mapping[str, str] = getattr(error, "litellm_response_headers", None) or {}
        return failures.status(status, headers, raw)
    return failures.protocol(
        f"cannot be asked through litellm: {failures.clean(words)}", "Check the name and the base URL."
    )


def _chain(error: Exception) -> Iterator[Exception]:
    """The error and what it was raised for, the outermost first."""
    visited: set[int] = set()
    link: BaseException | None = error
    while isinstance(link, Exception) and id(link) not in visited and len(visited) < _MAX_LINKS:
        visited.add(id(link))
        yield link
        original = getattr(link, "original_exception", None)
        inner = original if isinstance(original, BaseException) else None
        link = inner or link.__cause__ or link.__context__


def _words(body: Any, links: list[Exception]) -> str:
    if body is not None and (words := message_of(body)):
        return words
    text = _JARGON.sub("", _JARGON.sub("", str(links[0])[:8000])).strip()
    if (quoted := _BYTES.search(text)) is not None:
        text = quoted.group()
    return message_of(text) or text or type(links[0]).__name__


def _is_connection(link: Exception) -> bool:
    return isinstance(link, aiohttp.ClientConnectorError | aiohttp.ClientSSLError)


def _is_a(error: BaseException, names: set[str]) -> bool:
    return any(kind.__name__ in names for kind in type(error).__mro__)
