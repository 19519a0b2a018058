"""A loopback model server that speaks OpenAI's protocol, scripted like `ScriptedModel`.

For tests over real HTTP: what was asked, what was really sent, and when a client went away.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any, Self

from aiohttp import web

from weaver._models.protocol import Request
from weaver._testing.exchange import Answering, GoneError, Received, RefusedError
from weaver._testing.faults import Fault, Rule, drawn
from weaver._testing.scripted import Scripted, ScriptedModel, text_of
from weaver._testing.wire import Chunks, Dialect, request_of

_OWNERS: dict[Dialect, str] = {
    "openai": "openai",
    "llama.cpp": "llamacpp",
    "vllm": "vllm",
    "sglang": "sglang",
}


class Server:
    """A model server on a free port of the loopback interface.

    Use it as ``async with Server(...) as server``, or in its own thread with
    ``with Server(...).in_thread() as server``; for its own process see `ServerProcess`.

    Args:
        replies: as for `ScriptedModel`; or a `ScriptedModel`, to look at its records too.
        model: the model's name in the list of models and in answers.
        faults: what goes wrong; each is a `Fault` for every request or a `Rule`.
        seed: for the faults' chance.
        slots: requests worked on at once; others wait in line, as at llama.cpp. None: no limit.
        context: context window that is announced.
        dialect: which server to imitate: how it presents itself and reports a matched stop string.
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
        self.dialect: Dialect = dialect
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
    async def refusing(self) -> AsyncGenerator[None]:
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
    def in_thread(self) -> Generator[Self]:
        """Serve from a thread with its own event loop; yields when it listens."""
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
        chance = self._chance(request)
        received.faults = drawn(self.rules, request, chance)
        answering = Answering(http, received, chance)
        stream_options: dict[str, Any] = body.get("stream_options") or {}
        chunks = Chunks(
            f"answer-{len(self.requests)}",
            self.model,
            raw=request.prompt is not None,
            dialect=self.dialect,
            usage=bool(stream_options.get("include_usage")),
            logprobs=request.logprobs is not None,
        )
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
                response = await answering.answer(self.script, chunks)
            received.closed = "finished"
        except RefusedError as refused:
            received.closed = "failed"
            response = web.Response(status=refused.status, body=refused.body, headers=refused.headers)
        except GoneError:
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
        """Seed by the request and its count, not by the order in which requests arrive."""
        digest = hashlib.sha256(text_of(request).encode("utf-8", "replace")).hexdigest()
        self._seen[digest] += 1
        return random.Random(f"{self._seed}/{digest}/{self._seen[digest]}")

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


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message, "code": status}}, status=status)
