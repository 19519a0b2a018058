"""Responses that can be continued and retrieved, in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from weaver._data.messages import Message
from weaver._serving.responses.event_log import EventLog

MOST_CHARS = 100_000_000
"""Characters of all conversations that are kept."""


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """One response.

    Args:
        client: the name of the key that asked; nobody else can read it.
        messages: the conversation with the answer, without instructions.
        response: as it was sent.
        log: its events, if it was made in the background of this process.
    """

    client: str
    messages: tuple[Message, ...]
    response: Mapping[str, Any]
    log: EventLog | None = None

    @property
    def chars(self) -> int:
        """Its size."""
        logged = 0 if self.log is None else self.log.size
        return 1000 + logged + sum(_size(message) for message in self.messages)


def _size(message: Message) -> int:
    return 100 + len(message.text) + sum(len(part.data or part.source) for part in message.media)


class ResponseStore:
    """The latest responses; the oldest go first.

    Args:
        limit: most responses that are kept.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._by_id: OrderedDict[str, StoredResponse] = OrderedDict()
        self._chars = 0

    def __len__(self) -> int:
        return len(self._by_id)

    def add(self, id: str, stored: StoredResponse) -> None:  # noqa: A002 - the protocol's word
        """Keep a response."""
        self.remove(id)
        self._by_id[id] = stored
        self._chars += stored.chars
        while self._by_id and (len(self._by_id) > self._limit or self._chars > MOST_CHARS):
            _, oldest = self._by_id.popitem(last=False)
            self._chars -= oldest.chars

    def get(self, id: str) -> StoredResponse | None:  # noqa: A002
        """The response of that id, or None."""
        stored = self._by_id.get(id)
        if stored is not None:
            self._by_id.move_to_end(id)
        return stored

    def attach(self, id: str, log: EventLog | None) -> None:  # noqa: A002 - as above
        """Keep the events of a response beside it."""
        if log is not None and (stored := self._by_id.get(id)) is not None:
            self.add(id, replace(stored, log=log))

    def remove(self, id: str) -> None:  # noqa: A002 - as above
        """Forget a response, if it is there."""
        if (stored := self._by_id.pop(id, None)) is not None:
            self._chars -= stored.chars
