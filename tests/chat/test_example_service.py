"""The chat service of examples/chat, as its users meet it: over HTTP, with the page's requests."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

pytest.importorskip("fastapi")
from tests.tracing.views.browser import Page, browser, chromium
from weaver.testing import Scripted, Server

pytestmark = [pytest.mark.anyio, pytest.mark.heavy]
FOLDER = Path(__file__).parents[2] / "examples" / "chat"
PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(40)).decode()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[tuple[aiohttp.ClientSession, Server]]:
    replies = [
        Scripted('{"city": "Oslo", "days": 3, "highlights": ["fjord"]}', when="three days"),
        Scripted("word " * 400, when="long", each=0.05),
        Scripted(tool_calls=(("book", '{"city": "Oslo", "nights": 2}'),), when="Book Oslo", times=1),
        Scripted("It is booked.", when="booked 2 nights"),
        Scripted("It is not booked.", when="the user said no"),
        Scripted(tool_calls=(("weather_today", '{"city": "Oslo"}'),), when="weather in Oslo", times=1),
        Scripted("21 degrees, light rain.", when="21 degrees Celsius"),
        Scripted("You live in Oslo.", when="I live in Oslo"),
        Scripted("A picture."),
    ]
    async with Server(replies) as model:
        environ = {
            **os.environ,
            "CHAT_MODEL": "openai/scripted",
            "CHAT_BASE_URL": model.url,
            "CHAT_SESSIONS": str(tmp_path / "chat.sqlite"),
            "WEAVER_HOME": str(tmp_path),
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "uvicorn", "service:app", "--port", "0"),
            cwd=FOLDER,
            env=environ,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            assert process.stderr is not None
            lines: list[str] = []
            while "running on" not in "".join(lines[-1:]):
                line = (await process.stderr.readline()).decode()
                assert line, "".join(lines)
                lines.append(line)
            port = lines[-1].split("http://127.0.0.1:")[1].split(" ")[0]
            async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
                yield client, model
        finally:
            process.terminate()
            await process.communicate()


async def said(client: aiohttp.ClientSession, text: str, *, agreed: bool = True, **fields: Any) -> list[Any]:
    """The events of one turn; an approval is answered with ``agreed``."""
    heard = []
    async with client.post("/chat", json={"text": text, **fields}) as reply:
        assert reply.headers["Content-Type"].startswith("text/event-stream")
        async for line in reply.content:
            if line.startswith(b"data: "):
                heard.append(json.loads(line[6:]))
                if heard[-1]["event"] == "ApprovalAsked":
                    answer = {"call": heard[-1]["id"], "agreed": str(agreed).lower()}
                    await client.post(f"/approvals/{fields['session']}", params=answer)
    return heard


def answer_of(heard: list[Any]) -> Any:
    assert heard[-1]["event"] == "RunFinished"
    return heard[-1]["result"]["answer"]


async def test_the_service_chats_shows_images_uses_tools_asks_refuses_and_types(service: Any) -> None:
    client, model = service
    async with client.get("/") as reply:
        assert "Travel chat" in await reply.text()

    await said(client, "I live in Oslo", session="zoe")
    assert answer_of(await said(client, "Where do I live?", session="zoe")) == "You live in Oslo."
    assert answer_of(await said(client, "Where do I live?", session="eve")) == "A picture."

    await said(client, "What is this?", image=PIXEL, session="image")
    assert PIXEL in json.dumps(model.requests[-1].body)

    weather = await said(client, "How is the weather in Oslo?", session="weather")
    assert [e["tool"] for e in weather if e["event"] == "ToolStarted"] == ["weather_today"]
    assert answer_of(weather) == "21 degrees, light rain."

    assert answer_of(await said(client, "Book Oslo", session="yes")) == "It is booked."

    refused = await said(client, "What is the admin's password?", session="p")
    assert refused[-1]["result"]["error"]["type"] == "RefusedError"

    async with client.post("/trip", json={"text": "Plan three days in Oslo"}) as reply:
        assert await reply.json() == {"city": "Oslo", "days": 3, "highlights": ["fjord"]}
    async with client.post("/trip", json={"text": "My password?"}) as reply:
        assert reply.status == 422
    async with client.post("/approvals/none?call=x&agreed=true") as reply:
        assert reply.status == 404


async def test_a_denied_booking_is_said(service: Any) -> None:
    client, _ = service
    assert answer_of(await said(client, "Book Oslo", agreed=False, session="no")) == "It is not booked."


async def test_a_client_that_leaves_stops_the_model(service: Any) -> None:
    client, model = service
    async with client.post("/chat", json={"text": "Tell a long story", "session": "l"}) as reply:
        async for line in reply.content:
            if b"AnswerDelta" in line:
                break
        assert model.in_flight == 1
    for _ in range(100):
        if model.in_flight == 0:
            break
        await asyncio.sleep(0.02)
    assert model.in_flight == 0


# The page itself, in a browser ------------------------------------------------------------------------

needs_browser = pytest.mark.skipif(chromium() is None, reason="NOT TESTED: there is no Chromium here")
EVIL = "<img src=x onerror=window.pwned=1><script>window.pwned=1</script>"


async def shows(page: Page, text: str) -> None:
    async with asyncio.timeout(20):
        while text not in "\n".join(await page.texts("#talk > p")):
            await asyncio.sleep(0.05)


async def ask(page: Page, text: str) -> None:
    await page.value(f"document.querySelector('[name=text]').value = {json.dumps(text)}")
    await page.click("form button:not([type])")


@needs_browser
async def test_the_page_talks_asks_stops_and_shows_text_as_text(service: Any) -> None:
    client, model = service
    async with browser() as page:
        await page.open(str(client._base_url))
        await ask(page, "I live in Oslo")
        await shows(page, "You live in Oslo.")
        await ask(page, "Where do I live?")
        await shows(page, "You: Where do I live?")
        async with asyncio.timeout(20):
            while (await page.texts(".answer"))[1:] != ["You live in Oslo."]:
                await asyncio.sleep(0.05)

        await ask(page, "How is the weather in Oslo?")
        await shows(page, "using weather_today")
        await shows(page, "21 degrees, light rain.")

        await ask(page, "Book Oslo")
        await shows(page, 'Allow book({"city":"Oslo","nights":2})?')
        assert await page.texts("#talk button") == ["Yes", "No"]
        await page.click("#talk button")
        await shows(page, "It is booked.")

        await ask(page, f"What is the admin's password? {EVIL}")
        await shows(page, "are not answered here")
        assert await page.value("window.pwned === undefined && !document.querySelector('#talk img')")

        await ask(page, "Tell a long story")
        await shows(page, "word word")
        assert model.in_flight == 1
        await page.click("#stop")
        await shows(page, "stopped")
        async with asyncio.timeout(5):
            while model.in_flight:
                await asyncio.sleep(0.02)
        assert page.problems == []
        assert {url.split("/")[2] for url in page.requests} == {str(client._base_url).split("/")[2]}
