"""A span processor that keeps runs in the local store, in a thread of its own."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from weaver.errors import WeaverError
from weaver.tracing.record import semconv as sc
from weaver.tracing.store.retention import Retention
from weaver.tracing.store.span_record import SpanRecord, record_of
from weaver.tracing.store.sqlite import Store

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import Span

MAX_WAITING = 100_000
BATCH = 1024
EVERY = 0.5
PATIENCE = 3.0

_Text = tuple[str, str, str, str | Callable[[], str]]
_Item = ReadableSpan | SpanRecord | _Text | threading.Event | None


class StoreProcessor(SpanProcessor):
    """Writes ended spans to a `Store` in batches. A store that fails costs dropped spans, never a run.

    It also keeps full texts (it is a `weaver.tracing.record.content.Texts`).

    Args:
        store: where to.
        keep: what to remove when it is shut down; None removes nothing.

    Attributes:
        dropped: spans that were not kept.
        trouble: why, or "".
    """

    def __init__(self, store: Store, *, keep: Retention | None = None) -> None:
        self.store = store
        self.dropped = 0
        self.trouble = ""
        self._keep = keep
        self._waiting: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="weaver-trace-store", daemon=True)
        self._thread.start()

    def keep(self, trace_id: str, span_id: str, name: str, text: str | Callable[[], str]) -> None:
        """Keep the full text of an attribute; a function is called by the writing thread."""
        if not self.trouble:
            self._waiting.put((trace_id, span_id, name, text))

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002 - SDK's names
        """Announce a run, so that it is listed while it runs and if the process dies."""
        if span.attributes and sc.RUN_ID in span.attributes:
            self._waiting.put(record_of(span))  # now: when it is written, the run may have ended

    def on_end(self, span: ReadableSpan) -> None:
        """Hand an ended span to the writing thread."""
        if self.trouble or self._waiting.qsize() >= MAX_WAITING:
            self.dropped += 1
            self.trouble = self.trouble or "the disk is too slow"
            return
        self._waiting.put(span)

    def force_flush(self, timeout_millis: int = 2000) -> bool:
        """Wait until everything so far is written. False when that took too long."""
        written = threading.Event()
        self._waiting.put(written)
        return written.wait(timeout_millis / 1000)

    def shutdown(self) -> None:
        """Write what is left and sweep the store, as long as that goes on."""
        self._waiting.put(None)
        before = -1
        while self._thread.is_alive() and before != (before := self._waiting.qsize()):
            self._thread.join(PATIENCE)
        if self._thread.is_alive():
            self.trouble = self.trouble or "the disk is too slow"
            self.dropped += self._waiting.qsize()

    def _work(self) -> None:
        open_end = True
        while open_end:
            batch = [self._waiting.get()]
            until = time.monotonic() + EVERY
            while batch[-1] is not None and not isinstance(batch[-1], threading.Event) and len(batch) < BATCH:
                try:
                    batch.append(self._waiting.get(timeout=max(until - time.monotonic(), 0)))
                except queue.Empty:
                    break
            open_end = batch[-1] is not None
            self._write(batch)
        if self._keep is not None and not self.trouble:
            try:
                self.store.gc_if_due(self._keep)
            except WeaverError as error:
                self.trouble = str(error)
        self.store.close()

    def _write(self, batch: list[_Item]) -> None:
        ended = sum(1 for item in batch if isinstance(item, ReadableSpan))
        try:
            if not self.trouble:
                self._add(batch)
        except WeaverError as error:
            self.trouble = str(error)
        except Exception as error:  # noqa: BLE001 - this thread must go on, or the run's end would wait for it
            self.trouble = f"{type(error).__name__}: {error}"
        if self.trouble:
            self.dropped += ended
        for item in batch:
            if isinstance(item, threading.Event):
                item.set()

    def _add(self, batch: list[_Item]) -> None:
        started: list[SpanRecord] = []
        ended: list[SpanRecord] = []
        texts: list[tuple[str, str, str, str]] = []
        for item in batch:
            if isinstance(item, tuple):
                trace_id, span_id, name, text = item
                texts.append((trace_id, span_id, name, text() if callable(text) else text))
            elif isinstance(item, SpanRecord):
                started.append(item)
            elif isinstance(item, ReadableSpan):
                ended.append(record_of(item))
        self.store.add(ended, texts, started=started)
