"""What all requests share: the runs, the offers, the clients, the counts."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import anyio
from starlette.requests import Request

from weaver.serving.config import ServeConfig
from weaver.serving.http.bodies import read_fields
from weaver.serving.http.errors import SERVER, ApiError
from weaver.serving.http.exchange import Connection, Exchange
from weaver.serving.http.fields import Fields
from weaver.serving.http.metrics import ServeMetrics
from weaver.serving.keys import Client, Clients
from weaver.serving.work.answering import Answering, Writer
from weaver.serving.work.inquiry import Inquiry
from weaver.serving.work.offers import Offers
from weaver.serving.work.repeats import Repeats, send_again
from weaver.serving.work.running import Outcome, Work

if TYPE_CHECKING:
    from weaver.api import Weaver


class Service:
    """One server.

    Attributes:
        draining: the server is about to end and takes no new requests.
        open: the requests that are being answered.
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
        keep: Callable[[Outcome], None] = lambda _: None,
    ) -> Exchange:
        """The response to a request for an answer.

        Args:
            writer: makes the writer, of the run's id and the time (seconds since 1970).
            request, body: as they came; a header ``Idempotency-Key`` makes equal requests one run.
            optillm: a method that the request names in optillm's way.
            keep: called with what came of it, before the client has all of it.

        Raises:
            ApiError: the request is refused.
        """
        key = (client.name, endpoint, request.headers.get("idempotency-key", ""))
        if key[-1] and (attempt := self.repeats.find(key, body.values)) is not None:
            again = partial(send_again, attempt)
            return Exchange(again, send_timeout=self.config.send_timeout)
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
        run_id = secrets.token_hex(12)
        work = Work(self.weaver, offer, inquiry, client, run_id, self.config.progress)
        another_writer = partial(writer, run_id, int(time.time()))
        answering = Answering(work, another_writer(), keep)
        stack = ExitStack()
        stack.enter_context(client.request())
        self.open.add(answering)
        self.metrics.open_requests.add()
        began = anyio.current_time()
        first = self.repeats.add(key, body.values, answering, another_writer) if key[-1] else None

        def done(connection: Connection) -> None:
            stack.close()
            self.open.discard(answering)
            self._count(endpoint, answering, connection, began)
            if first is not None:
                self.repeats.end(key, first)

        return Exchange(answering.send, send_timeout=self.config.send_timeout, done=done)

    def drain(self) -> None:
        """Take no new requests."""
        self.draining = True

    def stop(self) -> None:
        """End what still runs: what there is becomes the answer."""
        for answering in tuple(self.open):
            answering.work.stop()

    def _count(self, endpoint: str, answering: Answering, connection: Connection, began: float) -> None:
        metrics, work = self.metrics, answering.work
        metrics.open_requests.add(by=-1)
        metrics.seconds.observe(anyio.current_time() - began, endpoint)
        if answering.first_text is not None:
            metrics.first.observe(answering.first_text - began, endpoint)
        if connection.gone:
            metrics.disconnects.add(endpoint)
        status = answering.error.status if answering.error else connection.status
        metrics.requests.add(endpoint, str(499 if connection.gone else status or 500))
        if (outcome := answering.outcome) is None:
            return
        usage, model, key = outcome.usage, work.offer.id, work.client.name
        metrics.runs.add(model, outcome.result.strategy, outcome.result.status)
        metrics.tokens.add(model, key, "input", by=usage.input_tokens)
        metrics.tokens.add(model, key, "output", by=usage.output_tokens)
        if usage.cost_usd:
            metrics.cost.add(model, key, by=usage.cost_usd)
