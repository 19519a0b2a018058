"""The real small model, for heavy tests: where it is, and a llama.cpp server with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

MODEL_NAME = "qwen2.5-coder-0.5b-instruct-q4.gguf"

_SERVE = """
import sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, slots, context = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
params.n_parallel, params.n_ctx = slots, slots * context
# More threads spin while they wait for each other, which is slow on a machine that does other things too.
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
params.port, params.warmup, params.verbosity = 0, False, 0
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
"""


def model_path() -> Path:
    """The model's file: ``WEAVER_TEST_MODEL``, or in ``WEAVER_CI_CACHE`` (by default ~/.cache/weaver-ci).

    Skips the test when there is none, or when llama.cpp (xllamacpp) is not installed.
    """
    cache = Path(os.environ.get("WEAVER_CI_CACHE") or Path.home() / ".cache" / "weaver-ci")
    path = Path(os.environ.get("WEAVER_TEST_MODEL") or cache / "model" / MODEL_NAME)
    if not path.is_file():
        pytest.skip(f"NOT TESTED: the real model is not at {path}; set WEAVER_TEST_MODEL to a GGUF file")
    if find_spec("xllamacpp") is None:
        pytest.skip("NOT TESTED: xllamacpp, which runs the real model, is not installed")
    return path


@dataclass
class Llama:
    """A real llama.cpp server. ``url`` is its base URL, ``/v1`` included."""

    url: str
    slots: int

    def busy(self) -> int:
        """Slots that are working now."""
        return sum(slot["is_processing"] for slot in self.get("/slots"))

    def get(self, path: str) -> Any:
        """JSON from a path beside ``/v1``."""
        with urlopen(self.url.removesuffix("/v1") + path) as answer:
            return json.load(answer)


@contextmanager
def serve(slots: int = 4, context: int = 2048) -> Iterator[Llama]:
    """A llama.cpp server in a process of its own, which ends with this one at the latest.

    Args:
        slots: requests worked on at once.
        context: tokens per slot.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVE, str(model_path()), str(slots), str(context)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        address = process.stdout.readline().decode().strip()
        if not address:
            raise RuntimeError(f"llama.cpp ended with code {process.wait()} before it served")
        yield Llama(f"{address}/v1", slots)
    finally:
        process.stdin.close()
        process.stdout.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
