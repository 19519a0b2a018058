"""The process that llama.cpp runs in. Started by `weaver_local.engine`; not for people.

Reads one line of JSON on stdin (see `Job`), answers with one line of JSON on stdout when the model is
loaded, and ends when stdin does: so it never outlives the process that started it, however that one ends.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from importlib import import_module
from typing import Any, TypedDict
from urllib.request import ProxyHandler, Request, build_opener


class Job(TypedDict):
    """What to serve. ``context`` is in tokens per slot; ``port`` 0 takes any free one."""

    path: str
    name: str
    slots: int
    context: int
    threads: int | None
    host: str
    port: int
    key: str | None
    verbose: bool


def main() -> None:
    """Serve until stdin ends."""
    # Ctrl-C in a terminal is for the parent, which decides what becomes of us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    job: Job = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    xllamacpp: Any = import_module("xllamacpp")  # compiled: it has no types
    try:
        server = xllamacpp.Server(_params(xllamacpp, job))
    except (RuntimeError, ValueError, MemoryError) as error:
        _tell({"error": str(error) or type(error).__name__})
        os._exit(1)
    address = server.listening_address
    _tell({"address": address, **_meta(address, job["key"])})
    threading.Event().wait()


def _end_with_parent() -> None:
    while sys.stdin.read(4096):
        pass
    # Nothing to save; a graceful end waits for open streams, for half a minute if need be.
    os._exit(0)


def _params(xllamacpp: Any, job: Job) -> Any:
    params = xllamacpp.CommonParams()
    params.model.path = job["path"]
    params.model_alias = {job["name"]}
    params.n_parallel = job["slots"]
    params.n_ctx = job["slots"] * job["context"]
    params.hostnames = [job["host"]]
    params.port = job["port"]
    params.cont_batching = True
    # Every waiting request holds one of these threads, also those that wait for a slot.
    params.n_threads_http = 4 * job["slots"] + 8
    params.verbosity = 3 if job["verbose"] else 1
    params.cache_ram_mib = 256
    params.endpoint_slots = True
    params.endpoint_props = False  # settable properties; reading them works without
    params.timeout_read = params.timeout_write = 600
    params.warmup = False
    params.ui = False
    params.sampling.temp = 0.3  # where a request gives none: a small model strays at the usual 0.8
    # Pages in a browser must not be able to use the model: a key, and no foreign origins.
    params.cors_origins = "http://localhost"
    if job["key"]:
        params.api_keys = [job["key"]]
    if job["threads"]:
        params.cpuparams.n_threads = job["threads"]
        params.cpuparams_batch.n_threads = job["threads"]
    return params


def _meta(address: str, key: str | None) -> dict[str, int | None]:
    """What the loaded model says of itself: number of parameters, and the context it was trained with."""
    request = Request(f"{address}/v1/models", headers={"Authorization": f"Bearer {key}"} if key else {})
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=10) as response:
            meta: dict[str, Any] = json.load(response)["data"][0].get("meta") or {}
    except (OSError, ValueError, KeyError, IndexError):
        meta = {}
    return {"parameters": meta.get("n_params"), "trained_context": meta.get("n_ctx_train")}


def _tell(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main()
