"""Responses in the journal of durable runs: they outlive the process that made them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from weaver._data.conversation.reading import messages_from
from weaver._data.messages import Message
from weaver._environment.processes import lives, owner
from weaver._journal.port import Entry, Journal, RunHead
from weaver._json_reading.json_types import is_mapping
from weaver._serving.http.fields import Fields
from weaver._serving.responses.request import input_messages
from weaver._serving.responses.store import StoredResponse
from weaver.errors import WeaverError

PREFIX = "resp_"
_ENDED = "response"
"""Key of the entry that has a response as it ended, and what the next one of its conversation starts from."""
_ABOUT = "response"
MOST_QUESTION = 500
"""Characters of the question that lists of runs get."""
MOST_UNFINISHED = 1000
"""Most runs among which those of an earlier process are looked for."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A response as it was asked for.

    Args:
        client: the name of the key that asked.
        body: of the request.
        headers: of the request, those that say how to run.
        earlier: the conversation before it.
        background: whether it goes on without its client.
        created: seconds since 1970.
    """

    client: str
    body: Mapping[str, Any]
    headers: Mapping[str, str]
    earlier: tuple[Message, ...]
    background: bool
    created: int

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation up to and with the request, without instructions: they hold for one response."""
        return (*self.earlier, *input_messages(Fields(self.body)))


class JournaledResponses:
    """The responses in a journal.

    Args:
        is_local: nobody on another machine uses the journal.
    """

    def __init__(self, journal: Journal, *, is_local: bool) -> None:
        self.journal = journal
        self._is_local = is_local

    async def begin(self, run_id: str, begun: Begun) -> None:
        """Record what was asked, before its run begins."""
        about = {
            "client": begun.client,
            "body": dict(begun.body),
            "headers": dict(begun.headers),
            "earlier": [message.as_dict() for message in begun.earlier],
            "background": begun.background,
        }
        question = next((m.text for m in reversed(begun.messages) if m.role == "user"), "")[:MOST_QUESTION]
        await self.journal.open(run_id, owner=owner(), about={"question": question, _ABOUT: about})

    async def end(self, run_id: str, stored: StoredResponse) -> None:
        """Record how it ended; the first end stays."""
        value = {
            "response": dict(stored.response),
            "messages": [message.as_dict() for message in stored.messages],
        }
        await self.journal.append(run_id, 0, [Entry(_ENDED, "verdict", value)])

    async def find(self, response_id: str) -> tuple[Begun, StoredResponse | None] | None:
        """A response and how it ended, or None when the journal has none of that id."""
        run_id = response_id.removeprefix(PREFIX)
        head = await self.journal.head(run_id)
        if head is None or (begun := _begun(head)) is None:
            return None
        for entry in reversed(await self.journal.entries(run_id)):
            if entry.key == _ENDED:
                messages = messages_from(entry.value["messages"])
                return begun, StoredResponse(begun.client, messages, entry.value["response"])
        return begun, None

    async def unfinished(self) -> list[tuple[str, Begun]]:
        """Responses in the background whose process has ended, by their runs' ids."""
        unfinished: list[tuple[str, Begun]] = []
        heads = [
            *await self.journal.heads(status="running", limit=MOST_UNFINISHED),
            *await self.journal.heads(status="interrupted", limit=MOST_UNFINISHED),
        ]
        for head in heads:
            begun = _begun(head)
            if begun is None or not begun.background or lives(head.owner):
                continue
            is_here = self._is_local or head.owner.rpartition(":")[0] == owner().rpartition(":")[0]
            if is_here and await self.find(head.run_id) == (begun, None):
                unfinished.append((head.run_id, begun))
        return unfinished

    async def cancel(self, response_id: str) -> None:
        """Do not go on with it later."""
        await self.journal.cancel(response_id.removeprefix(PREFIX))

    async def remove(self, response_id: str) -> None:
        """Forget a response with its run."""
        await self.journal.remove(response_id.removeprefix(PREFIX))


def _begun(head: RunHead) -> Begun | None:
    about = head.about.get(_ABOUT)
    if not is_mapping(about):
        return None
    try:
        return Begun(
            client=str(about["client"]),
            body=dict(about["body"]),
            headers=dict(about["headers"]),
            earlier=messages_from(about["earlier"]),
            background=bool(about["background"]),
            created=int(head.created or time.time()),
        )
    except (KeyError, TypeError, ValueError, WeaverError):
        return None
