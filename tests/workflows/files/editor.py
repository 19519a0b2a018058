"""A real YAML language server, spoken to as an editor would."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest


def server_script() -> Path | None:
    """The language server from npm, installed beside the other parts of CI; None without node or npm."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return None
    cache = (
        Path(os.environ.get("WEAVER_CI_CACHE") or Path.home() / ".cache" / "weaver-ci")
        / "yaml-language-server"
    )
    script = cache / "node_modules/yaml-language-server/bin/yaml-language-server"
    if not script.exists():
        cache.mkdir(parents=True, exist_ok=True)
        install = [
            "npm",
            "install",
            "--no-audit",
            "--no-fund",
            "--prefix",
            str(cache),
            "yaml-language-server",
        ]
        if subprocess.run(install, capture_output=True, check=False).returncode:
            return None
    return script


class Editor:
    """What an editor says to a language server, over its standard input and output."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._in, self._out = process.stdin, process.stdout
        self._number = 0

    async def ask(self, method: str, **params: Any) -> Any:
        """A request and its answer; the server's own requests meanwhile get null."""
        self._number += 1
        self._send({"id": self._number, "method": method, "params": params})
        while True:
            message = await self._receive()
            if message.get("id") == self._number and "method" not in message:
                assert "error" not in message, message
                return message["result"]
            self._answer(message)

    def tell(self, method: str, **params: Any) -> None:
        """A notification."""
        self._send({"method": method, "params": params})

    async def diagnostics(self, uri: str) -> list[dict[str, Any]]:
        """What is underlined in a file."""
        while True:
            message = await self._receive()
            if message.get("method") == "textDocument/publishDiagnostics" and message["params"]["uri"] == uri:
                found: list[dict[str, Any]] = message["params"]["diagnostics"]
                return found
            self._answer(message)

    def _answer(self, message: dict[str, Any]) -> None:
        if "id" in message and "method" in message:
            wanted = len(message.get("params", {}).get("items", [])) or 1
            result = [{}] * wanted if message["method"] == "workspace/configuration" else None
            self._send({"id": message["id"], "result": result})

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._in.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)

    async def _receive(self) -> dict[str, Any]:
        length = 0
        while (line := (await self._out.readline()).strip()) != b"":
            if line.lower().startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        message: dict[str, Any] = json.loads(await self._out.readexactly(length))
        return message


@asynccontextmanager
async def editing(folder: Path) -> AsyncIterator[Editor]:
    """An editor with the folder open."""
    script = server_script()
    if script is None:
        pytest.skip("NOT TESTED: yaml-language-server cannot be had: no node, no npm, or no registry")
    process = await asyncio.create_subprocess_exec(
        "node", str(script), "--stdio", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        editor = Editor(process)
        root = folder.as_uri()
        await editor.ask(
            "initialize", processId=None, rootUri=root, workspaceFolders=[{"uri": root, "name": "f"}],
            capabilities={"textDocument": {"publishDiagnostics": {}, "completion": {}, "hover": {}}},
        )  # fmt: skip
        editor.tell("initialized")
        settings = {
            "yaml": {"validate": True, "completion": True, "hover": True, "schemaStore": {"enable": False}}
        }
        editor.tell("workspace/didChangeConfiguration", settings=settings)
        yield editor
    finally:
        process.kill()
        await process.wait()
        # The transport closes in the loop's next turns; asyncio warns when the loop ends before.
        await asyncio.sleep(0.05)


def opened(editor: Editor, path: Path, text: str) -> str:
    """Open a file with this text; its URI."""
    path.write_text(text)
    uri = path.as_uri()
    editor.tell(
        "textDocument/didOpen", textDocument={"uri": uri, "languageId": "yaml", "version": 1, "text": text}
    )
    return uri
