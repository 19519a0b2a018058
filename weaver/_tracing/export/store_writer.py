"""Writes runs into the local store, in its own thread. Does not need the OpenTelemetry SDK."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Protocol

from opentelemetry.trace import SpanContext

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


class Ended(Protocol):
    """A span that has ended."""

    def record(self) -> SpanRecord:
        """Return the span as plain data; in any thread."""
        ...


_Texts = tuple[SpanContext, Callable[[], Mapping[str, str]]]
_Item = Ended | SpanRecord | _Texts | threading.Event


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

    takes_declined = True

    def __init__(self, store: Store, *, keep: Retention | None = None) -> None:
        self.store = store
        self.dropped = 0
        self.trouble = ""
        self._keep = keep
        self._swept_at = time.monotonic()
        self._waiting: deque[_Item] = deque()
        self._is_closing = False
        # An item wakes the writing thread only if that has nothing to do: being woken for each one would cost
        # the event loop's thread more than all else here.
        self._is_idle = True
        self._begins = threading.Event()
        self._hurries = threading.Event()
        self._thread = threading.Thread(target=self._work, name="weaver-trace-store", daemon=True)
        self._thread.start()

    def keep(self, context: SpanContext, texts: Callable[[], Mapping[str, str]]) -> None:
        """Keep full texts of a span by attribute; the writing thread calls ``texts``."""
        if not self.trouble and len(self._waiting) < MAX_WAITING:
            self._put((context, texts))

    def begin(self, root: SpanRecord) -> None:
        """Announce a run, so that it is listed while it runs and if the process dies."""
        self._put(root)

    def end(self, span: Ended) -> None:
        """Take an ended span; the writing thread calls its ``record``."""
        if self.trouble or len(self._waiting) >= MAX_WAITING:
            self.dropped += 1
            self.trouble = self.trouble or "the disk is too slow"
            return
        self._put(span)

    def flush(self, seconds: float) -> bool:
        """Wait until everything so far is written. False when that took longer than ``seconds``."""
        written = threading.Event()
        self._put(written)
        self._hurries.set()
        return written.wait(seconds)

    def shutdown(self) -> None:
        """Write what is left and sweep the store, as long as that goes on."""
        self._is_closing = True
        self._hurries.set()
        self._begins.set()
        before = -1
        while self._thread.is_alive() and before != (before := len(self._waiting)):
            self._thread.join(PATIENCE)
        if self._thread.is_alive():
            self.trouble = self.trouble or "the disk is too slow"
            self.dropped += len(self._waiting)

    def _put(self, item: _Item) -> None:
        self._waiting.append(item)
        if self._is_idle:
            self._is_idle = False
            self._begins.set()

    def _work(self) -> None:
        is_last = False
        while not is_last:
            self._begins.wait()
            self._hurries.wait(EVERY)
            # All this is before the look at what waits, so that whatever comes later wakes this thread again.
            self._hurries.clear()
            self._begins.clear()
            self._is_idle = True
            is_last = self._is_closing
            while self._waiting:
                self._write([self._waiting.popleft() for _ in range(min(len(self._waiting), BATCH))])
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
        ended = sum(1 for item in batch if not isinstance(item, (tuple, SpanRecord, threading.Event)))
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
                context, make = item
                trace_id, span_id = f"{context.trace_id:032x}", f"{context.span_id:016x}"
                texts += [(trace_id, span_id, name, text) for name, text in make().items()]
            elif isinstance(item, SpanRecord):
                started.append(item)
            elif not isinstance(item, threading.Event):
                ended.append(item.record())
        self.store.add(ended, texts, started=started)
