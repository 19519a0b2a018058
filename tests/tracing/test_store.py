"""The local trace store."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from tests.tracing.stories import Story, identity, quorum_story
from weaver._tracing.record import semconv as sc
from weaver._tracing.store.otlp_json import span_from_otlp, span_to_otlp
from weaver._tracing.store.retention import Retention, store_wanted
from weaver._tracing.store.span_record import EventRecord, LinkRecord, SpanRecord
from weaver._tracing.store.sqlite import Store
from weaver.errors import ConfigurationError, TraceStoreError, UnknownNameError

DAY = 86400
T0 = 1_700_000_000


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "deep" / "traces.sqlite")


def run(number: int, *, age_days: float = 0, size: int = 0, trace: str | None = None) -> list[SpanRecord]:
    """A run of two spans that began ``age_days`` before T0."""
    start = round((T0 - age_days * DAY) * 1e9) + number
    trace_id = trace or f"{number:032x}"
    about = {sc.RUN_ID: f"run{number:04}", sc.RUN_STATUS: "complete", sc.SUM_OUTPUT: 7, sc.SUM_COST: 0.5}
    root = SpanRecord(
        trace_id, f"{number:016x}", None, "invoke_workflow s", start, start + 10**9, attributes=about
    )
    # Random bytes, so that compression does not hide the size.
    noise = {"x": os.urandom(size // 2).hex()}
    child = SpanRecord(trace_id, f"{number:015x}c", root.span_id, "chat m", start, start, attributes=noise)
    return [child, root]


def test_a_run_comes_back_as_it_was(store: Store) -> None:
    spans = quorum_story().spans
    store.add(spans[3:], started=spans[:1])
    store.add(spans[:3], [("ab" * 16, identity("acall"), sc.INPUT_MESSAGES, "the whole text ü")])
    row = store.find("r1")

    assert (row.status, row.strategy, row.model) == ("complete", "adaptive", "m")
    assert sorted(store.spans(row), key=lambda s: s.span_id) == sorted(
        [_json(s) for s in spans], key=lambda s: s.span_id
    )
    assert store.texts(row) == {(identity("acall"), sc.INPUT_MESSAGES): "the whole text ü"}


def _json(span: SpanRecord) -> SpanRecord:
    """As JSON gives it back: tuples are lists."""
    return span_from_otlp(json.loads(span_to_otlp(span)))


def test_runs_are_found_by_id_beginning_trace_and_last(store: Store) -> None:
    for number in (1, 2, 30):
        store.add(run(number))

    assert store.find().run_id == "run0030"
    assert store.find("run0002").run_id == "run0002"
    assert store.find("run003").run_id == "run0030"
    assert store.find(f"{1:032x}").run_id == "run0001"
    with pytest.raises(ConfigurationError, match="Several runs begin with 'run000'"):
        store.find("run000")
    with pytest.raises(UnknownNameError, match="no run named 'x%'"):
        store.find("x%")
    assert [row.run_id for row in store.runs(limit=2)] == ["run0030", "run0002"]


def test_an_empty_store_says_so(store: Store) -> None:
    assert store.runs() == []
    with pytest.raises(ConfigurationError, match="No run has been kept"):
        store.find()


def test_a_run_whose_process_died_is_there_with_what_had_ended(store: Store) -> None:
    child, root = run(1)
    store.add([child], started=[root])
    row = store.find("run0001")

    assert (row.status, row.ended_ns) == ("running", None)
    assert [s.span_id for s in store.spans(row)] == [child.span_id]


def test_two_runs_of_one_trace_are_kept_apart(store: Store) -> None:
    store.add([*run(1, trace="aa" * 16), *run(2, trace="aa" * 16)])

    assert {s.span_id for s in store.spans(store.find("run0001"))} == {f"{1:016x}", f"{1:015x}c"}
    store.remove([store.find("run0001")])
    assert len(store.spans(store.find("run0002"))) >= 2


def test_removing_takes_everything(store: Store) -> None:
    store.add(run(1), [(f"{1:032x}", f"{1:016x}", "a", "text")])
    store.add(run(2))
    assert store.remove([store.find("run0001")]) == 1

    with sqlite3.connect(store.path) as db:
        assert db.execute("SELECT count(*) FROM spans").fetchone() == (1,)
        assert db.execute("SELECT count(*) FROM texts").fetchone() == (0,)


@pytest.mark.parametrize(
    ("keep", "left"),
    [
        (Retention(days=10, runs=None, megabytes=None), ["run0002", "run0001"]),
        (Retention(days=None, runs=1, megabytes=None), ["run0002"]),
        (Retention(days=None, runs=None, megabytes=None), ["run0002", "run0001", "run0003"]),
    ],
)
def test_retention_forgets_the_oldest(store: Store, keep: Retention, left: list[str]) -> None:
    for number, age in ((1, 5), (2, 1), (3, 20)):
        store.add(run(number, age_days=age))
    swept = store.gc(keep, now=T0)

    assert [row.run_id for row in store.runs()] == left
    assert swept.runs == 3 - len(left)


def test_retention_by_size_gives_the_space_back(store: Store) -> None:
    for number in range(40):
        store.add(run(number, age_days=40 - number, size=100_000))
    swept = store.gc(Retention(days=None, runs=None, megabytes=1), now=T0)

    assert 0 < len(store.runs(limit=None)) < 40
    assert store.runs()[0].run_id == "run0039"
    assert swept.after < 1_300_000 < swept.before


def test_gc_is_only_done_when_due(store: Store) -> None:
    store.add(run(1, age_days=-10_000))

    assert store.gc_if_due(Retention()) is None
    assert store.gc_if_due(Retention(megabytes=0.000001)) is not None
    assert store.runs() == []


def test_settings_of_retention() -> None:
    environ = {"WEAVER_TRACE_DAYS": "7.5", "WEAVER_TRACE_RUNS": "0", "WEAVER_TRACE_MB": " 64 "}

    assert Retention.from_environment(environ) == Retention(days=7.5, runs=None, megabytes=64)
    with pytest.raises(ConfigurationError, match="WEAVER_TRACE_RUNS must be a number"):
        Retention.from_environment({"WEAVER_TRACE_RUNS": "many"})
    with pytest.raises(ConfigurationError, match="not negative"):
        Retention.from_environment({"WEAVER_TRACE_MB": "-1"})


@pytest.mark.parametrize("value", ["off", "0", "No", "FALSE"])
def test_one_switch_turns_it_off(value: str) -> None:
    assert store_wanted({}) is True
    assert store_wanted({"WEAVER_TRACE_STORE": value}) is False


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_only_its_owner_can_read_it(store: Store) -> None:
    store.add(run(1))

    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("moves", [False, True])
def test_a_store_begins_anew_when_its_file_is_gone(store: Store, tmp_path: Path, moves: bool) -> None:
    store.add(run(1))
    if moves:
        store.path.rename(tmp_path / "moved.sqlite")
    else:
        shutil.rmtree(store.path.parent)
    store.add(run(2))
    assert [row.run_id for row in Store(store.path).runs()] == ["run0002"]


def test_a_file_that_is_no_store_is_named(tmp_path: Path) -> None:
    path = tmp_path / "traces.sqlite"
    path.write_text("this is not a database, and long enough to be read as one" * 20)
    with pytest.raises(TraceStoreError, match="cannot be used") as raised:
        Store(path).runs()

    assert str(path) in raised.value.message
    assert "WEAVER_TRACE_STORE=off" in raised.value.hint


def test_a_store_of_a_newer_weaver_is_left_alone(store: Store) -> None:
    store.add(run(1))
    store.close()
    with sqlite3.connect(store.path) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(TraceStoreError, match="newer weaver"):
        store.runs()


def test_a_store_of_format_2_is_read_and_written_on(store: Store) -> None:
    child, root = run(1)
    old = {
        "trace": root.trace_id, "id": root.span_id, "parent": None, "name": root.name, "kind": "client",
        "start": root.start_ns, "end": root.end_ns, "status": "error", "status_text": "no",
        "attributes": root.attributes, "events": [["e", 3, {"a": 1}]], "links": [["12", "34", {"b": [2]}]],
    }  # fmt: skip
    store.add([child, root])
    store.close()
    with sqlite3.connect(store.path) as db:
        body = zlib.compress(json.dumps([old]).encode())
        db.execute("UPDATE spans SET body = ?", (body,))
        db.execute("PRAGMA user_version = 2")
    db.close()
    store.add([child])

    first, second = store.spans(store.find())
    assert first == replace(
        root, kind="client", status="error", status_text="no", events=[EventRecord("e", 3, {"a": 1})],
        links=[LinkRecord("12", "34", {"b": [2]})],
    )  # fmt: skip
    assert second.span_id == child.span_id
    store.close()
    with sqlite3.connect(store.path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (3,)
    db.close()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.touch()
    with pytest.raises(TraceStoreError):
        Store(blocker / "traces.sqlite").runs()


def test_several_processes_write_at_once(store: Store) -> None:
    script = (
        "import sys; from pathlib import Path; from weaver._tracing.store.span_record import SpanRecord; "
        "from weaver._tracing.store.sqlite import Store; s = Store(Path(sys.argv[1])); b = int(sys.argv[2])\n"
        "for i in range(b, b + 25): s.add([SpanRecord(str(i), str(i), None, 'x', i, i, "
        "attributes={'weaver.run.id': str(i)})])"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", script, str(store.path), str(base)], stderr=subprocess.PIPE)
        for base in (100, 200, 300)
    ]
    errors = [writer.communicate()[1] for writer in writers]

    assert errors == [b"", b"", b""]
    assert len(store.runs(limit=None)) == 75


def test_parents_in_a_circle_do_not_hang(store: Store) -> None:
    story = Story().add("run", sc.INVOKE_WORKFLOW, 0, 1, None, RUN_ID="r1")
    story.thread("x", 0, 1, "y").thread("y", 0, 1, "x")
    store.add(story.spans)
    store.add(run(2, trace="ab" * 16))

    assert [s.span_id for s in store.spans(store.find("r1"))] == [identity("run")]
