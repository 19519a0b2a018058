"""Writes runs into the local store, in its own thread. Does not need the OpenTelemetry SDK."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable

from weaver._tracing.store.retention import Retention
from weaver._tracing.store.span_record import SpanRecord
from weaver._tracing.store.sqlite import Store
from weaver.errors import WeaverError

logger = logging.getLogger("weaver")
MAX_WAITING = 100_000
BATCH = 1024
EVERY = 0.5
PATIENCE = 3.0
SWEEP_EVERY = 600.0
"""Seconds between two looks at the size and age of what is kept, in a process that goes on."""

_Text = tuple[str, str, str, str | Callable[[], str]]
_Item = Callable[[], SpanRecord] | SpanRecord | _Text | threading.Event | None


class StoreWriter:
    """Writes ended spans and texts to a `Store` in batches. A store that fails costs spans, never a run.

    It is a `weaver._tracing.record.content.Texts`.

    Args:
        store: where to.
        keep: what to remove, from time to time and when it is shut down; None removes nothing.

    Attributes:
        dropped: spans that were not kept.
        trouble: why, or "".
    """

    def __init__(self, store: Store, *, keep: Retention | None = None) -> None:
        self.store = store
        self.dropped = 0
        self.trouble = ""
        self._keep = keep
        self._swept_at = time.monotonic()
        self._waiting: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="weaver-trace-store", daemon=True)
        self._thread.start()

    def keep(self, trace_id: str, span_id: str, name: str, text: str | Callable[[], str]) -> None:
        """Keep the full text of an attribute; a function is called by the writing thread."""
        if not self.trouble and self._waiting.qsize() < MAX_WAITING:
            self._waiting.put((trace_id, span_id, name, text))

    def begin(self, root: SpanRecord) -> None:
        """Announce a run, so that it is listed while it runs and if the process dies."""
        self._waiting.put(root)

    def end(self, record: Callable[[], SpanRecord]) -> None:
        """Take an ended span; the writing thread calls ``record``."""
        if self.trouble or self._waiting.qsize() >= MAX_WAITING:
            self.dropped += 1
            self.trouble = self.trouble or "the disk is too slow"
            return
        self._waiting.put(record)

    def flush(self, seconds: float) -> bool:
        """Wait until everything so far is written. False when that took longer than ``seconds``."""
        written = threading.Event()
        self._waiting.put(written)
        return written.wait(seconds)

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
            deadline_at = time.monotonic() + EVERY
            while batch[-1] is not None and not isinstance(batch[-1], threading.Event) and len(batch) < BATCH:
                try:
                    batch.append(self._waiting.get(timeout=max(deadline_at - time.monotonic(), 0)))
                except queue.Empty:
                    break
            open_end = batch[-1] is not None
            self._write(batch)
            if time.monotonic() - self._swept_at >= SWEEP_EVERY:
                self._sweep()
        self._sweep()
        self.store.close()

    def _sweep(self) -> None:
        self._swept_at = time.monotonic()
        if self._keep is not None and not self.trouble:
            try:
                self.store.gc_if_due(self._keep)
            except WeaverError as error:
                self.trouble = str(error)

    def _write(self, batch: list[_Item]) -> None:
        ended = sum(1 for item in batch if callable(item))
        try:
            if not self.trouble:
                self._add(batch)
        except WeaverError as error:
            self.trouble = str(error)
        except Exception as error:  # noqa: BLE001 - this thread must go on, or the run's end would wait for it
            self.trouble = f"{type(error).__name__}: {error}"
        if self.trouble:
            if not self.dropped:
                logger.warning("runs are not kept on this machine: %s", self.trouble)
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
                texts.append((trace_id, span_id, name, text if isinstance(text, str) else text()))
            elif isinstance(item, SpanRecord):
                started.append(item)
            elif callable(item):
                ended.append(item())
        self.store.add(ended, texts, started=started)
