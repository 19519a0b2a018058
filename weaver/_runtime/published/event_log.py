"""Publishing a run's events in its journal, several at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import anyio

from weaver._journal.port import Journal
from weaver._runtime.published.story import Json, Story
from weaver.errors import JournalError, WeaverError
from weaver.events import Event

if TYPE_CHECKING:
    from weaver._runtime.state.record import Record

BATCH_SECONDS = 0.1
"""Events of so long a time go to the journal together."""
_DELTAS = ("ThreadDelta", "AnswerDelta", "AnswerReasoning")


class EventLog:
    """The events of one run, for whoever attaches to it in another process."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._news = asyncio.Event()
        self._write: Callable[[list[Json]], Any] | None = None
        self._halt: Callable[[WeaverError], None] = _ignore
        self._story = Story()

    def heard_by(self, listen: Callable[[Event], None] | None) -> Callable[[Event], None]:
        """Return the listener for the run's events, which hands them to ``listen`` too."""
        if listen is None:
            return self.take

        def both(event: Event) -> None:
            self.take(event)
            listen(event)

        return both

    def take(self, event: Event) -> None:
        """Take the next event."""
        if not self._events:
            self._news.set()
        self._events.append(event)

    async def open(self, journal: Journal, record: Record) -> None:
        """Say where the events go, now that the run is ours.

        Raises:
            JournalError: what was told before cannot be read.
        """
        self._halt = record.halt
        if record.is_resumed:
            before = [event for _, event in await journal.events(record.run_id)]
            self._story = Story(before, keeps_failures=record.keeps_failures)
        self._write = lambda events: journal.publish(record.run_id, record.epoch, events)

    async def publish(self) -> None:
        """Write events as they come, until cancelled. Called by the runtime."""
        while True:
            await self._news.wait()
            await anyio.sleep(BATCH_SECONDS)
            await self._flush()

    async def finish(self) -> None:
        """Write the last events; an error is not raised: the run is over."""
        await self._flush()

    async def _flush(self) -> None:
        events, self._events = self._events, []
        self._news.clear()
        if self._write is None:
            return
        news = joined(piece for event in events for piece in self._story.news(event))
        if not news:
            return
        try:
            await self._write(news)
        except JournalError as error:
            self._write = None
            self._halt(error)


def joined(events: Any) -> list[Json]:
    """Return events with the pieces of each text, between two other events, in one."""
    whole: list[Json] = []
    pieces: dict[tuple[str, str, str], list[str]] = {}
    for event in events:
        if event["event"] not in _DELTAS:
            _close(whole, pieces)
            whole.append(event)
            continue
        line = (event["event"], event.get("thread", ""), event.get("kind", ""))
        if line in pieces:
            pieces[line].append(event["text"])
        else:
            pieces[line] = texts = [event["text"]]
            whole.append({**event, "text": texts})
    _close(whole, pieces)
    return whole


def _close(events: list[Json], pieces: dict[tuple[str, str, str], list[str]]) -> None:
    """Join the pieces that are open; they stand among the last events."""
    for event in reversed(events):
        if not isinstance(event.get("text"), list):
            break
        event["text"] = "".join(event["text"])
    pieces.clear()


def _ignore(_: WeaverError) -> None:
    return None
