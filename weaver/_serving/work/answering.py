"""Sending what came of a request: whole, or as a stream while it is made."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import anyio

from weaver._models.protocol import ToolCallPart
from weaver._serving.http.errors import ApiError, api_error
from weaver._serving.http.exchange import COMMENT, Connection
from weaver._serving.work.outbox import Piece
from weaver._serving.work.running import Outcome, Work

FIRST = 0.5
"""Seconds that a stream waits for its first piece. A run that fails within them gets an HTTP status."""


class Writer(Protocol):
    """Writes answers in one of the protocols."""

    def whole(self, outcome: Outcome) -> dict[str, Any]:
        """The answer as one JSON object."""
        ...

    def begin(self) -> bytes:
        """The first events of a stream."""
        ...

    def pieces(self, pieces: Sequence[Piece | ToolCallPart]) -> bytes:
        """The events for some pieces."""
        ...

    def end(self, outcome: Outcome) -> bytes:
        """The last events."""
        ...

    def failed(self, error: ApiError) -> bytes:
        """The last events of a run without an answer."""
        ...


class Events(Protocol):
    """Takes the events of an answer that goes on without its client."""

    def add(self, data: bytes) -> None:
        """Take some events."""
        ...


async def _nothing(*_: object) -> None:
    return None


class Answering:
    """One request being answered.

    Args:
        prepare: called before the run begins; what it raises is the answer.
        keep: called with what came of it, before the client has all of it.

    Attributes:
        outcome: what came of it, once it has ended well.
        error: why it failed, if it did.
        first_text: time on the event loop's clock at which the first text was there; None before.
    """

    def __init__(
        self,
        work: Work,
        writer: Writer,
        *,
        prepare: Callable[[], Awaitable[None]] = _nothing,
        keep: Callable[[Outcome], Awaitable[None]] = _nothing,
    ) -> None:
        self.work = work
        self.outcome: Outcome | None = None
        self.error: ApiError | None = None
        self.first_text: float | None = None
        self._writer = writer
        self._prepare = prepare
        self._keep = keep

    async def send(self, connection: Connection) -> None:
        """Run, and send the answer. Cancelling this cancels the run and closes its connections."""
        headers = run_headers(self.work.run_id)
        if self.work.inquiry.stream:
            await self._stream(connection, headers)
            return
        await self._run()
        if self.outcome is None:
            assert self.error is not None
            await send_error(connection, self.error, headers)
            return
        await send_whole(connection, self._writer, self.outcome, headers)

    async def _run(self) -> None:
        try:
            await self._prepare()
            self.outcome = await self.work.run()
            await self._keep(self.outcome)
        except Exception as error:  # noqa: BLE001 - any error has its answer
            self.error = api_error(error)
        finally:
            self.work.outbox.end()

    async def _stream(self, connection: Connection, headers: list[tuple[str, str]]) -> None:
        outbox, writer = self.work.outbox, self._writer
        async with anyio.create_task_group() as group:
            group.start_soon(self._run)
            with anyio.move_on_after(FIRST):
                await outbox.wait()
            if self.error is not None and outbox.is_empty:
                await send_error(connection, self.error, headers)
                return
            connection.on_silence = outbox.wake
            await connection.begin_events(headers)
            await connection.write(writer.begin())
            while not (outbox.ended and outbox.is_empty):
                await outbox.wait()
                if pieces := outbox.take():
                    self._look_for_text(pieces)
                    await connection.write(writer.pieces(pieces))
                elif not outbox.ended:
                    await connection.write(COMMENT)
        if self.outcome is not None:
            await connection.end(writer.end(self.outcome))
        else:
            assert self.error is not None
            await connection.end(writer.failed(self.error))

    async def log_to(self, events: Events) -> None:
        """Run, with every event going to ``events`` instead of a client."""
        outbox, writer = self.work.outbox, self._writer
        async with anyio.create_task_group() as group:
            group.start_soon(self._run)
            events.add(writer.begin())
            while not (outbox.ended and outbox.is_empty):
                await outbox.wait()
                if pieces := outbox.take():
                    self._look_for_text(pieces)
                    events.add(writer.pieces(pieces))
        if self.outcome is not None:
            events.add(writer.end(self.outcome))
        else:
            assert self.error is not None
            events.add(writer.failed(self.error))

    def _look_for_text(self, pieces: Sequence[Piece | ToolCallPart]) -> None:
        if self.first_text is None and any(not isinstance(p, Piece) or p.kind == "text" for p in pieces):
            self.first_text = anyio.current_time()


def run_headers(run_id: str) -> list[tuple[str, str]]:
    """The headers that name a run."""
    return [("x-request-id", run_id), ("x-weaver-run-id", run_id)]


async def send_whole(
    connection: Connection, writer: Writer, outcome: Outcome, headers: Sequence[tuple[str, str]]
) -> None:
    """Send an answer as one JSON object."""
    trace = outcome.result.trace_id
    traced = [] if trace is None else [("x-weaver-trace-id", trace)]
    await connection.whole(200, json.dumps(writer.whole(outcome)).encode(), [*headers, *traced])


async def send_error(
    connection: Connection, error: ApiError, headers: Sequence[tuple[str, str]] = ()
) -> None:
    """Send an error as the whole answer."""
    await connection.whole(error.status, error.encoded, [*headers, *error.headers.items()])
