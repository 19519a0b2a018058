"""``/v1/responses``."""

from __future__ import annotations

from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from weaver._serving.http.errors import invalid
from weaver._serving.http.exchange import Exchange
from weaver._serving.http.fields import Fields
from weaver._serving.keys import Client
from weaver._serving.responses.event_log import EventLog
from weaver._serving.responses.library import Library
from weaver._serving.responses.replaying import events_of
from weaver._serving.responses.request import inquiry_of
from weaver._serving.service import Service
from weaver._serving.work.answering import run_headers

_WEAVER = "x-weaver-"


class Responses:
    """The endpoints."""

    def __init__(self, service: Service) -> None:
        self.library = Library(service)

    async def resume(self) -> None:
        """Go on with what an earlier process left unfinished in the background."""
        await self.library.resume()

    async def aclose(self) -> None:
        """End what runs in the background; it can go on later."""
        await self.library.aclose()

    async def create(self, service: Service, client: Client, request: Request) -> Exchange | Response:
        """Answer.

        Raises:
            ApiError: the request is refused.
        """
        body = await service.body(request)
        library = self.library
        keeps = body.flag("store", True) and service.config.stored > 0
        background = body.flag("background")
        if background and not keeps:
            raise body.error("background", "needs a server and a request that store responses")
        earlier = await library.conversation(body.text("previous_response_id"), client)
        headers = {name: value for name, value in request.headers.items() if name.startswith(_WEAVER)}
        inquiry = inquiry_of(body, headers, earlier)
        if not background:
            answer = library.answer(client, body, headers, earlier, keeps=keeps)
            return service.exchange(
                "/responses",
                client,
                inquiry,
                answer.writer,
                request=request,
                body=body,
                prepare=answer.begin,
                keep=answer.keep,
            )
        key = request.headers.get("idempotency-key", "")
        live = await library.start(client, body, headers, earlier, key)
        if not isinstance(live, dict) and inquiry.stream:
            return self._events(service, live.log, -1, live.writer.id)
        response = live if isinstance(live, dict) else live.current | {"status": "queued"}
        return JSONResponse(response, headers=dict(run_headers(response["id"].removeprefix("resp_"))))

    async def retrieve(self, service: Service, client: Client, request: Request) -> Response | Exchange:
        """Send a response as it is now, or its events after ``starting_after``.

        A client that has events of an earlier process gets the last event only, which has the whole response:
        what a restarted run writes may differ from what the client has.

        Raises:
            ApiError: there is none of that id, or its events are too many.
        """
        id_: str = request.path_params["id"]
        live = self.library.live(id_, client)
        if request.query_params.get("stream", "false").lower() not in ("true", "1"):
            if live is not None:
                return JSONResponse(live.current)
            return JSONResponse(dict((await self.library.find(id_, client)).response))
        after = _place(request)
        if live is not None:
            log, is_begun_here = live.log, not live.is_resumed
        else:
            stored = await self.library.find(id_, client)
            is_begun_here = stored.log is not None and stored.log.is_whole
            log = stored.log if stored.log is not None and is_begun_here else events_of(stored.response)
        if not log.is_whole:
            raise invalid(
                "The events of this response are too many to be kept. Retrieve it without stream.",
                "stream",
                code="stream_not_available",
            )
        # Numbers that a client has from an earlier process say nothing about the events here.
        return self._events(service, log, after, id_, is_last_only=after >= 0 and not is_begun_here)

    async def delete(self, service: Service, client: Client, request: Request) -> Response:  # noqa: ARG002
        """Forget a response.

        Raises:
            ApiError: there is none of that id.
        """
        id_: Any = request.path_params["id"]
        await self.library.remove(id_, client)
        return JSONResponse({"id": id_, "object": "response", "deleted": True})

    async def cancel(self, service: Service, client: Client, request: Request) -> Response:  # noqa: ARG002
        """Stop a response in the background. One that has ended stays as it is.

        Raises:
            ApiError: there is none of that id, or it is not in the background.
        """
        id_: str = request.path_params["id"]
        response = (await self.library.cancel(id_, client)).response
        if not response.get("background"):
            raise invalid(
                "Only background responses can be cancelled. To cancel another one, close its connection."
            )
        return JSONResponse(dict(response))

    def _events(
        self, service: Service, log: EventLog, after: int, id_: str, *, is_last_only: bool = False
    ) -> Exchange:
        headers = run_headers(id_.removeprefix("resp_"))
        send = (
            partial(log.send_last, number=after + 1, headers=headers)
            if is_last_only
            else partial(log.send, after=after, headers=headers)
        )
        return Exchange(send, send_timeout=service.config.send_timeout)


def _place(request: Request) -> int:
    """The last event that the client has: ``starting_after``, or the header that browsers send."""
    query = {"starting_after": request.query_params.get("starting_after", "")}
    if not query["starting_after"]:
        query["starting_after"] = request.headers.get("last-event-id", "")
    if not query["starting_after"]:
        return -1
    number = Fields(query).number("starting_after", -1, 1e12, from_text=True)
    return -1 if number is None else int(number)
