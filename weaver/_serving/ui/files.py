"""The files of the page, and the headers that keep it to itself."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

_KINDS = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
_FOLDERS = {"viewer": "weaver._tracing", "page": "weaver._serving.ui"}

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
"""Only the page's own files; no markup is ever made of text, whoever wrote the text."""
HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


async def index(request: Request) -> Response:  # noqa: ARG001 - an endpoint's signature
    """Answer with the page."""
    return _answer("page", "index.html")


async def file(request: Request) -> Response:
    """Answer with one file of the page: ``page/NAME`` or ``viewer/NAME``."""
    return _answer(request.path_params["folder"], request.path_params["name"])


def _answer(folder: str, name: str) -> Response:
    kind = _KINDS.get(name.rpartition(".")[2])
    if folder not in _FOLDERS or kind is None or name not in _names(folder):
        raise HTTPException(404)
    data = files(_FOLDERS[folder]).joinpath(folder, name).read_bytes()
    return Response(data, media_type=kind, headers=HEADERS)


@cache
def _names(folder: str) -> frozenset[str]:
    return frozenset(entry.name for entry in files(_FOLDERS[folder]).joinpath(folder).iterdir())
