"""A stock Jaeger, started for a test on free ports."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CACHE = Path(os.environ.get("WEAVER_CI_CACHE", Path.home() / ".cache" / "weaver-ci"))
BINARY = CACHE / "jaeger" / "jaeger-all-in-one"


@dataclass(frozen=True)
class Jaeger:
    """Where it takes OTLP over HTTP, and where it answers questions."""

    otlp: str
    query: str

    def get(self, path: str, **parameters: str) -> Any:
        """``data`` of an answer of the query API; None for what is not there."""
        url = f"{self.query}/api/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise

    def trace(self, trace_id: str, *, spans: int) -> dict[str, Any]:
        """A trace, once all of its spans have been stored (or after a while, as it is then)."""
        found: Any = None
        until = time.monotonic() + 20
        while time.monotonic() < until:
            found = self.get(f"traces/{trace_id}")
            if found and len(found[0]["spans"]) >= spans:
                break
            time.sleep(0.1)
        assert found, f"Jaeger does not have trace {trace_id}"
        return found[0]

    def search(self, service: str = "weaver", **tags: str) -> list[str]:
        """Ids of the traces that have a span with all these tags."""
        named = {name.replace("__", "."): value for name, value in tags.items()}
        found = self.get("traces", service=service, tags=json.dumps(named), limit="100", lookback="1h")
        return [trace["traceID"] for trace in found]


@contextmanager
def jaeger() -> Iterator[Jaeger]:
    """Run Jaeger with storage in memory; it ends with the block."""
    names = (
        "collector.otlp.http.host-port", "query.http-server.host-port", "admin.http.host-port",
        "collector.otlp.grpc.host-port", "collector.grpc-server.host-port", "collector.http-server.host-port",
        "query.grpc-server.host-port",
    )  # fmt: skip
    with ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in names]
        for one in held:
            one.bind(("127.0.0.1", 0))
        places = [f"127.0.0.1:{one.getsockname()[1]}" for one in held]
    flags = [f"--{name}={place}" for name, place in zip(names, places, strict=True)]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [BINARY, *flags], env={**os.environ, "SPAN_STORAGE_TYPE": "memory"}, stdout=log, stderr=log
        )
        try:
            until = time.monotonic() + 30
            while True:
                try:
                    urllib.request.urlopen(f"http://{places[2]}/", timeout=1).close()
                    break
                except OSError:
                    log.seek(0)
                    assert process.poll() is None, log.read().decode()[-2000:]
                    assert time.monotonic() < until, "Jaeger did not start"
                    time.sleep(0.1)
            yield Jaeger(f"http://{places[0]}", f"http://{places[1]}")
        finally:
            process.kill()
            process.wait()
