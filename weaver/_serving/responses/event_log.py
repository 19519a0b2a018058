"""The events of a response that goes on without its client: kept, and sent to whoever asks for them."""

from __future__ import annotations

import asyncio
import json

from weaver._serving.http.exchange import COMMENT, Connection

_END = b"\n\n"
MOST_BYTES = 16_000_000
"""Most that is kept of one stream: later readers of a longer one can only retrieve the response."""


class EventLog:
    """The events of one response, of which each one's place is its ``sequence_number``.

    Attributes:
        ended: no more will come.
        size: bytes of all events.
        is_whole: whether all events are kept.
    """

    def __init__(self) -> None:
        self.ended = False
        self.size = 0
        self.is_whole = True
        self._events: list[bytes] = []
        self._news = asyncio.Event()

    def add(self, data: bytes) -> None:
        """Add the events in ``data``, one after the other."""
        for event in data.split(_END):
            if not event:
                continue
            self.size += len(event)
            if self.size > MOST_BYTES:
                self.is_whole = False
                self._events.clear()
            if self.is_whole:
                self._events.append(b"id: %d\n%s%s" % (len(self._events), event, _END))
        self.wake()

    def end(self) -> None:
        """Say that no more will come."""
        self.ended = True
        self.wake()

    def wake(self) -> None:
        """Let readers look again."""
        self._news.set()
        self._news = asyncio.Event()

    async def send(self, connection: Connection, after: int, headers: list[tuple[str, str]]) -> None:
        """Send the events after a sequence number, and then every one as it comes.

        Args:
            after: the last number that the client has; -1 for none.
        """
        connection.on_silence = self.wake
        await connection.begin_events(headers)
        place = after + 1
        while self.is_whole:
            if events := self._events[place:]:
                place += len(events)
                await connection.write(b"".join(events))
            elif self.ended:
                break
            else:
                await self._news.wait()
                if len(self._events) <= place and not self.ended:
                    await connection.write(COMMENT)
        await connection.end()

    async def send_last(self, connection: Connection, number: int, headers: list[tuple[str, str]]) -> None:
        """Send the event that ends the response, when it comes, as the one of this ``number``."""
        connection.on_silence = self.wake
        await connection.begin_events(headers)
        while not self.ended:
            await self._news.wait()
            if not self.ended:
                await connection.write(COMMENT)
        if self._events:
            kind, data = self._events[-1].split(b"\n", 2)[1:]
            fields = {**json.loads(data.removeprefix(b"data: ")), "sequence_number": number}
            encoded = json.dumps(fields, separators=(",", ":")).encode()
            await connection.write(b"id: %d\n%s\ndata: %s%s" % (number, kind, encoded, _END))
        await connection.end()
