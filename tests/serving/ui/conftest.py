"""`weaver ui` over a loopback model server, in a process of its own thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from weaver import Weaver
from weaver._tracing.export.local import flush
from weaver.testing import Scripted, Server

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
from weaver._environment.paths import home
from weaver._serving.config import ServeConfig
from weaver._serving.ui.app import Desk
from weaver._serving.ui.server import serve_page
from weaver._tracing.store.sqlite import FILE, Store

SECRET = "a-secret-of-the-tests-0123456789"
PLAN = (
    '{"parallel": true, "reason": "two look-ups", "subtasks": ['
    '{"id": "a", "title": "Alpha", "prompt": "What is the code of alpha?", "depends_on": []}, '
    '{"id": "b", "title": "Beta", "prompt": "What is the code of beta?", "depends_on": []}]}'
)
QUESTION = "Compare alpha and beta: what are their codes?"
ANSWER = "Alpha has **17** and beta has **23**."


def forking(*, slow: float = 0.0, answer: str = ANSWER) -> list[Scripted]:
    """Replies that fork into two threads; ``slow`` seconds lie between the words of the second one."""
    return [
        Scripted(PLAN, when="subtasks"),
        Scripted(
            "The code of alpha is 17.", when=lambda r: r.messages[-1].text == "What is the code of alpha?"
        ),
        Scripted(
            "The code of beta is 23.",
            when=lambda r: r.messages[-1].text == "What is the code of beta?",
            each=slow,
        ),
        Scripted(answer, when="17"),
        Scripted("direct answer"),
    ]


@dataclass
class Page:
    """A running server; ``url`` ends with the secret and a slash."""

    url: str
    desk: Desk
    models: Server
    stop: Callable[[], None]


@contextmanager
def page_of(models: Server, folder: Path, /, port: int = 0, **options: Any) -> Iterator[Page]:
    """Serve the page over ``models``; ``options`` are those of `Weaver` and the fields of `ServeConfig`."""
    workflows = options.pop("workflows", ())
    config = ServeConfig.load(folder, workflows=workflows)
    ready = threading.Event()
    box: dict[str, Any] = {}

    async def run() -> None:
        weaver = Weaver("openai/mock", base_url=models.url, **options)
        box["loop"], box["task"] = asyncio.get_running_loop(), asyncio.current_task()

        def on_ready(url: str, desk: Desk) -> None:
            box["url"], box["desk"] = url, desk
            ready.set()

        store = Store(home() / FILE)
        try:
            await serve_page(
                weaver, config, secret=SECRET, store=store, port=port, flush=flush, on_ready=on_ready
            )
        finally:
            store.close()

    def main() -> None:
        try:
            asyncio.run(run())
        except asyncio.CancelledError:
            pass
        except BaseException as error:  # noqa: BLE001 - raised in the test
            box["error"] = error
        finally:
            ready.set()

    thread = threading.Thread(target=main, daemon=True)
    thread.start()
    ready.wait()

    def stop() -> None:
        if thread.is_alive():
            box["loop"].call_soon_threadsafe(box["task"].cancel)
        thread.join(10)

    try:
        if "error" in box:
            raise box["error"]
        yield Page(box["url"], box["desk"], models, stop)
    finally:
        stop()
    assert not thread.is_alive()


Start = Callable[..., Page]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """``page = start(replies, **options)``: see `page_of`. Runs are kept."""
    monkeypatch.delenv("WEAVER_TRACE_STORE", raising=False)
    with ExitStack() as stack:

        def run(replies: Any = "one two three", **options: Any) -> Page:
            models = stack.enter_context(Server(replies).in_thread())
            return stack.enter_context(page_of(models, tmp_path, **options))

        yield run
