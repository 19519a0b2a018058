"""The ASGI application of `weaver serve`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from weaver._serving.chat.endpoint import chat_completions
from weaver._serving.http.errors import ApiError, api_error
from weaver._serving.http.guard import HostGuard
from weaver._serving.http.metrics import CONTENT_TYPE
from weaver._serving.http.trace_context import CallersTrace
from weaver._serving.keys import Client
from weaver._serving.responses.endpoint import Responses
from weaver._serving.service import Service
from weaver._serving.work.offers import listed

if TYPE_CHECKING:
    from starlette.types import ASGIApp

Endpoint = Callable[[Service, Client, Request], Awaitable[Any]]
CLOSE = {"connection": "close"}
"""Sent with errors about a body that was not read to its end."""


def app_of(service: Service, responses: Responses) -> Starlette:
    """The application over ``service``."""

    def route(path: str, endpoint: Endpoint, *methods: str) -> list[Route]:
        handler = partial(_answered, service, path, endpoint)
        return [Route(prefix + path, handler, methods=methods or ("GET",)) for prefix in ("/v1", "")]

    middleware = [Middleware(HostGuard, config=service.config), Middleware(CallersTrace)]
    if service.config.cors:
        middleware.append(
            Middleware(
                CORSMiddleware,
                allow_origins=list(service.config.cors),
                allow_methods=["GET", "POST", "DELETE"],
                allow_headers=["*"],
                expose_headers=["x-request-id", "x-weaver-run-id", "retry-after"],
            )
        )
    return Starlette(
        routes=[
            *route("/chat/completions", chat_completions, "POST"),
            *route("/responses", responses.create, "POST"),
            *route("/responses/{id}", responses.retrieve),
            *route("/responses/{id}", responses.delete, "DELETE"),
            *route("/responses/{id}/cancel", responses.cancel, "POST"),
            *route("/models", _models),
            *route("/models/{id:path}", _model),
            Route("/health", _health),
            Route("/ready", partial(_ready, service)),
            Route("/metrics", partial(_answered, service, "/metrics", _metrics)),
        ],
        middleware=middleware,
        exception_handlers={404: _no_route, 405: _no_route},
    )


async def _answered(service: Service, path: str, endpoint: Endpoint, request: Request) -> ASGIApp:
    try:
        client = service.clients.of(request.headers)
        answer: ASGIApp = await endpoint(service, client, request)
    except ClientDisconnect:
        return Response(status_code=499)
    except Exception as error:  # noqa: BLE001 - any error has its answer
        problem = api_error(error)
        service.metrics.requests.add(path, str(problem.status))
        return _error(problem)
    return answer


def _error(problem: ApiError) -> JSONResponse:
    headers = problem.headers | (CLOSE if problem.status in (408, 413) else {})
    if problem.status == 401:
        headers["www-authenticate"] = "Bearer"
    return JSONResponse(problem.body, problem.status, headers=headers)


async def _models(service: Service, client: Client, request: Request) -> Response:  # noqa: ARG001
    every = [listed(o, service.started) for o in service.offers.all if client.may_use(o.id)]
    return JSONResponse({"object": "list", "data": every})


async def _model(service: Service, client: Client, request: Request) -> Response:
    offer = service.offers.find(request.path_params["id"])
    if not client.may_use(offer.id):
        raise ApiError(404, f"The model {offer.id!r} does not exist.", code="model_not_found")
    return JSONResponse(listed(offer, service.started))


async def _metrics(service: Service, client: Client, request: Request) -> Response:  # noqa: ARG001
    return Response(service.metrics.text(), media_type=CONTENT_TYPE)


async def _health(request: Request) -> Response:  # noqa: ARG001
    return JSONResponse({"status": "ok"})


async def _ready(service: Service, request: Request) -> Response:  # noqa: ARG001
    if service.draining:
        return JSONResponse({"status": "draining"}, 503, headers={"retry-after": "5"})
    return JSONResponse({"status": "ready"})


async def _no_route(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    reason = "does not exist" if status == 404 else f"does not take {request.method}"
    problem = ApiError(
        status, f"{request.url.path[:200]} {reason}. The API is under /v1.", code="unknown_url"
    )
    return _error(problem)
