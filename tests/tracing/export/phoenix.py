"""A stock Phoenix (PyPI arize-phoenix, in an environment of its own), started for a test on free ports."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CACHE = Path(os.environ.get("WEAVER_CI_CACHE", Path.home() / ".cache" / "weaver-ci"))
PROGRAM = CACHE / "phoenix-venv" / "bin" / "phoenix"
START_SECONDS = 300.0
"""It makes a database and loads some hundred modules first."""


class Phoenix:
    """A running one, where it takes OTLP and answers questions."""

    def __init__(self, url: str) -> None:
        self.url = url

    def spans(self, least: int) -> list[dict[str, Any]]:
        """All spans of the default project, once there are at least ``least``."""
        until = time.monotonic() + 30
        spans: list[dict[str, Any]] = []
        while len(spans) < least and time.monotonic() < until:
            time.sleep(0.2)
            try:
                with urllib.request.urlopen(f"{self.url}/v1/projects/default/spans?limit=500") as answer:
                    spans = json.load(answer)["data"]
            except urllib.error.HTTPError:
                continue
        return spans


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def phoenix(folder: Path) -> Iterator[Phoenix]:
    """Start it, with everything it keeps under ``folder``; it calls nobody."""
    http, grpc = _free_port(), _free_port()
    environ = os.environ | {
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(http),
        "PHOENIX_GRPC_PORT": str(grpc),
        "PHOENIX_TELEMETRY_ENABLED": "false",
        "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
    }
    url = f"http://127.0.0.1:{http}"
    with (folder / "phoenix.log").open("w") as log:
        process = subprocess.Popen([PROGRAM, "serve"], env=environ, stdout=log, stderr=log)
        try:
            until = time.monotonic() + START_SECONDS
            while True:
                try:
                    urllib.request.urlopen(f"{url}/healthz", timeout=5).close()
                    break
                except OSError:
                    assert process.poll() is None, (folder / "phoenix.log").read_text()[-2000:]
                    assert time.monotonic() < until, "Phoenix does not answer"
                    time.sleep(0.5)
            yield Phoenix(url)
        finally:
            process.terminate()
            process.wait(30)
