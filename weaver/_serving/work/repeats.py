"""Requests that are sent again under the same ``Idempotency-Key``: one run answers them all."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio

from weaver._models.protocol import ToolCallPart
from weaver._serving.http.errors import ApiError, invalid
from weaver._serving.http.exchange import Connection
from weaver._serving.work.answering import Answering, Writer, run_headers, send_error, send_whole
from weaver._serving.work.outbox import Piece
from weaver._serving.work.running import Outcome

LIMIT = 1000
"""Most requests that are remembered, and the seconds for which they are."""
SECONDS = 600.0
MOST_KEY = 255


@dataclass(slots=True)
class Attempt:
    """The first request of a key.

    Attributes:
        ended: set when its run has ended, or its client has left.
    """

    digest: bytes
    answering: Answering
    writer: Callable[[], Writer]
    at: float
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Repeats:
    """The requests of the last minutes that had a key."""

    def __init__(self) -> None:
        self._attempts: OrderedDict[tuple[str, ...], Attempt] = OrderedDict()

    def find(self, name: tuple[str, ...], body: Mapping[str, Any]) -> Attempt | None:
        """The first request of that name, if this one repeats it.

        Args:
            name: client, endpoint and key.

        Raises:
            ApiError: the key is too long, or was used for another request.
        """
        if len(name[-1]) > MOST_KEY:
            raise invalid(f"Idempotency-Key may have at most {MOST_KEY} characters.")
        attempt = self._attempts.get(name)
        if attempt is None or anyio.current_time() - attempt.at > SECONDS:
            return None
        if attempt.digest != _digest(body):
            raise invalid("The Idempotency-Key was used for another request.", code="idempotency_key_reused")
        return attempt

    def add(
        self,
        name: tuple[str, ...],
        body: Mapping[str, Any],
        answering: Answering,
        writer: Callable[[], Writer],
    ) -> Attempt:
        """Remember a first request.

        Args:
            writer: makes another writer of the same answer.
        """
        attempt = Attempt(_digest(body), answering, writer, anyio.current_time())
        self._attempts.pop(name, None)
        self._attempts[name] = attempt
        while len(self._attempts) > LIMIT:
            self._attempts.popitem(last=False)
        return attempt

    def end(self, name: tuple[str, ...], attempt: Attempt) -> None:
        """The run has ended. One without an answer is forgotten, so that it can be tried again."""
        attempt.ended.set()
        if attempt.answering.outcome is None and self._attempts.get(name) is attempt:
            del self._attempts[name]


async def send_again(attempt: Attempt, connection: Connection) -> None:
    """Send the answer of the first request, once it is there."""
    await attempt.ended.wait()
    answering, writer = attempt.answering, attempt.writer()
    headers = [*run_headers(answering.work.run_id), ("idempotent-replayed", "true")]
    if (outcome := answering.outcome) is None:
        message = "The first request with this Idempotency-Key ended without an answer. Send it again."
        await send_error(connection, answering.error or ApiError(409, message, code="cancelled"), headers)
    elif answering.work.inquiry.stream:
        await connection.begin_events(headers)
        await connection.write(writer.begin() + writer.pieces(_pieces_of(outcome)))
        await connection.end(writer.end(outcome))
    else:
        await send_whole(connection, writer, outcome, headers)


def _pieces_of(outcome: Outcome) -> list[Piece | ToolCallPart]:
    texts = (
        Piece("reasoning", outcome.reasoning),
        Piece("text", outcome.text),
        Piece("refusal", outcome.refusal),
    )
    calls = [ToolCallPart(i, c.id, c.name, c.arguments) for i, c in enumerate(outcome.tool_calls)]
    return [*(piece for piece in texts if piece.text), *calls]


def _digest(body: Mapping[str, Any]) -> bytes:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).digest()
