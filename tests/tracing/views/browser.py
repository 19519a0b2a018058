"""A real headless Chromium, driven over its DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

SHOTS = os.environ.get("WEAVER_TEST_SHOTS")  # read now: tests run without such variables
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_KEYS = {
    "ArrowDown": 40, "ArrowUp": 38, "ArrowLeft": 37, "ArrowRight": 39, "Enter": 13, "Escape": 27,
    "Home": 36, "End": 35, "PageDown": 34, "PageUp": 33, "Tab": 9,
}  # fmt: skip


def chromium() -> str | None:
    """The browser's path, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """One tab."""

    def __init__(
        self, socket: aiohttp.ClientWebSocketResponse, session: aiohttp.ClientSession, host: str
    ) -> None:
        self._socket = socket
        self._session = session
        self._host = host
        self._count = 0
        self.problems: list[str] = []
        self.requests: list[str] = []
        self._loaded = asyncio.Event()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._reader = asyncio.create_task(self._read())

    async def send(self, method: str, **params: Any) -> Any:
        """One command of the protocol and its result."""
        self._count += 1
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[self._count] = future
        await self._socket.send_json({"id": self._count, "method": method, "params": params})
        async with asyncio.timeout(20):
            return await future

    async def _read(self) -> None:
        async for message in self._socket:
            said = json.loads(message.data)
            if future := self._waiting.pop(said.get("id"), None):
                if "error" in said:
                    future.set_exception(RuntimeError(said["error"]["message"]))
                else:
                    future.set_result(said["result"])
            match said.get("method"):
                case "Page.loadEventFired":
                    self._loaded.set()
                case "Network.requestWillBeSent":
                    self.requests.append(said["params"]["request"]["url"])
                case "Runtime.exceptionThrown":
                    details = said["params"]["exceptionDetails"]
                    self.problems.append(details.get("exception", {}).get("description", details["text"]))
                case "Log.entryAdded":
                    entry = said["params"]["entry"]
                    self.problems.append(f"{entry['level']}: {entry['text']}")
                case "Page.javascriptDialogOpening":
                    self.problems.append("a dialog was opened")

    async def open(self, url: str, *, dark: bool = False, width: int = 1400, height: int = 800) -> None:
        """Load a page."""
        for domain in ("Page", "Runtime", "Network", "Log"):
            await self.send(f"{domain}.enable")
        await self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.send("Emulation.setEmulatedMedia", features=[scheme])
        self._loaded.clear()
        await self.send("Page.navigate", url=url)
        async with asyncio.timeout(20):
            await self._loaded.wait()
        await self.frame()

    async def value(self, expression: str) -> Any:
        """The JSON value of a JavaScript expression (a promise is waited for)."""
        found = await self.send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"]["exception"].get("description", "?"))
        return found["result"].get("value")

    async def frame(self) -> None:
        """Until what was asked for has been painted."""
        await self.value("new Promise((f) => requestAnimationFrame(() => requestAnimationFrame(() => f(1))))")

    async def texts(self, selector: str) -> list[str]:
        """Texts of all elements that match."""
        return await self.value(
            f"[...document.querySelectorAll({json.dumps(selector)})].map((e) => e.textContent)"
        )

    async def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            code = _KEYS.get(key)
            text = {"text": "\r"} if key == "Enter" else {} if code else {"text": key}
            about = {"key": key, "windowsVirtualKeyCode": code or ord(key.upper()[0])}
            await self.send("Input.dispatchKeyEvent", type="keyDown", **about, **text)
            await self.send("Input.dispatchKeyEvent", type="keyUp", **about)
        await self.frame()

    async def click(self, selector: str) -> None:
        """Click the first element that matches."""
        await self.value(f"document.querySelector({json.dumps(selector)}).click()")
        await self.frame()

    async def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press, move, and let go of the mouse."""
        for kind, (x, y) in (("mousePressed", start), ("mouseMoved", end), ("mouseReleased", end)):
            await self.send(
                "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1
            )
        await self.frame()

    async def screenshot(self, path: Path) -> None:
        """Write what is seen as a PNG, where WEAVER_TEST_SHOTS names a folder."""
        if SHOTS:
            picture = await self.send("Page.captureScreenshot", format="png")
            target = Path(SHOTS) / path
            await asyncio.to_thread(target.write_bytes, base64.b64decode(picture["data"]))

    @asynccontextmanager
    async def another(self) -> AsyncIterator[Page]:
        """Another tab of the same browser."""
        async with self._session.put(f"http://{self._host}/json/new?about:blank") as answer:
            target = await answer.json()
        socket = await self._session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0)
        page = Page(socket, self._session, self._host)
        try:
            yield page
        finally:
            await page.close()
            async with self._session.get(f"http://{self._host}/json/close/{target['id']}"):
                pass

    async def close(self) -> None:
        self._reader.cancel()
        await self._socket.close()


@asynccontextmanager
async def browser() -> AsyncIterator[Page]:
    """A page in a fresh browser, which ends with the block."""
    path = chromium()
    assert path is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            path, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-extensions",
            "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stderr is not None
        try:
            async with asyncio.timeout(30):
                while b"DevTools listening on" not in (line := await process.stderr.readline()):
                    assert line, "the browser did not start"
            address = line.split(b"on ", 1)[1].decode().strip()
            host = address.split("/")[2]
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://{host}/json/list") as answer:
                    target = next(t for t in await answer.json() if t["type"] == "page")
                socket = await session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0)
                page = Page(socket, session, host)
                try:
                    yield page
                finally:
                    await page.close()
        finally:
            process.kill()
            await process.communicate()
