"""A model's file over HTTP: from the model hub or any address, resumed where it broke off."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import HTTPRedirectHandler, OpenerDirector, Request, build_opener

from weaver_local.attempt import Attempt, SourceError, without_credentials
from weaver_local.manifest import Hub, Web

HUB = "https://huggingface.co"

# A hub that cannot be reached must not hold up the next source for long.
_REACH_SECONDS = 4.0
_SILENCE_SECONDS = 20.0
_BLOCK = 1 << 18
# Tries in a row that bring nothing, and how much longer the pause before each becomes.
_TRIES = 5
_PAUSE_SECONDS = 0.5


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def address(source: Hub | Web, environ: Mapping[str, str] | None = None) -> str:
    """Return where ``source`` has the file."""
    if isinstance(source, Web):
        return source.url
    environ = os.environ if environ is None else environ
    base = environ.get("HF_ENDPOINT", "").strip().rstrip("/") or HUB
    return f"{base}/{quote(source.repository)}/resolve/{quote(source.revision, safe='')}/{quote(source.path)}"


def fetch(source: Hub | Web, attempt: Attempt) -> None:
    """Append what is missing.

    Raises:
        SourceError: it cannot be reached, has another file, or breaks off again and again.
        Stopped: somebody asked to stop.
        OSError: the file cannot be written.
    """
    if isinstance(source, Hub) and os.environ.get("HF_HUB_OFFLINE", "") not in {"", "0"}:
        raise SourceError("is not asked, because HF_HUB_OFFLINE is set")
    url = address(source)
    _look(url, attempt)
    tries = 0
    while attempt.partial.done < attempt.entry.size:
        attempt.check()
        before = attempt.partial.done
        problem = _read(url, attempt)
        tries = 0 if attempt.partial.done > before else tries + 1
        if tries == _TRIES:
            raise SourceError(problem)
        attempt.stop.wait(_PAUSE_SECONDS * tries)


def _look(url: str, attempt: Attempt) -> None:
    """Make sure within seconds that the right file is there, before hundreds of megabytes are fetched."""
    try:
        response = _ask(build_opener(_NoRedirect), Request(url, method="HEAD"), _REACH_SECONDS)
    except HTTPError as error:
        if error.code in {405, 501}:  # does not do HEAD; the checksum decides
            return
        if error.code not in {301, 302, 303, 307, 308}:
            raise SourceError(f"answers HTTP {error.code}") from None
        headers: Any = error.headers
        error.close()
    else:
        headers = response.headers
        response.close()
    # The hub tells the checksum of a large file before it redirects to where the file is stored.
    told = str(headers.get("X-Linked-ETag") or "").removeprefix("W/").strip('"')
    if re.fullmatch(r"[0-9a-f]{64}", told) and told != attempt.entry.sha256:
        raise SourceError("has another version of the file")
    length = headers.get("X-Linked-Size") or (
        None if headers.get("Location") else headers.get("Content-Length")
    )
    if length is not None and str(length).isdigit() and int(length) not in {0, attempt.entry.size}:
        raise SourceError("has a file of another size")


def _read(url: str, attempt: Attempt) -> str:
    """Read until the file ends or the connection breaks; what broke it, in words."""
    start = attempt.partial.done
    request = Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        response = _ask(build_opener(), request, _SILENCE_SECONDS)
    except HTTPError as error:
        error.close()
        return f"answers HTTP {error.code}"
    except SourceError as error:
        return str(error)
    with response:
        if start and not (
            response.status == 206
            and str(response.headers.get("Content-Range", "")).startswith(f"bytes {start}-")
        ):
            attempt.partial.cut(0)  # it gives the file from its beginning
        while True:
            try:
                block = response.read(_BLOCK)
            except (OSError, HTTPException) as error:
                return f"broke off ({_reason(error)})"
            if not block:
                return "broke off (the connection was closed)"
            attempt.take(block)


def _ask(opener: OpenerDirector, request: Request, seconds: float) -> HTTPResponse:
    request.add_header("User-Agent", "weaver")
    request.add_header("Accept-Encoding", "identity")
    try:
        answer: HTTPResponse = opener.open(request, timeout=seconds)
    except HTTPError:
        raise
    except URLError as error:
        raise SourceError(f"cannot be reached ({_reason(error.reason)})") from None
    except (OSError, HTTPException, ValueError) as error:
        raise SourceError(f"cannot be reached ({_reason(error)})") from None
    return answer


def _reason(error: object) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return without_credentials(" ".join(str(said).split()))[:200]
