"""A page that follows a run while it goes on, served on this machine only.

The server has a thread and its own event loop: drawing a large run never holds the run up.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import SpanProcessor

from weaver._tracing.store.span_record import SpanRecord, record_of
from weaver._tracing.views.html import page_of, run_of
from weaver._tracing.views.run_view import RunView, view_of
from weaver.errors import ConfigurationError

if TYPE_CHECKING:
    from aiohttp import web
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

HOST = "127.0.0.1"
EVERY_MS = 500
FAREWELL_SECONDS = 2.0


class LiveFeed(SpanProcessor):
    """Remembers the spans of the latest run, open ones too. Give it to `configure(processors=...)`.

    Args:
        question: what the run is about, for the page's head.
    """

    def __init__(self, question: str = "") -> None:
        self.revision = 0
        self.question = question
        self._lock = threading.Lock()
        self._open: dict[int, Span] = {}
        self._ended: list[ReadableSpan] = []
        self._records: list[SpanRecord] = []
        self._root: int | None = None

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002 - SDK's names
        """A span begins; a run's root clears what was there."""
        with self._lock:
            if span.context is None:
                return
            if self._root is None or not self._open:
                self._root = span.context.span_id
                self._ended, self._records = [], []
            self._open[span.context.span_id] = span
            self.revision += 1

    def on_end(self, span: ReadableSpan) -> None:
        """A span has ended."""
        with self._lock:
            if span.context is not None and self._open.pop(span.context.span_id, None) is not None:
                self._ended.append(span)
                self.revision += 1

    def view(self) -> tuple[int, RunView | None]:
        """The run as it is now, and its revision; None before it has begun."""
        with self._lock:
            revision = self.revision
            fresh = self._ended[len(self._records) :]
            still = list(self._open.values())
            records, root = self._records, self._root
        records.extend(record_of(span) for span in fresh)
        if root is None:
            return revision, None
        now = time.time_ns() if still else 0
        spans = [*records, *(record_of(span) for span in still)]
        return revision, view_of(spans, root=f"{root:016x}", question=self.question, now_ns=now)

    def shutdown(self) -> None:
        """Nothing to release."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - SDK's names
        """Nothing waits here."""
        return True


class LiveServer:
    """Serves a `LiveFeed`; a context manager. The address holds a secret, so other users cannot read it.

    Args:
        port: 0 takes any free one.

    Attributes:
        url: where the page is.

    Raises:
        ConfigurationError: on entering, when the port cannot be used.
    """

    def __init__(self, feed: LiveFeed, *, port: int = 0) -> None:
        self.feed = feed
        self.url = ""
        self._port = port
        self._token = secrets.token_urlsafe(16)
        self._stop: Callable[[], object] = lambda: None
        self._told = 0  # the revision that the page knows
        self._watched = False
        self._shown: tuple[int, str] = (-1, "")
        self._thread: threading.Thread | None = None

    def __enter__(self) -> LiveServer:
        started: Future[str] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(started)), name="weaver-live", daemon=True
        )
        self._thread.start()
        try:
            self.url = started.result(10)
        except OSError as error:
            raise ConfigurationError(
                f"The live view cannot be served on {HOST}:{self._port}: {error.strerror or error}.",
                hint="Choose another port.",
            ) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let an open page see the end of the run, then stop."""
        deadline_at = time.monotonic() + FAREWELL_SECONDS
        while self._watched and self._told < self.feed.revision and time.monotonic() < deadline_at:
            time.sleep(0.02)
        self._stop()
        if self._thread is not None:
            self._thread.join(FAREWELL_SECONDS)

    async def _serve(self, started: Future[str]) -> None:
        from aiohttp import web

        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        self._busy = asyncio.Lock()
        app = web.Application()
        app.router.add_get(f"/{self._token}/", self._page)
        app.router.add_get(f"/{self._token}/data", self._data)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        try:
            site = web.TCPSite(runner, HOST, self._port)
            await site.start()
            self._port = runner.addresses[0][1]
            self._stop = partial(loop.call_soon_threadsafe, stop.set)
            started.set_result(f"http://{HOST}:{self._port}/{self._token}/")
            await stop.wait()
        except OSError as error:
            started.set_exception(error)
        finally:
            await runner.cleanup()

    async def _page(self, request: web.Request) -> web.Response:
        self._check(request)
        live = {"url": "data", "every": EVERY_MS}
        text = page_of([], live=live, revision=-1)
        return _answer(text, "text/html")

    async def _data(self, request: web.Request) -> web.Response:
        from aiohttp import web

        self._check(request)
        self._watched = True
        try:
            since = int(request.query.get("since", "-1"))
        except ValueError:
            raise web.HTTPBadRequest(text="since must be a number") from None
        async with self._busy:
            if self._shown[0] < self.feed.revision or since < 0:
                self._shown = await asyncio.to_thread(self._draw)
        revision, text = self._shown
        self._told = revision
        if revision <= since:
            return web.Response(status=204)
        return _answer(text, "application/json")

    def _draw(self) -> tuple[int, str]:
        revision, view = self.feed.view()
        runs: list[dict[str, Any]] = [run_of(view)] if view is not None else []
        return revision, json.dumps({"revision": revision, "runs": runs}, default=str)

    def _check(self, request: web.Request) -> None:
        """Only requests that name this machine: a foreign page must not reach us by its own name."""
        from aiohttp import web

        if request.host not in (f"{HOST}:{self._port}", f"localhost:{self._port}"):
            raise web.HTTPForbidden(text="wrong host")


def _answer(text: str, kind: str) -> web.Response:
    from aiohttp import web

    headers = {
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
        "X-Frame-Options": "DENY",
    }
    return web.Response(text=text, content_type=kind, headers=headers)
