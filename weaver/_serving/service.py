"""What all requests share: the runs, the offers, the clients, the counts."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import anyio
from starlette.requests import Request

from weaver._serving.config import ServeConfig
from weaver._serving.http.bodies import read_fields
from weaver._serving.http.errors import SERVER, ApiError
from weaver._serving.http.exchange import Connection, Exchange
from weaver._serving.http.fields import Fields
from weaver._serving.http.metrics import ServeMetrics
from weaver._serving.keys import Client, Clients
from weaver._serving.work.answering import Answering, Writer
from weaver._serving.work.inquiry import Inquiry
from weaver._serving.work.offers import Offers
from weaver._serving.work.repeats import Repeats, send_again
from weaver._serving.work.running import Outcome, Work

if TYPE_CHECKING:
    from weaver._facade.weaver import Weaver


async def _nothing(*_: object) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Opened:
    """A request that has been let in.

    Attributes:
        another_writer: makes another writer of the same answer.
        close: to be called at the end: whether the client left, and the HTTP status that it got.
    """

    answering: Answering
    another_writer: Callable[[], Writer]
    close: Callable[[bool, int | None], None]


class Service:
    """One server.

    Attributes:
        draining: the server is about to end and takes no new requests.
        open: the requests that are being answered.
        background: the tasks of those that go on without their clients.
    """

    def __init__(self, weaver: Weaver, config: ServeConfig, offers: Offers, clients: Clients) -> None:
        self.weaver = weaver
        self.config = config
        self.offers = offers
        self.clients = clients
        self.metrics = ServeMetrics()
        self.repeats = Repeats()
        self.draining = False
        self.open: set[Answering] = set()
        self.background: set[asyncio.Task[None]] = set()
        self.started = int(time.time())

    async def body(self, request: Request) -> Fields:
        """The JSON object in a request's body.

        Raises:
            ApiError: there is none within the limits.
        """
        return await read_fields(request, most_bytes=self.config.max_body, seconds=self.config.body_timeout)

    def exchange(
        self,
        endpoint: str,
        client: Client,
        inquiry: Inquiry,
        writer: Callable[[str, int], Writer],
        *,
        request: Request,
        body: Fields,
        optillm: str | None = None,
        prepare: Callable[[str], Awaitable[None]] = _nothing,
        keep: Callable[[Outcome], Awaitable[None]] = _nothing,
    ) -> Exchange:
        """The response to a request for an answer.

        Args:
            writer: makes the writer, of the run's id and the time (seconds since 1970).
            request, body: as they came; a header ``Idempotency-Key`` makes equal requests one run.
            optillm: a method that the request names in optillm's way.
            prepare: called with the run's id before the run begins.
            keep: called with what came of it, before the client has all of it.

        Raises:
            ApiError: the request is refused.
        """
        key = (client.name, endpoint, request.headers.get("idempotency-key", ""))
        if key[-1] and (attempt := self.repeats.find(key, body.values)) is not None:
            again = partial(send_again, attempt)
            return Exchange(again, send_timeout=self.config.send_timeout)
        opened = self.admit(endpoint, client, inquiry, writer, optillm=optillm, prepare=prepare, keep=keep)
        answering = opened.answering
        first = self.repeats.add(key, body.values, answering, opened.another_writer) if key[-1] else None

        def done(connection: Connection) -> None:
            opened.close(connection.gone, connection.status)
            if first is not None:
                self.repeats.end(key, first)

        return Exchange(answering.send, send_timeout=self.config.send_timeout, done=done)

    def admit(
        self,
        endpoint: str,
        client: Client,
        inquiry: Inquiry,
        writer: Callable[[str, int], Writer],
        *,
        optillm: str | None = None,
        run_id: str | None = None,
        durable: bool = False,
        is_resumed: bool = False,
        prepare: Callable[[str], Awaitable[None]] = _nothing,
        keep: Callable[[Outcome], Awaitable[None]] = _nothing,
    ) -> Opened:
        """Let a request in, which counts from now on. Arguments as `exchange` and `Work`.

        Args:
            run_id: of the run; a new one by default.

        Raises:
            ApiError: the request is refused.
        """
        if self.draining:
            raise ApiError(503, "The server is about to end.", SERVER, code="draining", retry_after=5)
        offer = self.offers.find(inquiry.model, strategy=inquiry.extras.strategy or optillm)
        for name in {inquiry.model, offer.id}:
            if not client.may_use(name):
                raise ApiError(
                    403, f"The key may not use the model {name!r}.", param="model", code="forbidden"
                )
        if len(self.open) >= self.config.max_requests:
            raise ApiError(503, "The server has too many requests.", SERVER, code="overloaded", retry_after=1)
        run_id = run_id or secrets.token_hex(12)
        work = Work(self.weaver, offer, inquiry, client, run_id, self.config.progress, durable, is_resumed)
        another_writer = partial(writer, run_id, int(time.time()))
        answering = Answering(work, another_writer(), prepare=partial(prepare, run_id), keep=keep)
        stack = ExitStack()
        stack.enter_context(client.request())
        self.open.add(answering)
        self.metrics.open_requests.add()
        began = anyio.current_time()

        def close(gone: bool, status: int | None) -> None:
            stack.close()
            self.open.discard(answering)
            self._count(endpoint, answering, began, gone=gone, status=status)

        return Opened(answering, another_writer, close)

    def drain(self) -> None:
        """Take no new requests."""
        self.draining = True

    def stop(self) -> None:
        """End what still runs: what there is becomes the answer. In the background it can go on later."""
        for task in self.background:
            task.cancel()
        for answering in tuple(self.open):
            if not answering.work.durable:
                answering.work.stop()

    def _count(
        self, endpoint: str, answering: Answering, began: float, *, gone: bool, status: int | None
    ) -> None:
        metrics, work = self.metrics, answering.work
        metrics.open_requests.add(by=-1)
        metrics.seconds.observe(anyio.current_time() - began, endpoint)
        if answering.first_text is not None:
            metrics.first.observe(answering.first_text - began, endpoint)
        if gone:
            metrics.disconnects.add(endpoint)
        status = answering.error.status if answering.error else status
        metrics.requests.add(endpoint, str(499 if gone else status or 500))
        if (outcome := answering.outcome) is None:
            return
        usage, model, key = outcome.usage, work.offer.id, work.client.name
        metrics.runs.add(model, outcome.result.strategy, outcome.result.status)
        metrics.tokens.add(model, key, "input", by=usage.input_tokens)
        metrics.tokens.add(model, key, "output", by=usage.output_tokens)
        if usage.cost_usd:
            metrics.cost.add(model, key, by=usage.cost_usd)
