"""``/v1/responses``."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from weaver.messages import Message
from weaver.serving.http.errors import invalid
from weaver.serving.http.exchange import Exchange
from weaver.serving.keys import Client
from weaver.serving.responses.answer import ResponseWriter
from weaver.serving.responses.request import inquiry_of
from weaver.serving.responses.store import ResponseStore, StoredResponse
from weaver.serving.service import Service
from weaver.serving.work.running import Outcome


class Responses:
    """The endpoints.

    Args:
        limit: most responses that are kept.
    """

    def __init__(self, limit: int) -> None:
        self.store = ResponseStore(limit)

    async def create(self, service: Service, client: Client, request: Request) -> Exchange:
        """Answer.

        Raises:
            ApiError: the request is refused.
        """
        body = await service.body(request)
        previous = body.text("previous_response_id")
        earlier: tuple[Message, ...] = ()
        if previous:
            earlier = self.store.get(previous, client.name, param="previous_response_id", status=400).messages
        inquiry = inquiry_of(body, request.headers, earlier)
        keeps = body.flag("store", True) and service.config.stored > 0
        writers: list[ResponseWriter] = []

        def writer(run_id: str, created: int) -> ResponseWriter:
            writers.append(ResponseWriter(run_id, inquiry.model, created, body.values, stored=keeps))
            return writers[-1]

        def keep(outcome: Outcome) -> None:
            if not keeps:
                return
            answer = Message("assistant", outcome.text, outcome.tool_calls)
            start = 1 if body.has("instructions") else 0  # they hold for one response only
            messages = (*inquiry.messages[start:], answer)
            whole = writers[0].whole(outcome)
            self.store.add(writers[0].id, StoredResponse(client.name, messages, whole))

        return service.exchange("/responses", client, inquiry, writer, request=request, body=body, keep=keep)

    async def retrieve(self, service: Service, client: Client, request: Request) -> Response:  # noqa: ARG002
        """Send a response again.

        Raises:
            ApiError: there is none of that id.
        """
        if request.query_params.get("stream", "false") == "true":
            raise invalid("A response that has ended cannot be streamed again.", "stream")
        stored = self.store.get(request.path_params["id"], client.name)
        return JSONResponse(dict(stored.response))

    async def delete(self, service: Service, client: Client, request: Request) -> Response:  # noqa: ARG002
        """Forget a response.

        Raises:
            ApiError: there is none of that id.
        """
        id_: Any = request.path_params["id"]
        self.store.remove(id_, client.name)
        return JSONResponse({"id": id_, "object": "response", "deleted": True})

    async def cancel(self, service: Service, client: Client, request: Request) -> Response:  # noqa: ARG002
        """Refuse: only runs in the background can be cancelled, and there are none.

        Raises:
            ApiError: always.
        """
        self.store.get(request.path_params["id"], client.name)
        raise invalid(
            "Only background responses can be cancelled. To cancel another one, close its connection."
        )
