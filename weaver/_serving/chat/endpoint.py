"""``POST /v1/chat/completions``."""

from __future__ import annotations

from starlette.requests import Request

from weaver._serving.chat.answer import ChatWriter
from weaver._serving.chat.request import inquiry_of
from weaver._serving.http.exchange import Exchange
from weaver._serving.keys import Client
from weaver._serving.service import Service


async def chat_completions(service: Service, client: Client, request: Request) -> Exchange:
    """Answer a conversation.

    Raises:
        ApiError: the request is refused.
    """
    body = await service.body(request)
    inquiry = inquiry_of(body, request.headers)
    options = body.object("stream_options")
    usage = options is not None and options.flag("include_usage")
    return service.exchange(
        "/chat/completions",
        client,
        inquiry,
        lambda run_id, created: ChatWriter(run_id, inquiry.model, created, usage=usage),
        request=request,
        body=body,
        optillm=body.text("optillm_approach") or None,
    )
