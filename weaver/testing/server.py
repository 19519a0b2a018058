"""A loopback model server that speaks OpenAI's protocol, scripted like `ScriptedModel`.

For tests over real HTTP: what was asked, what was really sent, and when a client went away.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn, Self

from aiohttp import web

from weaver.errors import ModelError
from weaver.models.protocol import Request
from weaver.testing.faults import Events, Fault, Rule, drawn
from weaver.testing.scripted import Scripted, ScriptedModel, text_of
from weaver.testing.wire import Chunks, Dialect, request_of, whole

_OWNERS: dict[Dialect, str] = {
    "openai": "openai",
    "llama.cpp": "llamacpp",
    "vllm": "vllm",
    "sglang": "sglang",
}


@dataclass(slots=True)
class Received:
    """A request that a `Server` received, and what became of it.

    Times are on the clock of the server's event loop.

    Attributes:
        path: ``/v1/chat/completions`` or ``/v1/completions``.
        body: the JSON body.
        request: the same as weaver's `Request`.
        headers: lower-case names.
        events: server-sent events written so far (their parts, where a fault splits them).
        bytes: bytes of the body written so far.
        closed: ``finished``, ``disconnected`` (the client left early), ``failed`` (an injected fault or a
            scripted error ended it) or ``open``.
        first_at, closed_at: when the first event was written, and when it ended or the client was gone.
        faults: what was injected.
        waited: seconds that it waited for a slot.
    """

    path: str
    body: dict[str, Any]
    request: Request
    headers: dict[str, str]
    at: float
    events: int = 0
    bytes: int = 0
    closed: str = "open"
    first_at: float | None = None
    closed_at: float | None = None
    faults: list[Fault] = field(default_factory=list)
    waited: float = 0.0

    @property
    def traceparent(self) -> str | None:
        """The W3C trace context that came with it."""
        return self.headers.get("traceparent")


class Server:
    """A model server on a free port of the loopback interface.

    Use it as ``async with Server(...) as server``, or in a thread of its own with
    ``with Server(...).in_thread() as server``; for a process of its own see `ServerProcess`.

    Args:
        replies: as for `ScriptedModel`; or a `ScriptedModel`, to look at its records too.
        model: the model's name in the list of models and in answers.
        faults: what goes wrong; each is a `Fault` for every request or a `Rule`.
        seed: for the faults' chance.
        slots: requests worked on at once; others wait in line, as at llama.cpp. None: no limit.
        context: context window that is announced.
        dialect: whose manners to have: how it presents itself and tells a matched stop string.
        api_key: when given, requests without it get a 401.
        rejects: names of body fields that are answered with a 400.
        port: 0 takes a free one.

    Attributes:
        requests: every model call received, in order.
        in_flight, max_in_flight: model calls being answered now, and the most there ever were.
        busy, max_busy: the same for those that have a slot.
        listed: further fields of the model's entry in the list of models.
        probes: how often somebody asked for that list or for the server's properties.
    """

    def __init__(
        self,
        replies: Iterable[Scripted | str] | Scripted | str | ScriptedModel = "ok",
        *,
        model: str = "scripted",
        faults: Iterable[Fault | Rule] = (),
        seed: int = 0,
        slots: int | None = None,
        context: int = 32768,
        dialect: Dialect = "llama.cpp",
        api_key: str | None = None,
        rejects: Sequence[str] = (),
        port: int = 0,
    ) -> None:
        self.script = replies if isinstance(replies, ScriptedModel) else ScriptedModel(replies)
        self.model = model
        self.rules = [f if isinstance(f, Rule) else Rule(f) for f in faults]
        self.dialect = dialect
        self.listed: dict[str, Any] = {}
        self.probes = 0
        self.requests: list[Received] = []
        self.in_flight = self.max_in_flight = self.busy = self.max_busy = 0
        self._seed = seed
        self._slots = slots
        self._context = context
        self._api_key = api_key
        self._rejects = rejects
        self._port = port
        self._seen: Counter[str] = Counter()
        self._free: asyncio.Semaphore | None = None
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None

    @property
    def url(self) -> str:
        """The base URL, ``/v1`` included."""
        return f"http://127.0.0.1:{self._port}/v1"

    @property
    def connections(self) -> int:
        """TCP connections open now, idle ones included."""
        server = self._runner.server if self._runner is not None else None
        return len(server.connections) if server is not None else 0

    async def __aenter__(self) -> Self:
        self._free = asyncio.Semaphore(self._slots) if self._slots else None
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post("/v1/chat/completions", self._answer)
        app.router.add_post("/v1/completions", self._answer)
        app.router.add_get("/v1/models", self._list_models)
        app.router.add_get("/stats", self._tell_stats)
        if self.dialect == "llama.cpp":
            app.router.add_get("/props", self._tell_props)
            app.router.add_get("/slots", self._list_slots)
        # Handlers are cancelled when their client goes away: that is how a disconnect is noticed at once.
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1, keepalive_timeout=75
        )
        await self._runner.setup()
        await self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        self._runner = self._site = None

    @asynccontextmanager
    async def refusing(self) -> AsyncIterator[None]:
        """Refuse new connections meanwhile, as a server does that is not running."""
        if self._site is not None:
            await self._site.stop()
        try:
            yield
        finally:
            await self._listen()

    async def until(self, condition: Callable[[Self], bool], *, timeout: float = 5.0) -> None:
        """Wait until ``condition(server)`` holds; from the server's own event loop only.

        Raises:
            TimeoutError: it did not come to hold in time.
        """
        async with asyncio.timeout(timeout):
            while not condition(self):  # noqa: ASYNC110 - conditions of any kind, connections included
                await asyncio.sleep(0.002)

    @contextmanager
    def in_thread(self) -> Iterator[Self]:
        """Serve from a thread with an event loop of its own; yields when it listens."""
        ready = threading.Event()
        problems: list[BaseException] = []
        stop: list[Callable[[], object]] = []

        async def serve() -> None:
            loop, leave = asyncio.get_running_loop(), asyncio.Event()
            async with self:
                stop.append(lambda: loop.call_soon_threadsafe(leave.set))
                ready.set()
                await leave.wait()

        def run() -> None:
            try:
                asyncio.run(serve())
            except BaseException as problem:  # noqa: BLE001 - handed to the starting thread
                problems.append(problem)
            finally:
                ready.set()

        thread = threading.Thread(target=run, name="weaver-testing-server", daemon=True)
        thread.start()
        ready.wait()
        if problems:
            raise problems[0]
        try:
            yield self
        finally:
            stop[0]()
            thread.join()

    async def _listen(self) -> None:
        assert self._runner is not None
        self._site = web.TCPSite(self._runner, "127.0.0.1", self._port, backlog=4096, reuse_address=True)
        await self._site.start()
        self._port = self._runner.addresses[0][1]

    async def _answer(self, http: web.Request) -> web.StreamResponse:
        if (refusal := self._unauthorized(http)) is not None:
            return refusal
        try:
            body = await http.json()
            request = request_of(body)
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            return _error(400, f"bad request: {problem}")
        for name in self._rejects:
            if name in body:
                return _error(400, f"Unrecognized request argument supplied: {name}")
        received = Received(
            http.path,
            body,
            request,
            {name.lower(): value for name, value in http.headers.items()},
            asyncio.get_running_loop().time(),
        )
        self.requests.append(received)
        exchange = _Exchange(self, http, received, self._chance(request))
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            async with AsyncExitStack() as stack:
                if self._free is not None:
                    await stack.enter_async_context(self._free)
                    received.waited = asyncio.get_running_loop().time() - received.at
                self.busy += 1
                stack.callback(self._leave_slot)
                self.max_busy = max(self.max_busy, self.busy)
                response = await exchange.answer()
            received.closed = "finished"
        except _Refused as refused:
            received.closed = "failed"
            response = web.Response(status=refused.status, body=refused.body, headers=refused.headers)
        except _Gone:
            received.closed = "failed"
            return web.Response()  # nobody reads it: the connection is closed
        except ConnectionError:
            received.closed = "disconnected"
            return web.Response()
        except asyncio.CancelledError:
            received.closed = "disconnected"
            raise
        finally:
            if received.closed == "open":
                received.closed = "failed"
            self.in_flight -= 1
            received.closed_at = asyncio.get_running_loop().time()
        return response

    def _leave_slot(self) -> None:
        self.busy -= 1

    def _chance(self, request: Request) -> random.Random:
        """By what is asked and how often it was, not by the order in which requests arrive."""
        asked = hashlib.sha256(text_of(request).encode("utf-8", "replace")).hexdigest()
        self._seen[asked] += 1
        return random.Random(f"{self._seed}/{asked}/{self._seen[asked]}")

    def _unauthorized(self, http: web.Request) -> web.Response | None:
        if self._api_key is None or http.headers.get("Authorization") == f"Bearer {self._api_key}":
            return None
        return _error(401, f"Incorrect API key provided: {http.headers.get('Authorization', 'none')}")

    async def _list_models(self, http: web.Request) -> web.Response:
        if (refusal := self._unauthorized(http)) is not None:
            return refusal
        entry: dict[str, Any] = {"id": self.model, "object": "model", "owned_by": _OWNERS[self.dialect]}
        if self.dialect in {"vllm", "sglang"}:
            entry["max_model_len"] = self._context
        self.probes += 1
        entry |= self.listed
        return web.json_response({"object": "list", "data": [entry]})

    async def _tell_props(self, _: web.Request) -> web.Response:
        self.probes += 1
        settings = {"n_ctx": self._context}
        slots = self._slots or 256
        return web.json_response(
            {"default_generation_settings": settings, "total_slots": slots, "chat_template": "{{tools}}"}
        )

    async def _list_slots(self, _: web.Request) -> web.Response:
        slots = range(self._slots or 1)
        return web.json_response([{"id": i, "is_processing": i < self.busy} for i in slots])

    async def _tell_stats(self, _: web.Request) -> web.Response:
        return web.json_response(self.stats())

    def stats(self) -> dict[str, int]:
        """Counts over all requests, also at ``GET /stats``."""
        return {
            "requests": len(self.requests),
            "probes": self.probes,
            "in_flight": self.in_flight,
            "max_in_flight": self.max_in_flight,
            "max_busy": self.max_busy,
            "connections": self.connections,
            "events": sum(r.events for r in self.requests),
            **{
                state: sum(r.closed == state for r in self.requests)
                for state in ("finished", "disconnected", "failed")
            },
        }


class _Refused(Exception):
    def __init__(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.headers = headers


class _Gone(Exception):
    """The connection was closed on purpose."""


class _Exchange:
    """One model call being answered; what faults see of it."""

    def __init__(self, server: Server, http: web.Request, received: Received, chance: random.Random) -> None:
        self.request = received.request
        self.random = chance
        self._server = server
        self._http = http
        self._received = received
        received.faults = drawn(server.rules, received.request, chance)

    async def answer(self) -> web.StreamResponse:
        body, request, server = self._received.body, self.request, self._server
        for fault in self._received.faults:
            await fault.before(self)
        chunks = Chunks(
            f"answer-{len(server.requests)}",
            server.model,
            raw=request.prompt is not None,
            dialect=server.dialect,
            usage=bool((body.get("stream_options") or {}).get("include_usage")),
            logprobs=request.logprobs is not None,
        )
        try:
            async with server.script.stream(request) as deltas:
                if not body.get("stream"):
                    return web.json_response(
                        await whole(deltas, chunks.frame, raw=request.prompt is not None)
                    )
                events = chunks.events(deltas)
                for fault in self._received.faults:
                    events = fault.during(events, self)
                return await self._stream(events)
        except ModelError as scripted:
            if self._received.first_at is not None:
                self.reset()
            self.refuse(*_status_of(scripted))

    async def _stream(self, events: Events) -> web.StreamResponse:
        received = self._received
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
        )
        await response.prepare(self._http)
        async for event in events:
            await response.write(event)
            if received.first_at is None:
                received.first_at = asyncio.get_running_loop().time()
            received.events += 1
            received.bytes += len(event)
        await response.write_eof()
        return response

    def refuse(self, status: int, body: bytes, headers: dict[str, str]) -> NoReturn:
        raise _Refused(status, body, {"Content-Type": "application/json", **headers})

    def reset(self) -> NoReturn:
        transport = self._http.transport
        if transport is not None:
            sock = transport.get_extra_info("socket")
            if sock is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        raise _Gone

    def hang_up(self) -> NoReturn:
        if self._http.transport is not None:
            self._http.transport.close()
        raise _Gone


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message, "code": status}}, status=status)


def _status_of(error: ModelError) -> tuple[int, bytes, dict[str, str]]:
    """A scripted error as an HTTP answer."""
    import json

    from weaver import errors

    known: list[tuple[type[ModelError], int]] = [
        (errors.ModelUnauthorized, 401),
        (errors.ModelRejected, 400),
        (errors.ModelOverloaded, 429),
        (errors.ModelTimeout, 408),
    ]
    status = next((code for kind, code in known if isinstance(error, kind)), 500)
    headers = {} if error.retry_after is None else {"Retry-After": f"{error.retry_after:g}"}
    return status, json.dumps({"error": {"message": str(error), "code": status}}).encode(), headers
