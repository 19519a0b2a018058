"""Stands in for the real library in the worker's process, where tests want no model and no waiting.

It listens like llama.cpp does and answers ``/v1/models``. What a file holds after its magic decides the rest:
``fail`` does not load, ``die`` ends the process while loading, ``slow`` takes a while.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any


class CommonParams(SimpleNamespace):
    def __init__(self) -> None:
        super().__init__(
            model=SimpleNamespace(path=""),
            cpuparams=SimpleNamespace(),
            cpuparams_batch=SimpleNamespace(),
            sampling=SimpleNamespace(),
        )


class Server:
    def __init__(self, params: Any) -> None:
        content = Path(params.model.path).read_bytes()[4:]
        print("llama.cpp prints this on stdout")
        if content == b"fail":
            print(f"0.00.058.162 E load: failed to load model from {params.model.path}", file=sys.stderr)
            print("0.00.058.170 E srv load_model: not enough fingers", file=sys.stderr, flush=True)
            raise RuntimeError("Failed to init server, please check the input params.")
        if content == b"die":
            os.kill(os.getpid(), 9)
        if content == b"slow":
            time.sleep(0.5)
        shown = {
            name: sorted(value) if isinstance(value, set) else value
            for name, value in vars(params).items()
            if not isinstance(value, SimpleNamespace)
        }

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                allowed = self.headers.get("Authorization") == f"Bearer {params.api_keys[0]}"
                self.send_response(200 if allowed else 401)
                self.end_headers()
                meta = {"n_params": 494_000_000, "pid": os.getpid(), "params": shown}
                self.wfile.write(json.dumps({"data": [{"id": "m", "meta": meta}]}).encode())

        http = ThreadingHTTPServer((params.hostnames[0], params.port), Handler)
        threading.Thread(target=http.serve_forever, daemon=True).start()
        self.listening_address = f"http://{params.hostnames[0]}:{http.server_port}"
