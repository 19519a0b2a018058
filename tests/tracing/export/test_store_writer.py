"""The local store's writing thread: few wake-ups, nothing left behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.trace import SpanContext

from weaver._tracing.export import store_writer
from weaver._tracing.export.store_writer import StoreWriter
from weaver._tracing.store.span_record import SpanRecord
from weaver._tracing.store.sqlite import Store


@dataclass
class Ended:
    number: int

    def record(self) -> SpanRecord:
        return SpanRecord("t" * 32, f"{self.number:016x}", None, "span", 1, 2)


@dataclass
class Written(Store):
    """Counts the batches instead of writing them."""

    batches: list[int] = field(default_factory=list)
    spans: list[str] = field(default_factory=list)
    texts: list[Any] = field(default_factory=list)
    has_some: threading.Event = field(default_factory=threading.Event)

    def add(self, spans: Any, texts: Any = (), *, started: Any = ()) -> None:
        self.batches.append(len(spans))
        self.spans += [span.span_id for span in spans]
        self.texts += texts
        self.has_some.set()

    def close(self) -> None:
        pass


@pytest.fixture
def store() -> Written:
    return Written()


@pytest.fixture
def writer(store: Written) -> Iterator[StoreWriter]:
    writer = StoreWriter(store)
    yield writer
    writer.shutdown()


def test_a_thousand_spans_are_one_batch(store: Written, writer: StoreWriter) -> None:
    for number in range(1000):
        writer.end(Ended(number))
    assert writer.flush(10)

    assert sum(store.batches) == 1000
    assert len(store.batches) <= 2  # a second one when the machine took half a second for the loop above


def test_an_item_wakes_the_thread_only_where_that_is_idle(
    store: Written, writer: StoreWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    wakes = []
    monkeypatch.setattr(store_writer, "EVERY", 60.0)
    monkeypatch.setattr(writer, "_begins", _Counted(writer._begins, wakes))
    for number in range(1000):
        writer.end(Ended(number))

    assert len(wakes) <= 1
    assert not store.has_some.is_set()
    assert writer.flush(10)
    assert len(store.spans) == 1000


class _Counted:
    def __init__(self, inner: threading.Event, wakes: list[int]) -> None:
        self.inner, self.wakes = inner, wakes

    def set(self) -> None:
        self.wakes.append(1)
        self.inner.set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def test_spans_are_written_without_a_flush(store: Written, writer: StoreWriter) -> None:
    writer.end(Ended(1))

    assert store.has_some.wait(10)


def test_spans_of_many_threads_are_all_written(store: Written, writer: StoreWriter) -> None:
    def end(first: int) -> None:
        for number in range(first, first + 500):
            writer.end(Ended(number))
            if number % 100 == 0:
                assert writer.flush(10)

    threads = [threading.Thread(target=end, args=(first,)) for first in range(0, 4000, 500)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.shutdown()

    assert sorted(store.spans) == [f"{number:016x}" for number in range(4000)]


def test_what_waits_at_the_shutdown_is_written(store: Written) -> None:
    writer = StoreWriter(store)
    writer.end(Ended(1))
    writer.keep(SpanContext(1, 1, is_remote=False), lambda: {"a": "text", "b": "another"})
    writer.shutdown()

    assert store.spans == [f"{1:016x}"]
    assert [(name, text) for _, _, name, text in store.texts] == [("a", "text"), ("b", "another")]
    assert writer.dropped == 0


def test_a_text_that_cannot_be_made_stops_the_writer_with_a_reason(
    store: Written, caplog: pytest.LogCaptureFixture
) -> None:
    writer = StoreWriter(store)
    writer.keep(SpanContext(1, 1, is_remote=False), lambda: {"a": str(1 // 0)})
    writer.end(Ended(1))
    writer.shutdown()

    assert writer.trouble == "ZeroDivisionError: integer division or modulo by zero"
    assert writer.dropped == 1
    assert "not kept on this machine" in caplog.text


def test_batches_are_bounded(store: Written, writer: StoreWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_writer, "BATCH", 10)
    for number in range(95):
        writer.end(Ended(number))
    assert writer.flush(10)

    assert sum(store.batches) == 95
    assert max(store.batches) <= 10


def test_an_idle_writer_does_nothing(tmp_path: Path) -> None:
    path = tmp_path / "traces.sqlite"
    StoreWriter(Store(path)).shutdown()

    assert not path.exists()
