"""What Weaver learned about endpoints, kept between processes in ``WEAVER_HOME/endpoints.json``.

Facts are small JSON objects, by endpoint, model and *namespace*. Each part of Weaver that learns something
owns a namespace: ``dialect`` (fields an endpoint refuses), ``structured`` (how it gives structured output).

    from weaver._models.endpoint_memory import memory

    known = memory().get("speed", model.endpoint, model.name)      # {"tokens_per_second": 71.5}, or None
    memory().put("speed", model.endpoint, model.name, {"tokens_per_second": 71.5})
    memory().forget(endpoint="http://localhost:8000/v1")

Rules for who uses it:
- Facts make the next call cheaper, and nothing else: a run must be right without them and with wrong ones.
- ``get`` reads the file once and again when it has changed; it never raises. An unreadable file is ignored.
- ``put`` and ``forget`` return at once. A thread writes a second later, or when the process ends. The
  file is replaced whole, so that a reader never sees half of it. A failed write is ignored.
- Two processes that write in the same second may lose one of the two facts. It is then learned again.
- Facts older than `MAX_AGE`, or of another server (``server=``), are not returned.
- Never store secrets, prompts or answers. ``weaver doctor`` shows all facts.
"""

from __future__ import annotations

import atexit
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weaver._environment.paths import HOME_VARIABLES, home
from weaver._json_reading.json_types import Json, is_object

MAX_AGE = 14 * 24 * 3600.0
"""Seconds after which a fact is forgotten."""
FILE = "endpoints.json"
_VERSION = 1
_WRITE_AFTER = 1.0  # seconds: several facts of one call are written together
_MAX_FACTS = 1000
_MAX_FACT_CHARS = 16 * 1024
_MAX_FILE_BYTES = 4 * 2**20

_Key = tuple[str, str, str]  # endpoint, model, namespace


@dataclass(frozen=True, slots=True)
class Fact:
    """What was learned about one model at one endpoint.

    Args:
        endpoint: URL without credentials.
        model: the model's name or id; ``""`` when the fact is about all models there.
        namespace: who learned it.
        facts: a JSON object.
        server: what the server called itself then (its ``Server`` header), or ``""``.
        at: when, in seconds since 1970.
    """

    endpoint: str
    model: str
    namespace: str
    facts: Mapping[str, Any]
    server: str
    at: float


class EndpointMemory:
    """Facts about endpoints in one file. Use `memory` for the user's own.

    Args:
        path: the file; it and its folder need not exist.
        clock: seconds since 1970.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._facts: dict[_Key, Fact] = {}
        self._read_at: tuple[int, int] | None = None
        self._unwritten: dict[_Key, Fact | None] = {}
        self._later: dict[_Key, Callable[[], Mapping[str, Any]]] = {}
        self._timer: threading.Timer | None = None

    def get(
        self, namespace: str, endpoint: str, model: str = "", *, server: str | None = None
    ) -> dict[str, Any] | None:
        """Return a copy of the facts, or None when there are none that still count.

        Args:
            server: what the server calls itself now; facts learned from another server are not returned.
                None does not compare.
        """
        with self._lock:
            self._refresh()
            fact = self._facts.get((endpoint, model, namespace))
        if fact is None or not self._counts(fact) or (server is not None and fact.server != server):
            return None
        return dict(json.loads(json.dumps(fact.facts)))

    def put(
        self, namespace: str, endpoint: str, model: str, facts: Mapping[str, Any], *, server: str = ""
    ) -> None:
        """Remember ``facts`` (JSON values) instead of what was known. Facts over 16 KiB are dropped."""
        with self._lock:
            self._refresh()
            self._put(namespace, endpoint, model, facts, server)

    def put_later(
        self, namespace: str, endpoint: str, model: str, facts: Callable[[], Mapping[str, Any]]
    ) -> None:
        """`put`, for facts that change often: ``facts`` is called when they are written or read.

        It may be called in another thread.
        """
        if not endpoint:
            return
        with self._lock:
            self._later[endpoint, model, namespace] = facts
            self._write_soon()

    def forget(
        self, namespace: str | None = None, endpoint: str | None = None, model: str | None = None
    ) -> int:
        """Forget all facts that fit every given argument. Returns their number."""
        with self._lock:
            self._refresh()
            wanted_key = (endpoint, model, namespace)
            keys = [
                key
                for key in self._facts
                if all(want is None or want == part for want, part in zip(wanted_key, key, strict=True))
            ]
            for key in keys:
                self._change(key, None)
        return len(keys)

    def all(self) -> list[Fact]:
        """Every fact that still counts, by endpoint, model and namespace."""
        with self._lock:
            self._refresh()
            return [fact for _, fact in sorted(self._facts.items()) if self._counts(fact)]

    def flush(self) -> None:
        """Write now what has not been written yet. Never raises."""
        with self._writing:
            with self._lock:
                self._refresh()  # another process may have written
                if self._timer is not None:
                    self._timer.cancel()
                    self._timer = None
                if not self._unwritten:
                    return
                newest = sorted(self._facts.values(), key=lambda fact: fact.at)[-_MAX_FACTS:]
                self._unwritten.clear()
            # A slow disk must not hold up the event loop, which reads and puts meanwhile.
            with suppress(OSError, ValueError):
                self._write([fact for fact in newest if self._counts(fact)])
            with self._lock:
                self._read_at = _version_of(self.path)
                for key, fact in self._unwritten.items():
                    self._apply(key, fact)

    def _counts(self, fact: Fact) -> bool:
        return fact.at > self._clock() - MAX_AGE

    def _put(self, namespace: str, endpoint: str, model: str, facts: Mapping[str, Any], server: str) -> None:
        text = json.dumps(dict(facts))
        if endpoint and len(text) <= _MAX_FACT_CHARS:
            fact = Fact(endpoint, model, namespace, json.loads(text), server, self._clock())
            self._change((endpoint, model, namespace), fact)

    def _change(self, key: _Key, fact: Fact | None) -> None:
        self._unwritten[key] = fact
        self._apply(key, fact)
        self._write_soon()

    def _write_soon(self) -> None:
        if self._timer is None:
            self._timer = threading.Timer(_WRITE_AFTER, self.flush)
            self._timer.daemon = True
            self._timer.start()

    def _apply(self, key: _Key, fact: Fact | None) -> None:
        if fact is None:
            self._facts.pop(key, None)
        else:
            self._facts[key] = fact

    def _refresh(self) -> None:
        """Read the file if it has changed, and put on top what is not written yet."""
        later, self._later = self._later, {}
        for (endpoint, model, namespace), facts in later.items():
            self._put(namespace, endpoint, model, facts(), "")
        version = _version_of(self.path)
        if version is None or version == self._read_at:
            return
        self._read_at = version
        try:
            text = self.path.read_bytes() if version[1] <= _MAX_FILE_BYTES else b"{}"
            self._facts = {(f.endpoint, f.model, f.namespace): f for f in _facts_in(json.loads(text))}
        except (OSError, ValueError, RecursionError):
            self._facts = {}
        for key, fact in self._unwritten.items():
            self._apply(key, fact)

    def _write(self, facts: list[Fact]) -> None:
        endpoints: dict[str, Any] = {}
        for fact in facts:
            models = endpoints.setdefault(fact.endpoint, {})
            models.setdefault(fact.model, {})[fact.namespace] = {
                "facts": fact.facts,
                "server": fact.server,
                "at": round(fact.at),
            }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump({"version": _VERSION, "endpoints": endpoints}, file, indent=1)
            Path(name).replace(self.path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


_memories: dict[Path, EndpointMemory] = {}
_by_folders: dict[tuple[str | None, ...], EndpointMemory] = {}  # a call asks for it, and paths are slow


def memory(environ: Mapping[str, str] | None = None) -> EndpointMemory:
    """The memory of this user: one for each ``WEAVER_HOME`` (of ``environ``, default ``os.environ``)."""
    environ = os.environ if environ is None else environ
    folders = tuple(map(environ.get, HOME_VARIABLES))
    if (memory_of_folders := _by_folders.get(folders)) is None:
        path = home(environ) / FILE
        memory_of_folders = _memories.setdefault(path, EndpointMemory(path))
        _by_folders[folders] = memory_of_folders
    return memory_of_folders


@atexit.register
def _flush_all() -> None:
    for memory_to_flush in list(_memories.values()):
        memory_to_flush.flush()


def _version_of(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size


def _facts_in(value: Json) -> Iterator[Fact]:
    """The facts of a file's JSON; whatever has another shape is skipped."""
    if not is_object(value) or value.get("version") != _VERSION:
        return
    for endpoint, models in _objects(value.get("endpoints")):
        for model, namespaces in _objects(models):
            for namespace, entry in _objects(namespaces):
                facts, at, server = entry.get("facts"), entry.get("at"), entry.get("server")
                if is_object(facts) and isinstance(at, int | float):
                    yield Fact(endpoint, model, namespace, facts, str(server or ""), at)


def _objects(value: Json) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, dict):
        yield from ((key, item) for key, item in value.items() if isinstance(item, dict))
