"""Tracing of runs in Python: kept in the local store of this machine, by one writer per process."""

from __future__ import annotations

import atexit
import os
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from weaver._environment.paths import home
from weaver._tracing.export.local_span import LocalProvider
from weaver._tracing.export.store_writer import StoreWriter
from weaver._tracing.record.content import labels_wanted
from weaver._tracing.store.retention import Retention, store_wanted
from weaver._tracing.store.sqlite import FILE, Store
from weaver._tracing.tracer import Tracing

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

_writers: dict[Path, StoreWriter] = {}
_lock = Lock()


def local_tracing(
    tracer_provider: TracerProvider | None = None, environ: Mapping[str, str] | None = None
) -> Tracing:
    """Tracing that keeps runs on this machine, beside what ``tracer_provider`` (or the global one) does.

    ``WEAVER_TRACE_STORE=off`` and ``OTEL_SDK_DISABLED=true`` keep nothing.

    Raises:
        ConfigurationError: ``WEAVER_TRACE_DAYS``, ``_RUNS`` or ``_MB`` is wrong.
    """
    environ = os.environ if environ is None else environ
    if not store_wanted(environ) or environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return Tracing(tracer_provider)
    writer = _writer(home(environ) / FILE, Retention.from_environment(environ))
    return Tracing(LocalProvider(writer, tracer_provider), labels=labels_wanted(environ), texts=writer)


def flush(seconds: float = 2.0) -> bool:
    """Wait until all that has ended is written. False when that took longer."""
    return all(writer.flush(seconds) for writer in tuple(_writers.values()))


def _writer(path: Path, keep: Retention) -> StoreWriter:
    with _lock:
        if path not in _writers:
            if not _writers:
                atexit.register(_shut_down)
            _writers[path] = StoreWriter(Store(path), keep=keep)
        return _writers[path]


def _shut_down() -> None:
    for writer in _writers.values():
        writer.shutdown()
    _writers.clear()


def _after_fork() -> None:
    """Forget the writers of the parent process: their threads are not in this one."""
    global _lock  # noqa: PLW0603 - it may have been held when the process forked
    _lock = Lock()
    _writers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
