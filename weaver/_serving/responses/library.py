"""The responses of a server: those that are being made, those in memory, and those in the journal."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from weaver._data.messages import Message
from weaver._serving.http.errors import ApiError, invalid
from weaver._serving.http.fields import Fields
from weaver._serving.keys import Client
from weaver._serving.responses.answer import ResponseWriter
from weaver._serving.responses.journaled import PREFIX, Begun, JournaledResponses
from weaver._serving.responses.live import LiveResponse
from weaver._serving.responses.request import inquiry_of
from weaver._serving.responses.store import ResponseStore, StoredResponse
from weaver._serving.service import Service
from weaver._serving.work.running import Outcome
from weaver.errors import WeaverError

log = logging.getLogger("weaver.serving")


@dataclass
class Answer:
    """One response on its way into the library.

    Args:
        journal: where it is recorded; None for memory only.
        keeps: whether it is kept at all.
    """

    library: Library
    begun: Begun
    journal: JournaledResponses | None
    keeps: bool
    writers: list[ResponseWriter] = field(default_factory=list[ResponseWriter])

    def writer(self, run_id: str, created: int) -> ResponseWriter:
        """Another writer of the response."""
        begun = self.begun
        model = str(begun.body["model"]).strip()
        writer = ResponseWriter(
            run_id,
            model,
            begun.created or created,
            begun.body,
            stored=self.keeps,
            background=begun.background,
        )
        self.writers.append(writer)
        return writer

    async def begin(self, run_id: str) -> None:
        """Record what was asked."""
        if self.journal is not None and self.keeps:
            await self.journal.begin(run_id, self.begun)

    async def keep(self, outcome: Outcome) -> None:
        """Keep how it ended."""
        if self.keeps:
            answer = Message("assistant", outcome.text, outcome.tool_calls)
            await self.end(self.writers[0].whole(outcome), answer)

    async def end(self, response: dict[str, Any], *answer: Message) -> StoredResponse:
        """Keep the response as it ended."""
        begun = self.begun
        stored = StoredResponse(begun.client, (*begun.messages, *answer), response)
        if self.journal is not None:
            await self.journal.end(response["id"].removeprefix(PREFIX), stored)
        self.library.store.add(response["id"], stored)
        return stored


class Library:
    """All responses of a server."""

    def __init__(self, service: Service) -> None:
        self.store = ResponseStore(service.config.stored)
        self._service = service
        self._live: dict[str, LiveResponse] = {}

    def answer(
        self,
        client: Client,
        body: Fields,
        headers: Mapping[str, str],
        earlier: tuple[Message, ...],
        *,
        keeps: bool = True,
        background: bool = False,
    ) -> Answer:
        """A new response."""
        begun = Begun(client.name, body.values, headers, earlier, background, int(time.time()))
        return Answer(self, begun, self._journal(durable=background), keeps)

    async def start(
        self,
        client: Client,
        body: Fields,
        headers: Mapping[str, str],
        earlier: tuple[Message, ...],
        key: str,
    ) -> LiveResponse | dict[str, Any]:
        """Begin a response in the background; recorded on return.

        Args:
            key: ``Idempotency-Key``, or "".

        Returns:
            The response; as JSON, if it was begun under the same key and has ended.

        Raises:
            ApiError: the request is refused.
        """
        run_id = None
        if key:
            run_id = hashlib.sha256(f"{client.name}\0{key}".encode()).hexdigest()[:24]
            if (again := await self._repeated(PREFIX + run_id, client, body)) is not None:
                return again
        answer = self.answer(client, body, headers, earlier, background=True)
        live = self._open(answer, client, run_id, is_resumed=False)
        try:
            await answer.begin(live.writer.id.removeprefix(PREFIX))
        except BaseException:
            live.opened.close(False, 500)
            raise
        self._start(live)
        return live

    async def resume(self) -> None:
        """Go on with what an earlier process left in the background."""
        if (journal := self._journal(durable=True)) is None:
            return
        try:
            unfinished = await journal.unfinished()
        except WeaverError as error:
            log.warning("Responses of earlier processes cannot be looked up: %s", error)
            return
        clients = {client.name: client for client in self._service.clients.all}
        for run_id, begun in unfinished:
            if (client := clients.get(begun.client)) is None:
                continue
            answer = Answer(self, begun, journal, keeps=True)
            try:
                self._start(self._open(answer, client, run_id, is_resumed=True))
            except ApiError as error:
                log.warning("The response %s%s cannot go on: %s", PREFIX, run_id, error)

    async def aclose(self) -> None:
        """End what runs in the background; it can go on later."""
        tasks = set(self._service.background)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def live(self, response_id: str, client: Client) -> LiveResponse | None:
        """The response of that id, if it is being made for this client."""
        live = self._live.get(response_id)
        return live if live is not None and live.client == client.name else None

    async def find(
        self, response_id: str, client: Client, *, param: str | None = None, status: int = 404
    ) -> StoredResponse:
        """A response that has ended.

        Args:
            param: the field of the request that named it.
            status: of the error.

        Raises:
            ApiError: there is none, or it is somebody else's.
        """
        stored = self.store.get(response_id)
        if stored is None and response_id.startswith(PREFIX):
            stored = await self._recorded(response_id)
        if stored is None or stored.client != client.name:
            raise ApiError(
                status,
                f"There is no response {response_id[:100]!r}. Those of durable servers and of the background "
                f"are kept in the journal, of others the latest {self._service.config.stored} in memory, and "
                "none with store: false. Send the whole conversation as input instead.",
                param=param,
                code="previous_response_not_found" if param else "not_found",
            )
        return stored

    async def conversation(self, response_id: str, client: Client) -> tuple[Message, ...]:
        """The messages up to the end of a response; none for an empty id.

        Raises:
            ApiError: there is none of that id, or it is still being made.
        """
        if not response_id:
            return ()
        param = "previous_response_id"
        if self.live(response_id, client) is not None:
            raise invalid(f"The response {response_id} is still in progress.", param, code="in_progress")
        return (await self.find(response_id, client, param=param, status=400)).messages

    async def remove(self, response_id: str, client: Client) -> None:
        """Forget a response; one that is being made is cancelled.

        Raises:
            ApiError: there is none, or it is somebody else's.
        """
        await self.cancel(response_id, client)
        self.store.remove(response_id)
        journal = self._journal(durable=True)
        if journal is not None and await journal.find(response_id) is not None:
            await journal.remove(response_id)

    async def cancel(self, response_id: str, client: Client) -> StoredResponse:
        """Stop a response if it is being made, and return how it ended.

        Raises:
            ApiError: there is none, or it is somebody else's.
        """
        if (live := self.live(response_id, client)) is not None:
            await live.cancel()
        stored = await self.find(response_id, client)
        if stored.response["status"] == "cancelled" and (journal := self._journal(durable=True)) is not None:
            await journal.cancel(response_id)
        return stored

    def _journal(self, *, durable: bool | None = None) -> JournaledResponses | None:
        weaver = self._service.weaver
        journal = weaver.journal(durable=durable)
        if journal is None:
            return None
        return JournaledResponses(journal, is_local=weaver.settings.journal is None)

    async def _recorded(self, response_id: str) -> StoredResponse | None:
        if (journal := self._journal(durable=True)) is None:
            return None
        recorded = await journal.find(response_id)
        return None if recorded is None else recorded[1]

    async def _repeated(
        self, response_id: str, client: Client, body: Fields
    ) -> LiveResponse | dict[str, Any] | None:
        """Return what an earlier request with the same key has begun."""
        journal = self._journal(durable=True)
        recorded = None if journal is None else await journal.find(response_id)
        if recorded is None or recorded[0].client != client.name:
            return None
        if recorded[0].body != body.values:
            raise invalid("The Idempotency-Key was used for another request.", code="idempotency_key_reused")
        live = self.live(response_id, client)
        return live if live is not None else dict((await self.find(response_id, client)).response)

    def _open(self, answer: Answer, client: Client, run_id: str | None, *, is_resumed: bool) -> LiveResponse:
        begun = answer.begun
        inquiry = inquiry_of(Fields(begun.body), begun.headers, begun.earlier)
        opened = self._service.admit(
            "/responses",
            client,
            inquiry,
            answer.writer,
            run_id=run_id,
            durable=True,
            is_resumed=is_resumed,
            keep=answer.keep,
        )
        return LiveResponse(
            client.name, begun.body, answer.writers[0], opened, answer.end, is_resumed=is_resumed
        )

    def _start(self, live: LiveResponse) -> None:
        response_id = live.writer.id
        self._live[response_id] = live

        def over() -> None:
            del self._live[response_id]
            self.store.attach(response_id, None if live.is_resumed else live.log)

        live.start(self._service.background, over)
