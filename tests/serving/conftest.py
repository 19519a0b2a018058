"""`weaver serve` over a loopback model server, each in a thread of its own, so that any client can call."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from weaver import Weaver
from weaver.testing import Scripted, Server

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
from weaver._serving.config import ServeConfig
from weaver._serving.server import serve
from weaver._serving.service import Service

PLAN = (
    '{"parallel": true, "reason": "two look-ups", "subtasks": ['
    '{"id": "a", "title": "Alpha", "prompt": "What is the code of alpha?", "depends_on": []}, '
    '{"id": "b", "title": "Beta", "prompt": "What is the code of beta?", "depends_on": []}]}'
)
QUESTION = "Compare alpha and beta: what are their codes?"
FORKING = [
    Scripted(PLAN, when="subtasks"),
    Scripted(
        "The code of alpha is 17.", when=lambda r: r.messages[-1].content == "What is the code of alpha?"
    ),
    Scripted("The code of beta is 23.", when=lambda r: r.messages[-1].content == "What is the code of beta?"),
    Scripted("Alpha has 17 and beta has 23.", when="17"),
    Scripted("direct answer"),
]


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of the certificates of the authorities that clients trust."""
    certifi = pytest.importorskip("certifi")
    mark = "-----END CERTIFICATE-----\n"
    first, *_ = Path(certifi.where()).read_text("utf-8").partition(mark)
    path = tmp_path_factory.mktemp("certificates") / "first.pem"
    path.write_text(first[first.index("-----BEGIN") :] + mark)
    return path


@pytest.fixture(autouse=True)
def _few_certificates(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every client reads all certificates, which takes 20 ms, and those of a loopback server need none."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))


class Served:
    """A running server.

    Attributes:
        url: with ``/v1``.
        models: the model server behind it.
    """

    def __init__(self, url: str, service: Service, models: Server) -> None:
        self.url = url
        self.service = service
        self.models = models


@contextmanager
def served(models: Server, folder: Path, /, **options: Any) -> Iterator[Served]:
    """Serve over ``models``; ``options`` are fields of `ServeConfig`, and ``weaver`` what `Weaver` gets."""
    made = dict(options.pop("weaver", {}))
    config = ServeConfig.load(folder, **{"port": 0, **options})
    ready = threading.Event()
    box: dict[str, Any] = {}

    async def run() -> None:
        weaver = Weaver("openai/mock", base_url=models.url, **made)
        box["loop"], box["task"] = asyncio.get_running_loop(), asyncio.current_task()

        def on_ready(url: str, service: Service) -> None:
            box["served"] = Served(url, service, models)
            ready.set()

        await serve(weaver, config, on_ready=on_ready)

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
    try:
        if "error" in box:
            raise box["error"]
        yield box["served"]
    finally:
        if "error" not in box:
            box["loop"].call_soon_threadsafe(box["task"].cancel)
        thread.join(10)
    assert not thread.is_alive()


Start = Callable[..., Served]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """``server = start(replies, **options)``: see `served`."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def run(
            replies: Any = "one two three", *, server: dict[str, Any] | None = None, **options: Any
        ) -> Served:
            models = stack.enter_context(Server(replies, **(server or {})).in_thread())
            return stack.enter_context(served(models, tmp_path, **options))

        yield run
