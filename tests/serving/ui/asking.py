"""How tests ask the page's server, and follow its streams."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import anyio

from tests.serving.ui.conftest import QUESTION, Page

FORK = {"question": QUESTION, "strategy": "adaptive:gate=off"}


async def ask(url: str, method: str = "GET", body: Any = None, **options: Any) -> tuple[int, Any]:
    """Status and JSON (or text) of one request."""
    if body is not None:
        options |= {"json": body}
    async with aiohttp.ClientSession() as session, session.request(method, url, **options) as answer:
        text = await answer.text()
        return answer.status, json.loads(text) if answer.content_type == "application/json" else text


async def post(page: Page, path: str, body: Any) -> tuple[int, Any]:
    return await ask(f"{page.url}api{path}", "POST", body)


async def begin(page: Page, path: str = "/runs", **body: Any) -> str:
    status, answer = await post(page, path, body)
    assert status == 200, answer
    return answer["id"]


async def until(page: Page, run: str, test: Any) -> dict[str, Any]:
    """The picture of a run, once ``test`` is true of it."""
    with anyio.fail_after(20):
        while True:
            _, answer = await ask(f"{page.url}api/runs/{run}")
            if test(answer["picture"]):
                return answer
            await anyio.sleep(0.02)


def ended(picture: dict[str, Any]) -> bool:
    return bool(picture["traced"])


@asynccontextmanager
async def followed(page: Page, run: str = "") -> AsyncIterator[AsyncIterator[tuple[str, Any]]]:
    """The events of the stream, as (kind, value)."""

    async def events(answer: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, Any]]:
        kind = ""
        async for line in answer.content:
            text = line.decode().strip()
            if text.startswith("event: "):
                kind = text[7:]
            elif text.startswith("data: "):
                yield kind, json.loads(text[6:])

    async with aiohttp.ClientSession() as session, session.get(f"{page.url}api/stream?run={run}") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield events(answer)
