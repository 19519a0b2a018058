"""The ASGI application of `weaver ui`."""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from weaver import __version__
from weaver._serving.http.bodies import read_fields
from weaver._serving.http.errors import ApiError, api_error, invalid
from weaver._serving.http.exchange import COMMENT, Connection, Exchange
from weaver._serving.http.fields import Fields
from weaver._serving.ui import files
from weaver._serving.ui.flows import Flows
from weaver._serving.ui.kept_runs import KeptRuns
from weaver._serving.ui.open_runs import Follower, OpenRun, OpenRuns
from weaver._serving.ui.picture import plan_json
from weaver._serving.ui.questions import changes_of, plan_of, question_of, stream_of
from weaver._strategies.common.registry import load, names
from weaver.errors import UnknownNameError, WeaverError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from weaver._facade.weaver import Weaver
    from weaver._streaming.run_stream import RunStream

MAX_BODY = 4_000_000
BODY_SECONDS = 30.0
SEND_SECONDS = 30.0
LOOK_SECONDS = 2.0
"""Seconds that the page waits for the model's name."""
BATCH_SECONDS = 0.05
"""Changes within this time go to a tab together."""

Endpoint = Callable[["Desk", Request], Awaitable[Any]]


@dataclass
class Desk:
    """Everything that the page works with.

    Attributes:
        archive: the local store, or None where runs are not kept.
        model: the name of the model that answers, or "".
        problem: why there is none, or "".
    """

    weaver: Weaver
    runs: OpenRuns
    flows: Flows
    archive: KeptRuns | None
    model: str = ""
    problem: str = ""

    async def look_for_model(self, seconds: float) -> None:
        """Find out which model answers, or why none does: kept runs can be looked at all the same."""
        self.problem = "It has not answered yet."
        with anyio.move_on_after(seconds):
            try:
                self.model, self.problem = (await self.weaver.model()).name, ""
            except WeaverError as error:
                self.problem = f"{error.message} {error.hint or ''}".strip()

    @property
    def models(self) -> list[str]:
        """The models that the page suggests."""
        return [*dict.fromkeys(filter(None, (self.model, *self.weaver.settings.models)))]


def app_of(desk: Desk) -> Starlette:
    """Return the application over ``desk``; the secret is checked before it."""

    def route(path: str, endpoint: Endpoint, method: str = "GET") -> Route:
        return Route(f"/api{path}", partial(_answered, desk, endpoint), methods=(method,))

    return Starlette(
        routes=[
            Route("/", files.index),
            route("/about", _about),
            route("/runs", _runs),
            route("/runs", _start, "POST"),
            route("/plan", _plan, "POST"),
            route("/runs/{id}", _run),
            route("/runs/{id}", _forget, "DELETE"),
            route("/runs/{id}/stop", _stop, "POST"),
            route("/runs/{id}/approvals", _approve, "POST"),
            route("/workflows/{name}", _workflow),
            route("/workflows/{name}/runs", _start_workflow, "POST"),
            route("/stream", _stream),
            Route("/{folder}/{name}", files.file),
        ],
        exception_handlers={HTTPException: _no_route},
    )


async def _no_route(request: Request, error: Exception) -> Response:  # noqa: ARG001 - Starlette's signature
    return Response(status_code=getattr(error, "status_code", 404), headers=files.HEADERS)


async def _answered(desk: Desk, endpoint: Endpoint, request: Request) -> ASGIApp:
    try:
        answer: Any = await endpoint(desk, request)
    except ClientDisconnect:
        return Response(status_code=499)
    except Exception as error:  # noqa: BLE001 - any error has its answer
        problem = _problem(error)
        return JSONResponse(problem.body, problem.status, headers={**files.HEADERS, **problem.headers})
    if isinstance(answer, Exchange):
        return answer
    return Response(_encoded(answer), media_type="application/json", headers=files.HEADERS)


def _problem(error: Exception) -> ApiError:
    """Return the error as the page shows it: the page is the user's own, and reads every message and hint."""
    if isinstance(error, WeaverError) and not isinstance(error, ApiError):
        status = 404 if isinstance(error, UnknownNameError) else 400
        hint = f" {error.hint}" if error.hint else ""
        return ApiError(status, f"{error.message}{hint}", code=type(error).__name__)
    return api_error(error)


def _encoded(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), default=str).encode("utf-8", "replace")


async def _body(request: Request) -> Fields:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise invalid("The body must be application/json.")
    return await read_fields(request, most_bytes=MAX_BODY, seconds=BODY_SECONDS)


async def _about(desk: Desk, request: Request) -> Any:  # noqa: ARG001 - an endpoint's signature
    if desk.problem:
        await desk.look_for_model(LOOK_SECONDS)
    settings = desk.weaver.settings
    limits = ("deadline", "max_cost", "max_total_tokens", "max_threads")
    return {
        "version": __version__,
        "strategies": [{"name": name, "summary": load(name).summary} for name in names()],
        "strategy": settings.strategy if isinstance(settings.strategy, str) else "",
        "model": desk.model,
        "models": desk.models,
        "problem": desk.problem,
        "limits": {name: getattr(settings, name) for name in limits},
        "workflows": desk.flows.listed(),
        "keeps": desk.archive is not None,
    }


async def _runs(desk: Desk, request: Request) -> Any:  # noqa: ARG001 - an endpoint's signature
    rows = [] if desk.archive is None else await anyio.to_thread.run_sync(desk.archive.rows)
    by_id = {row["id"]: row for row in rows}
    fresh: list[dict[str, Any]] = []
    for run in desk.runs.all():
        row = by_id.get(run.id)
        if row is None or not run.ended:
            by_id.pop(run.id, None)
            fresh.append(_row_of(run))
    listed = sorted([*fresh, *by_id.values()], key=lambda row: -row["started"])
    return {"runs": listed}


def _row_of(run: OpenRun) -> dict[str, Any]:
    state = run.picture.state
    result: dict[str, Any] = state["result"] or {}
    usage: dict[str, Any] = result.get("usage") or {}
    return {
        **{name: state[name] for name in ("id", "strategy", "model", "status", "started", "seconds")},
        "question": state["question"][:500],
        "threads": len(state["order"]),
        "tokens": usage.get("total_tokens", 0),
        "cost": usage.get("cost_usd"),
        "asks": len(state["approvals"]),
    }


async def _start(desk: Desk, request: Request) -> Any:
    body = await _body(request)
    question, changes, plan = question_of(body), changes_of(body), plan_of(body)
    run_id = secrets.token_hex(8)

    async def open_stream(run: OpenRun) -> RunStream[Any]:
        return stream_of(desk.weaver, question, plan, run.id, changes)

    run = await desk.runs.start(run_id, question, open_stream)
    return {"id": run.id}


async def _plan(desk: Desk, request: Request) -> Any:
    body = await _body(request)
    changes = {name: value for name, value in changes_of(body).items() if name != "strategy"}
    return plan_json(await desk.weaver.plan(question_of(body), **changes))


async def _run(desk: Desk, request: Request) -> Any:
    run_id = request.path_params["id"]
    run = desk.runs.find(run_id)
    if desk.archive is None or (run is not None and not run.ended):
        return {"picture": _open(desk, run_id).picture.state, "trace": None}
    if run is None:
        return await anyio.to_thread.run_sync(desk.archive.read, run_id)
    try:
        trace = await anyio.to_thread.run_sync(desk.archive.trace, run_id)
    except (WeaverError, ValueError):  # it could not begin, or the store failed: what was seen is there
        trace = None
    return {"picture": run.picture.state, "trace": trace}


async def _forget(desk: Desk, request: Request) -> Any:
    run_id = request.path_params["id"]
    run = desk.runs.find(run_id)
    if run is not None and not run.ended:
        raise invalid("The run goes on. Stop it first.")
    if run is not None:
        desk.runs.forget(run)
    if desk.archive is not None and (run is None or run.picture.state["status"] != "starting"):
        await anyio.to_thread.run_sync(desk.archive.forget, run_id)
    return {}


def _open(desk: Desk, run_id: str) -> OpenRun:
    if (run := desk.runs.find(run_id)) is None:
        raise UnknownNameError("run of this server", run_id, [run.id for run in desk.runs.all()])
    return run


async def _stop(desk: Desk, request: Request) -> Any:
    body = await _body(request)
    _open(desk, request.path_params["id"]).stop(body.text("thread") or None)
    return {}


async def _approve(desk: Desk, request: Request) -> Any:
    body = await _body(request)
    _open(desk, request.path_params["id"]).answer(
        body.required_text("id"),
        approved=body.flag("approved"),
        reason=body.text("reason")[:2000],
        always=body.flag("always"),
    )
    return {}


async def _workflow(desk: Desk, request: Request) -> Any:
    name = request.path_params["name"]
    described = desk.flows.described(name)
    last = next((r for r in desk.runs.all() if r.picture.state["workflow"] == name), None)
    if last is not None:
        return {**described, "last": last.picture.state}
    if desk.archive is None:
        return {**described, "last": None}
    row = await anyio.to_thread.run_sync(desk.archive.last_of, f"workflow:{name}")
    last_run = await anyio.to_thread.run_sync(desk.archive.read, row.run_id) if row is not None else None
    return {**described, "last": last_run["picture"] if last_run is not None else None}


async def _start_workflow(desk: Desk, request: Request) -> Any:
    name = request.path_params["name"]
    desk.flows.find(name)
    body = await _body(request)
    inputs = body.object("inputs")
    values = dict(inputs.values) if inputs is not None else {}
    changes = changes_of(body)

    async def open_stream(run: OpenRun) -> RunStream[Any]:
        return await desk.flows.stream(desk.weaver, run, name, values, changes)

    run = await desk.runs.start(secrets.token_hex(8), name, open_stream, workflow=name)
    return {"id": run.id}


async def _stream(desk: Desk, request: Request) -> Exchange:
    """Follow one run (``?run=ID``) and the list of runs, as server-sent events, until the tab leaves."""
    name = request.query_params.get("run", "")
    run = desk.runs.find(name) if name else None
    follower = Follower()

    async def answer(connection: Connection) -> None:
        connection.on_silence = follower.wake
        revision = -1
        if run is not None:
            run.followers.add(follower)
        desk.runs.watchers.add(follower.wake)
        try:
            await connection.begin_events(files.HEADERS.items())
            while True:
                pieces: list[bytes] = []
                if revision != desk.runs.revision:
                    revision = desk.runs.revision
                    pieces.append(_event("runs", revision))
                if run is not None and follower.is_behind:
                    follower.is_behind = False
                    follower.take()
                    pieces.append(_event("picture", run.picture.state))
                elif changes := follower.take():
                    pieces.append(_event("changes", changes))
                if desk.runs.is_draining:
                    pieces.append(_event("end", None))
                await connection.write(b"".join(pieces) or COMMENT)
                if desk.runs.is_draining and (run is None or run.ended):
                    break
                await follower.wait()
                await anyio.sleep(BATCH_SECONDS)
            await connection.end()
        finally:
            desk.runs.watchers.discard(follower.wake)
            if run is not None:
                run.followers.discard(follower)

    return Exchange(answer, send_timeout=SEND_SECONDS)


def _event(kind: str, value: Any) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + _encoded(value) + b"\n\n"
