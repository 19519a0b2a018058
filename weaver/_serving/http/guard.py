"""Who may call at all: names in the Host header, and web pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.responses import JSONResponse

from weaver._serving.config import ServeConfig
from weaver._serving.http.errors import ApiError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_LOCAL = ("localhost", "127.0.0.1", "[::1]")


class HostGuard:
    """Refuses requests for other hosts (DNS rebinding) and from web pages that are not allowed (CORS is off).

    A browser lets any page send requests to this machine. They have an ``Origin``; programs send none.
    """

    def __init__(self, app: ASGIApp, config: ServeConfig) -> None:
        self._app = app
        self._origins = set(config.cors)
        self._hosts = config.hosts if config.hosts is not None else (_LOCAL if config.is_local else None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "http" and (problem := self._problem(Headers(scope=scope))) is not None:
            await JSONResponse(problem.body, problem.status)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _problem(self, headers: Headers) -> ApiError | None:
        host = headers.get("host", "")
        name = host if host.endswith("]") else host.rsplit(":", 1)[0] if ":" in host else host
        if self._hosts is not None and name.lower() not in self._hosts:
            return ApiError(
                403,
                f"The host {name[:100]!r} is not served here. Add it to serve.hosts in the settings file.",
                code="host_not_allowed",
            )
        origin = headers.get("origin")
        if origin is not None and origin not in self._origins and "*" not in self._origins:
            return ApiError(
                403,
                f"Pages of {origin[:100]!r} may not call. Add the origin to serve.cors in the settings file.",
                code="origin_not_allowed",
            )
        return None
