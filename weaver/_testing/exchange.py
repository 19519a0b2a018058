"""One model call being answered by a `weaver.testing.Server`: its record, and what faults can do to it."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import struct
from dataclasses import dataclass, field
from typing import Any, NoReturn

from aiohttp import web

from weaver import errors
from weaver._models.protocol import Request
from weaver._testing.faults import Events, Fault
from weaver._testing.scripted import ScriptedModel
from weaver._testing.wire import Chunks, whole


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
    faults: list[Fault] = field(default_factory=list[Fault])
    waited: float = 0.0

    @property
    def traceparent(self) -> str | None:
        """The W3C trace context that came with it."""
        return self.headers.get("traceparent")


class RefusedError(Exception):
    """An answer to give instead."""

    def __init__(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.headers = headers


class GoneError(Exception):
    """The connection was closed on purpose."""


class Answering:
    """One model call being answered; what faults see of it."""

    def __init__(self, http: web.Request, received: Received, chance: random.Random) -> None:
        self.request = received.request
        self.random = chance
        self._http = http
        self._received = received

    async def answer(self, script: ScriptedModel, chunks: Chunks) -> web.StreamResponse:
        """Do what the faults and the script say.

        Raises:
            RefusedError: something else is to be answered.
            GoneError: the connection was closed on purpose.
        """
        body, request = self._received.body, self.request
        for fault in self._received.faults:
            await fault.before(self)
        try:
            async with script.stream(request) as deltas:
                if not body.get("stream"):
                    return web.json_response(
                        await whole(deltas, chunks.frame, raw=request.prompt is not None)
                    )
                events = chunks.events(deltas)
                for fault in self._received.faults:
                    events = fault.during(events, self)
                return await self._stream(events)
        except errors.ModelError as scripted:
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
        """Answer with this instead."""
        raise RefusedError(status, body, {"Content-Type": "application/json", **headers})

    def reset(self) -> NoReturn:
        """Reset the connection (TCP RST)."""
        transport = self._http.transport
        if transport is not None:
            sock = transport.get_extra_info("socket")
            if sock is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        raise GoneError

    def hang_up(self) -> NoReturn:
        """Close the connection without ending the answer."""
        if self._http.transport is not None:
            self._http.transport.close()
        raise GoneError


def _status_of(error: errors.ModelError) -> tuple[int, bytes, dict[str, str]]:
    """A scripted error as an HTTP answer."""
    statuses: list[tuple[type[errors.ModelError], int]] = [
        (errors.AuthenticationError, 401),
        (errors.BadRequestError, 400),
        (errors.RateLimitError, 429),
        (errors.ModelTimeoutError, 408),
    ]
    status = next((code for kind, code in statuses if isinstance(error, kind)), 500)
    headers = {} if error.retry_after is None else {"Retry-After": f"{error.retry_after:g}"}
    return status, json.dumps({"error": {"message": str(error), "code": status}}).encode(), headers
