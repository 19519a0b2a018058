"""Responses that can be continued and retrieved, in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from weaver.messages import Message
from weaver.serving.http.errors import ApiError

MOST_CHARS = 100_000_000
"""Characters of all conversations that are kept."""


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """One response.

    Args:
        client: the name of the key that asked; nobody else can read it.
        messages: the conversation with the answer, without instructions.
        response: as it was sent.
    """

    client: str
    messages: tuple[Message, ...]
    response: Mapping[str, Any]

    @property
    def chars(self) -> int:
        """Its size."""
        return 1000 + sum(_size(message) for message in self.messages)


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
        self._by_id[id] = stored
        self._chars += stored.chars
        while self._by_id and (len(self._by_id) > self._limit or self._chars > MOST_CHARS):
            _, oldest = self._by_id.popitem(last=False)
            self._chars -= oldest.chars

    def get(self, id: str, client: str, *, param: str | None = None, status: int = 404) -> StoredResponse:  # noqa: A002
        """The response of that id.

        Args:
            client: who asks.
            param: the field of the request that named it.
            status: of the error.

        Raises:
            ApiError: there is none, or it is somebody else's.
        """
        stored = self._by_id.get(id)
        if stored is None or stored.client != client:
            raise ApiError(
                status,
                f"There is no response {id[:100]!r}. The latest {self._limit} are kept in memory, if "
                "store is not false. Send the whole conversation as input instead.",
                param=param,
                code="previous_response_not_found" if param else "not_found",
            )
        self._by_id.move_to_end(id)
        return stored

    def remove(self, id: str, client: str) -> None:  # noqa: A002 - as above
        """Forget a response.

        Raises:
            ApiError: there is none, or it is somebody else's.
        """
        self._chars -= self.get(id, client).chars
        del self._by_id[id]
