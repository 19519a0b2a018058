"""The page in a real browser: small screens, the keyboard, two tabs, and servers that are killed."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.serving.ui.conftest import Start, forking
from tests.serving.ui.pressing import ask, clean, opened, status, text, until
from tests.tracing.views.browser import browser, chromium
from weaver.testing import Server

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.heavy,
    pytest.mark.skipif(chromium() is None, reason="NOT TESTED: there is no Chromium here"),
]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_phone_width_and_names_for_everything(start: Start, dark: bool) -> None:
    served = start(forking())
    async with browser() as page:
        await opened(page, served.url, width=390, height=780, dark=dark)
        await ask(page)
        await status(page, "complete")
        await until(page, "document.querySelectorAll('[role=tab]').length === 6")
        for key in "123456":
            await page.press(key)
            assert await page.value("document.documentElement.scrollWidth") <= 390, key
            nameless = await page.value(
                "[...document.querySelectorAll('button, a, input, select, textarea, [tabindex=\"0\"]')]"
                ".filter(e => e.offsetParent && !(e.getAttribute('aria-label') || e.textContent.trim()"
                " || e.labels?.length || e.title)).map(e => e.outerHTML.slice(0, 80))"
            )
            assert nameless == [], key
        assert await page.value("getComputedStyle(document.querySelector('#side')).display") == "none"
        await page.click("#menu")
        assert await page.value("document.querySelector('#menu').getAttribute('aria-expanded')") == "true"
        assert await page.value("document.querySelector('#side').getBoundingClientRect().width") == 390
        await page.press("Escape")
        assert await page.value("getComputedStyle(document.querySelector('#side')).display") == "none"
        back = await page.value("getComputedStyle(document.body).backgroundColor")
        assert back == ("rgb(18, 22, 27)" if dark else "rgb(255, 255, 255)")
        await page.screenshot(Path(f"ui-phone-{'dark' if dark else 'light'}.png"))
        clean(page, served.url)


async def test_the_keyboard_alone_is_enough(start: Start) -> None:
    served = start(forking())
    async with browser() as page:
        await opened(page, served.url)
        await until(page, "document.activeElement.name === 'question'")
        for letter in "Hi":
            await page.press(letter)
        stops = []
        for _ in range(9):
            await page.press("Tab")
            stops.append(
                await page.value("document.activeElement.name || document.activeElement.textContent")
            )
        assert stops[:8] == [
            "strategy",
            "options",
            "model",
            "deadline",
            "max_cost",
            "max_total_tokens",
            "max_threads",
            "Ask",
        ]
        await page.value("document.querySelector('form.ask .primary').focus()")
        await page.press("Enter")
        await status(page, "complete")
        await page.value("document.querySelector('[role=tab]').focus()")
        await until(page, "document.querySelectorAll('[role=tab]').length === 6")
        await page.press("ArrowRight")
        assert await page.texts("[role=tab][aria-selected=true]") == ["Waterfall"]
        assert await page.value("document.activeElement.textContent") == "Waterfall"
        await page.press("?")
        assert await page.value("document.querySelector('#dialog').open")
        await page.press("Escape")
        assert not await page.value("document.querySelector('#dialog').open")
        await page.press("t")
        assert await page.value("document.documentElement.dataset.theme") == "dark"
        clean(page, served.url)


async def test_two_tabs_see_the_same_run(start: Start) -> None:
    served = start(forking(slow=5.0))
    async with browser() as page:
        await opened(page, served.url)
        await ask(page)
        await until(page, "document.querySelector('.thread-card')")
        address = await page.value("location.href")
        async with page.another() as tab:
            await opened(tab, address)
            await until(tab, "document.querySelectorAll('.thread-card').length === 2")
            await tab.click("[aria-label='Stop Beta']")
            await until(tab, "document.querySelector('.thread-card.cancelled')")
            await status(tab, "partial")
        await status(page, "partial")
        assert await page.value("Boolean(document.querySelector('.thread-card.cancelled'))")
        clean(page, served.url)


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@asynccontextmanager
async def process(
    models: Server, port: int, home: Path
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """`weaver ui` as a user starts it, and its address."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("WEAVER_", "OTEL_"))}
    started = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-m",
            "weaver",
            "ui",
            "--no-browser",
            "--port",
            str(port),
            "--model",
            "openai/mock",
        ),
        *("--base-url", models.url),
        env={**environ, "WEAVER_HOME": str(home)},
        stderr=asyncio.subprocess.PIPE,
    )
    assert started.stderr is not None
    try:
        async with asyncio.timeout(30):
            while b"http://" not in (line := await started.stderr.readline()):
                assert line, "it did not start"
        yield started, line.decode().split("weaver ui: ")[1].strip()
    finally:
        if started.returncode is None:
            started.send_signal(signal.SIGTERM)
        await started.communicate()


async def test_a_killed_server_is_said_and_found_again(tmp_path: Path, unused_port: int) -> None:
    async with Server(forking(slow=1.0)) as models, browser() as page:
        async with process(models, unused_port, tmp_path) as (server, address):
            await opened(page, address)
            await ask(page)
            await until(
                page, "document.querySelector('.thread-card.running .body')?.textContent.includes('The code')"
            )
            server.send_signal(signal.SIGKILL)
            await until(page, "!document.querySelector('#banner').hidden")
            assert "does not answer" in await text(page, "#banner")
            assert "The code" in await text(page, ".thread-card .body")
            await server.wait()
        async with process(models, unused_port, tmp_path) as (server, again):
            assert again == address
            await until(page, "document.querySelector('#banner').hidden")
            await status(page, "unfinished")
            assert await page.value("!document.querySelector('#stop')")
            server.send_signal(signal.SIGTERM)
            await until(page, "!document.querySelector('#banner').hidden")
            await server.wait()
            assert server.returncode == 0


async def test_an_address_that_has_changed_is_said(tmp_path: Path, unused_port: int) -> None:
    async with Server(forking()) as models, browser() as page:
        async with process(models, unused_port, tmp_path) as (server, address):
            await opened(page, address)
            server.send_signal(signal.SIGKILL)
            await server.wait()
        (tmp_path / "ui-secret").unlink()
        async with process(models, unused_port, tmp_path) as (_, other):
            assert other != address
            await until(page, "document.querySelector('#banner').textContent.includes('address has changed')")
