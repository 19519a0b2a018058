"""A loopback server that refuses what a test says, in the words of a real one, and answers the rest."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Self

from aiohttp import web

Body = dict[str, Any]
Refuse = Callable[[Body], tuple[int, Any] | None]
Answer = Callable[[Body], str]


class Picky:
    """Use as ``async with Picky(refuse, answer) as server``.

    Args:
        refuse: (status, JSON body) for a request that is refused, else None.
        answer: the text of an answer.
        breaks: an error that is sent in mid-stream instead of the rest, for requests that it returns one for.
        headers: of refusals.
    """

    def __init__(
        self,
        refuse: Refuse = lambda _: None,
        answer: Answer = lambda _: "Forty-two.",
        *,
        breaks: Callable[[Body], Any] = lambda _: None,
        headers: dict[str, str] | None = None,
        owner: str = "someone",
        name: str = "picky/1",
    ) -> None:
        self.refuse = refuse
        self.answer = answer
        self.breaks = breaks
        self.headers = headers or {}
        self.owner = owner
        self.name = name
        self.bodies: list[Body] = []
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_get("/v1/models", self._models)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "m", "owned_by": self.owner}]})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.bodies.append(body)
        own = {"Server": self.name}
        if (refused := self.refuse(body)) is not None:
            status, said = refused
            return web.json_response(said, status=status, headers={**self.headers, **own})
        text = self.answer(body)
        if not body.get("stream"):
            message = {"role": "assistant", "content": text}
            whole = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
            return web.json_response(whole, headers=own)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", **own})
        await response.prepare(request)

        async def send(value: Any) -> None:
            await response.write(f"data: {json.dumps(value)}\n\n".encode())
            await asyncio.sleep(0)

        def chunk(delta: Body, finish: str | None = None) -> Body:
            return {"id": "x", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

        error = self.breaks(body)
        if isinstance(choice := body.get("tool_choice"), dict):
            function = {"name": choice["function"]["name"], "arguments": text}
            await send(chunk({"tool_calls": [{"index": 0, "id": "c", "function": function}]}, "tool_calls"))
        else:
            for at in range(0, len(text) if error is None else 12, 6):
                await send(chunk({"content": text[at : at + 6]}))
            if error is not None:
                await send(error)
                return response
            await send(chunk({}, "stop"))
        await send({"id": "x", "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 4}})
        await response.write(b"data: [DONE]\n\n")
        return response


def said(message: str, **more: Any) -> Body:
    """An error body in OpenAI's shape."""
    return {"error": {"message": message, "type": "invalid_request_error", **more}}
