"""Sending spans to a collector without ever being in the way of a run."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

QUEUE = 32_768
STALLED_SECONDS = 2.0
LONGEST_SECONDS = 30.0
PROBE_SECONDS = 1.0


class Counting(SpanExporter):
    """Counts what another exporter delivers."""

    def __init__(self, exporter: SpanExporter) -> None:
        self.inner = exporter
        self.delivered = 0
        self.progress = time.monotonic()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export and count."""
        result = self.inner.export(spans)
        if result is SpanExportResult.SUCCESS:
            self.delivered += len(spans)
            self.progress = time.monotonic()
        return result

    def shutdown(self) -> None:
        """Shut the exporter down."""
        self.inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is buffered here."""
        return self.inner.force_flush(timeout_millis)


class Delivery(SpanProcessor):
    """A batch processor that knows what got lost, and whose shutdown ends soon.

    Args:
        exporter: where to.
        endpoint: its URL, to find out whether anybody is there; "" for exporters that need no network.
        queue: most spans that wait; more are dropped.
        takes_local_spans: the exporter takes `LocalSpan`s instead of the SDK's spans.

    Attributes:
        trouble: why spans were lost, as far as it is known; "" otherwise.
    """

    def __init__(
        self,
        exporter: SpanExporter,
        *,
        endpoint: str = "",
        queue: int | None = None,
        takes_local_spans: bool = False,
    ) -> None:
        self.endpoint = endpoint
        self.takes_local_spans = takes_local_spans
        self.ended = 0
        self.trouble = ""
        self._counting = Counting(exporter)
        self._batches = BatchSpanProcessor(self._counting, max_queue_size=queue)

    @property
    def delivered(self) -> int:
        """Spans that the exporter took."""
        return self._counting.delivered

    @property
    def dropped(self) -> int:
        """Spans that have ended and were not delivered (yet)."""
        return self.ended - self._counting.delivered

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing to do."""

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span that was sampled; never waits."""
        if span.context and span.context.trace_flags.sampled:
            self.ended += 1
            self._batches.on_end(span)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Export what is queued; False when that took too long."""
        return within(timeout_millis / 1000, self._batches.force_flush)

    def shutdown(self) -> None:
        """Deliver what is queued as long as that goes on, and give up when it stalls.

        With nobody at the endpoint this takes no time, with a stalled collector `STALLED_SECONDS`.
        """
        if self.dropped and not self.delivered and not reachable(self.endpoint):
            self.trouble = "nothing answers there"
            threading.Thread(target=self._counting.shutdown, daemon=True).start()
            return
        done = threading.Event()

        def work() -> None:
            with suppress(Exception):  # an exporter that raises here has lost its spans; they are counted
                self._batches.shutdown()  # type: ignore[no-untyped-call]
            done.set()

        self._counting.progress = began = time.monotonic()
        threading.Thread(target=work, name="weaver-trace-export", daemon=True).start()
        while not done.wait(0.02):
            now = time.monotonic()
            if now - self._counting.progress > STALLED_SECONDS or now - began > LONGEST_SECONDS:
                self.trouble = "it does not answer in time"
                threading.Thread(target=self._counting.shutdown, daemon=True).start()
                return


def within(seconds: float, work: Callable[[], object]) -> bool:
    """Do ``work`` in a thread; False when it was not done in time (it is then left alone)."""
    done = threading.Event()

    def call() -> None:
        with suppress(Exception):
            work()
        done.set()

    threading.Thread(target=call, daemon=True).start()
    return done.wait(seconds)


def reachable(endpoint: str) -> bool:
    """Return True if something accepts connections at ``endpoint``. True when that cannot be told."""
    try:
        parts = urlsplit(endpoint)
        host, port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return True
    if not host or (parts.scheme in getproxies() and not proxy_bypass(host)):
        return True
    try:
        socket.create_connection((host, port), timeout=PROBE_SECONDS).close()
    except OSError:
        return False
    return True


class Overheard(logging.Handler):
    """Takes the SDK's warnings off the terminal and remembers the first of them."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.first = ""
        self._logger = logging.getLogger("opentelemetry")
        self._propagate = self._logger.propagate

    def emit(self, record: logging.LogRecord) -> None:
        """Remember the message."""
        if not self.first:
            self.first = record.getMessage()

    def begin(self) -> None:
        """Listen."""
        self._logger.addHandler(self)
        self._logger.propagate = False

    def end(self) -> None:
        """Leave the logger as it was."""
        self._logger.removeHandler(self)
        self._logger.propagate = self._propagate
