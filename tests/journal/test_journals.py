"""Each journal of ours keeps the promises, and a file that cannot be used is a clear error."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat

import pytest

from weaver._journal import schema
from weaver._journal.memory import MemoryJournal
from weaver._journal.port import Entry
from weaver._journal.retention import Retention
from weaver._journal.sqlite import SQLiteJournal
from weaver._testing.journals import JournalChecks
from weaver.errors import JournalError

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


class TestMemory(JournalChecks):
    @pytest.fixture
    def reopen(self):
        journal = MemoryJournal()
        return lambda: journal


class TestSQLite(JournalChecks):
    @pytest.fixture
    def reopen(self, tmp_path):
        return lambda: SQLiteJournal(tmp_path / "folder" / "journal.sqlite")


@pytest.fixture
async def path(tmp_path):
    """A journal with one run of 40 entries, closed."""
    path = tmp_path / "journal.sqlite"
    journal = SQLiteJournal(path)
    epoch = (await journal.open("r", about={"question": "q"})).epoch
    for i in range(40):
        await journal.append("r", epoch, (Entry(f"s{i}", "ok", {"text": f"{i} " * 600}),))
    await journal.aclose()
    return path


async def refusal(path, **options) -> str:
    """The message of the error that writing to the journal gives."""
    journal = SQLiteJournal(path, **options)
    try:
        with pytest.raises(JournalError) as caught:
            await journal.append("r", 1, (Entry("new", "ok", "x" * 5_000),))
    finally:
        await journal.aclose()
    return str(caught.value)


async def test_only_its_owner_may_read_it(path):
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_file_of_something_else_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("my notes " * 200)
    assert "is damaged, or is no journal" in await refusal(path)
    assert path.read_text().startswith("my notes")
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE mine (x)")
    db.close()
    assert "of another program" in await refusal(other)


async def test_a_newer_format_is_refused(path):
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    assert "newer weaver (format 99)" in await refusal(path)


async def test_a_damaged_file_is_a_clear_error(path):
    data = bytearray(path.read_bytes())
    data[4096 : len(data)] = os.urandom(len(data) - 4096)
    path.write_bytes(data)
    assert "is damaged" in await refusal(path)


async def test_a_truncated_file_is_a_clear_error(path):
    path.write_bytes(path.read_bytes()[:6_000])
    assert "is damaged" in await refusal(path)


async def test_a_locked_file_is_a_clear_error_and_nothing_is_lost(path):
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert "locked by another process" in await refusal(path, busy_seconds=0.05)
    other.execute("ROLLBACK")
    other.close()
    await whole(path)


async def test_a_full_disk_is_a_clear_error_and_nothing_is_lost(path):
    journal = SQLiteJournal(path)
    full = await journal._writer.do(lambda db: db.execute("PRAGMA page_count").fetchone()[0], writes=False)
    await journal._writer.do(
        lambda db: db.execute(f"PRAGMA max_page_count = {full}").fetchall(), writes=False
    )
    entries = [Entry(f"new{i}", "ok", os.urandom(4_000).hex()) for i in range(100)]
    with pytest.raises(JournalError, match=r"the disk is full\. Everything recorded before is kept\."):
        await journal.append("r", 1, entries)
    assert len(await journal.entries("r")) >= 40
    await journal.aclose()
    await whole(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
async def test_a_read_only_file_is_a_clear_error(path):
    path.chmod(0o400)
    assert "read-only" in await refusal(path)


async def test_a_folder_in_its_place_is_a_clear_error(tmp_path):
    assert "cannot be" in await refusal(tmp_path)


@pytest.mark.parametrize("moves", [False, True])
async def test_a_journal_begins_anew_when_its_file_is_gone(tmp_path, moves):
    path = tmp_path / "folder" / "journal.sqlite"
    journal = await filled(path, runs=1)
    if moves:
        path.parent.rename(tmp_path / "moved")
    else:
        shutil.rmtree(path.parent)
    await journal.open("later")
    assert [head.run_id for head in await journal.heads()] == ["later"]
    other = SQLiteJournal(path)
    assert [head.run_id for head in await other.heads()] == ["later"]
    await other.aclose()
    await journal.aclose()


async def whole(path) -> None:
    """All that was acknowledged is still there."""
    journal = SQLiteJournal(path)
    entries = await journal.entries("r")
    assert [e.key for e in entries[:40]] == [f"s{i}" for i in range(40)]
    assert all(e.value["text"].startswith(f"{i} ") for i, e in enumerate(entries[:40]))
    await journal.aclose()


async def filled(path, keep=None, runs=6) -> SQLiteJournal:
    """A journal in which so many runs of 100 kB each have ended; every third one has failed."""
    journal = SQLiteJournal(path, keep=keep)
    for number in range(runs):
        epoch = (await journal.open(f"r{number}")).epoch
        await journal.append(f"r{number}", epoch, (Entry("a", "ok", os.urandom(100_000).hex()),))
        await journal.finish(f"r{number}", epoch, "complete" if number % 3 else "failed")
    return journal


@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        (None, {"r0", "r1", "r2", "r3", "r4", "r5"}),
        (Retention(runs=2), {"r0", "r3", "r4", "r5"}),
        (Retention(megabytes=0.35), {"r0", "r3"}),
        (Retention(megabytes=10, days=1, runs=9), {"r0", "r1", "r2", "r3", "r4", "r5"}),
        (Retention(unfinished_days=1e-9), {"r1", "r2", "r4", "r5"}),
    ],
)
async def test_whenever_a_run_ends_older_ones_are_forgotten(tmp_path, keep, kept):
    journal = await filled(tmp_path / "journal.sqlite", keep)
    assert {head.run_id for head in await journal.heads()} - {"r3"} == kept - {"r3"}
    assert await journal.entries("r5") or "r5" not in kept
    await journal.aclose()


async def test_room_of_forgotten_runs_is_used_again(tmp_path):
    path = tmp_path / "journal.sqlite"
    journal = await filled(path, Retention(runs=3), runs=60)
    await journal.aclose()
    complete_and_failed = 3 + 20
    assert path.stat().st_size < (complete_and_failed + 5) * 150_000


async def test_a_file_of_the_first_format_is_brought_to_this_one(tmp_path):
    path = tmp_path / "journal.sqlite"
    db = sqlite3.connect(path, isolation_level=None)
    for statement in filter(str.strip, schema._MIGRATIONS[0].split(";")):
        db.execute(statement)
    db.execute("INSERT INTO runs VALUES ('r', 'running', 1, 'host:1', 1.0, 1.0, '{}', NULL, 1)")
    db.execute("INSERT INTO entries VALUES ('r', 1, 'a', 'ok', 1, '', '\"kept\"', NULL, NULL, 1.0)")
    db.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    db.execute("PRAGMA user_version = 1")
    db.close()
    journal = SQLiteJournal(path)
    opened = await journal.open("r")
    assert [entry.value for entry in opened.entries] == ["kept"]
    await journal.publish("r", opened.epoch, [{"event": "E"}])
    assert list(await journal.events("r")) == [(1, {"event": "E"})]
    await journal.aclose()
