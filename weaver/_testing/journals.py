"""Checks for journals, ours and users'.

Subclass `JournalChecks` in a test module and give it a fixture; pytest with anyio's plugin runs the rest::

    class TestMine(JournalChecks):
        @pytest.fixture
        def reopen(self, tmp_path):
            return lambda: MyJournal(tmp_path / "journal")
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import anyio

from weaver._environment.processes import owner
from weaver._journal.port import Entry, Journal, Status
from weaver._journal.retention import Retention
from weaver.errors import RunTakenOverError

if TYPE_CHECKING:
    import pytest

Reopen = Callable[[], Journal]
"""Opens the same journal once more, as another process would."""


class JournalChecks:
    """The promises of `weaver.options.Journal`. ``reopen`` is a fixture, see `Reopen`."""

    async def test_entries_come_back_in_order(self, reopen: Reopen) -> None:
        """Entries are complete and in order for whoever opens the journal next."""
        journal = reopen()
        opened = await journal.open("r", owner="host:1", about={"question": "q"})
        assert (list(opened.entries), opened.before) == ([], None)
        large = {"text": "long ü \ud800 " * 5_000, "list": [1, None, True, 0.5]}
        usage = {"calls": 1, "input_tokens": 3}
        first = Entry("s1/call/0", "started", "asked", "f1", usage)
        await journal.append("r", opened.epoch, (first,))
        await journal.append(
            "r", opened.epoch, (Entry("s1/call/0", "ok", large, "f1"), Entry("x", "verdict"))
        )
        await journal.aclose()
        again = reopen()
        entries = list((await again.open("r", owner="host:2")).entries)
        assert [(e.key, e.kind, e.fingerprint) for e in entries] == [
            ("s1/call/0", "started", "f1"),
            ("s1/call/0", "ok", "f1"),
            ("x", "verdict", ""),
        ]
        assert (entries[0].usage, entries[1].value, entries[2].value) == (usage, large, None)
        assert [e.seq for e in entries] == [1, 2, 3]
        assert [e.seq for e in await again.entries("r", after=2)] == [3]
        assert all(e.epoch == opened.epoch and e.at > 0 for e in entries)
        await again.aclose()

    async def test_the_first_writer_wins(self, reopen: Reopen) -> None:
        """An end or a decision that is recorded is not replaced; another fingerprint is another step."""
        journal = reopen()
        epoch = (await journal.open("r")).epoch
        for value in ("first", "second"):
            await journal.append("r", epoch, (Entry("a", "ok", value, "f"), Entry("b", "verdict", value)))
        await journal.append("r", epoch, (Entry("a", "ok", "changed", "g"), Entry("a", "error", "e", "f")))
        entries = await journal.entries("r")
        assert [(e.key, e.value) for e in entries] == [
            ("a", "first"), ("b", "first"), ("a", "changed"), ("a", "e"),
        ]  # fmt: skip
        await journal.aclose()

    async def test_an_earlier_owner_is_fenced(self, reopen: Reopen) -> None:
        """An owner that lost its run can neither append to it nor finish it."""
        first_journal, second_journal = reopen(), reopen()
        first = await first_journal.open("r", owner="host:1")
        await first_journal.append("r", first.epoch, (Entry("a", "ok", 1),))
        second = await second_journal.open("r", owner="host:2")
        assert second.epoch > first.epoch
        assert [e.key for e in second.entries] == ["a"]
        for attempt in (
            first_journal.append("r", first.epoch, (Entry("b", "ok", 2),)),
            first_journal.finish("r", first.epoch, "complete"),
        ):
            assert await _is_taken_over(attempt)
        await second_journal.append("r", second.epoch, (Entry("b", "ok", 3),))
        assert [e.value for e in await first_journal.entries("r")] == [1, 3]
        await first_journal.aclose()
        await second_journal.aclose()

    async def test_two_owners_at_once(self, reopen: Reopen) -> None:
        """Only the later of two owners records anything, and the other one learns that it lost."""
        first_journal, second_journal = reopen(), reopen()
        first, second = await first_journal.open("r"), await second_journal.open("r")

        async def work(journal: Journal, epoch: int, who: str) -> int:
            written = 0
            for i in range(20):
                if await _is_taken_over(journal.append("r", epoch, (Entry(f"s{i}", "ok", who),))):
                    break
                written += 1
            return written

        counts = await asyncio.gather(
            work(first_journal, first.epoch, "one"), work(second_journal, second.epoch, "two")
        )
        entries = await first_journal.entries("r")
        assert list(counts) == [0, 20]
        assert {e.value for e in entries} == {"two"}
        assert len({e.key for e in entries}) == len(entries) == 20
        await first_journal.aclose()
        await second_journal.aclose()

    async def test_many_at_once(self, reopen: Reopen) -> None:
        """Entries of many threads of a run are all kept, each once, with distinct numbers."""
        journal = reopen()
        epoch = (await journal.open("r")).epoch
        await asyncio.gather(
            *(journal.append("r", epoch, (Entry(f"s{i}/call/0", "ok", i),)) for i in range(500))
        )
        entries = await journal.entries("r")
        assert sorted(e.value for e in entries) == list(range(500))
        assert [e.seq for e in entries] == list(range(1, 501))
        await journal.aclose()

    async def test_a_stranger_may_add_a_decision(self, reopen: Reopen) -> None:
        """Epoch 0 is for people: they answer questions of a run that somebody else owns."""
        first_journal, second_journal = reopen(), reopen()
        epoch = (await first_journal.open("r")).epoch
        await second_journal.append("r", 0, (Entry("approval/x", "verdict", {"approved": True}),))
        assert [(e.key, e.epoch) for e in await first_journal.entries("r")] == [("approval/x", 0)]
        await first_journal.append("r", epoch, (Entry("a", "ok"),))
        await first_journal.aclose()
        await second_journal.aclose()

    async def test_events_are_numbered_without_gaps(self, reopen: Reopen) -> None:
        """Numbers go on over batches and owners; a reader may begin anywhere; a fenced owner adds nothing."""
        journal, reader = reopen(), reopen()
        first = await journal.open("r")
        await journal.publish(
            "r", first.epoch, [{"event": "E", "text": f"{i} ü\n\ud800\x00"} for i in range(3)]
        )
        await journal.publish("r", first.epoch, [])
        await journal.append("r", first.epoch, (Entry("a", "ok"),))
        second = await reader.open("r")
        assert await _is_taken_over(journal.publish("r", first.epoch, [{"event": "lost"}]))
        await reader.publish(
            "r", second.epoch, [{"event": "E", "text": f"{i} ü\n\ud800\x00"} for i in (3, 4)]
        )
        for after in range(7):
            for limit in (None, 1, 2, 9):
                numbered = await journal.events("r", after=after, limit=limit)
                last = 5 if limit is None else min(5, after + limit)
                assert [number for number, _ in numbered] == list(range(after + 1, last + 1))
                assert all(event["text"] == f"{number - 1} ü\n\ud800\x00" for number, event in numbered)
        assert await journal.events("other") == []
        await journal.remove("r")
        assert list(await reader.events("r")) == []
        await journal.aclose()
        await reader.aclose()

    async def test_a_reader_beside_the_writer_gets_every_event_once(self, reopen: Reopen) -> None:
        """A reader that continues after the last number misses nothing, and gets nothing twice."""
        journal, reader = reopen(), reopen()
        epoch = (await journal.open("r")).epoch
        received: list[tuple[int, object]] = []

        async def write() -> None:
            for i in range(0, 300, 3):
                await journal.publish("r", epoch, [{"n": i + k} for k in range(3)])

        async def read() -> None:
            while len(received) < 300:
                received.extend(
                    (n, e["n"]) for n, e in await reader.events("r", after=len(received), limit=7)
                )
                await asyncio.sleep(0)

        await asyncio.gather(write(), read())
        assert received == [(i + 1, i) for i in range(300)]
        await journal.aclose()
        await reader.aclose()

    async def test_a_clock_that_is_wrong_changes_nothing(
        self, reopen: Reopen, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Owners and order do not depend on clocks: one whose clock is behind takes over all the same."""
        journal, late = reopen(), reopen()
        first = await journal.open("r", owner="host:1")
        await journal.append("r", first.epoch, (Entry("a", "ok"),))
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() - 3_600)
        second = await late.open("r", owner="host:2")
        assert second.epoch > first.epoch
        await late.append("r", second.epoch, (Entry("b", "ok"),))
        assert await _is_taken_over(journal.append("r", first.epoch, (Entry("c", "ok"),)))
        assert [(e.key, e.seq) for e in await journal.entries("r")] == [("a", 1), ("b", 2)]
        await journal.aclose()
        await late.aclose()

    async def test_runs_are_listed_cancelled_and_removed(self, reopen: Reopen) -> None:
        """Heads say what a run is and how it ended; cancelling takes it away; removing forgets only it."""
        journal = reopen()
        shared = Entry("a", "ok", {"text": "the same " * 1_000})
        for name in ("r1", "r2", "r3"):
            opened = await journal.open(name, owner="host:1", about={"question": name})
            await journal.append(name, opened.epoch, (shared,))
        await journal.finish("r1", 1, "complete", {"answer": "yes"})
        head = await journal.head("r1")
        assert head is not None
        assert (head.status, head.result, head.about) == ("complete", {"answer": "yes"}, {"question": "r1"})
        await journal.cancel("r2")
        assert await _is_taken_over(journal.append("r2", 1, (shared,)))
        assert [h.run_id for h in await journal.heads(status="cancelled")] == ["r2"]
        assert {h.run_id for h in await journal.heads()} == {"r1", "r2", "r3"}
        assert len(await journal.heads(limit=2)) == 2
        await journal.remove("r1")
        assert await journal.head("r1") is None
        entries: Sequence[Entry] = await journal.entries("r3")
        assert entries[0].value == shared.value
        assert (await journal.open("r1")).before is None
        await journal.aclose()

    async def test_old_runs_are_forgotten(self, reopen: Reopen) -> None:
        """Complete runs by age and number; runs that could be resumed only where that is asked for."""
        journal = reopen()
        runs: list[tuple[str, Status]] = [
            ("old", "complete"), ("failed", "failed"), ("partial", "partial"), ("newer", "complete"),
            ("newest", "complete"), ("queued", "queued"),
        ]  # fmt: skip
        await journal.open("crashed", owner="nowhere:1")
        for name, status in runs:
            opened = await journal.open(name, owner="nowhere:1")
            await journal.append(name, opened.epoch, (Entry("a", "ok", "x" * 2_000),))
            await journal.finish(name, opened.epoch, status)
        await journal.open("working", owner=owner())
        with anyio.fail_after(10):  # where others see by a connection that this process lives
            while (head := await journal.head("working")) is None or head.alive is False:  # noqa: ASYNC110
                await anyio.sleep(0.01)

        async def kept() -> set[str]:
            return {head.run_id for head in await journal.heads()}

        every = await kept()
        assert await journal.prune(Retention()) == 0
        assert await journal.prune(Retention(days=1, runs=3, unfinished_days=1)) == 0
        assert await kept() == every
        assert await journal.prune(Retention(runs=2)) == 1
        assert await kept() == every - {"old"}
        assert [entry.value for entry in await journal.entries("newest")] == ["x" * 2_000]
        assert await journal.prune(Retention(days=0)) == 2
        assert await kept() == every - {"old", "newer", "newest"}
        assert await journal.prune(Retention(unfinished_days=0)) == 3
        assert await kept() == {"working", "queued"}
        await journal.aclose()


async def _is_taken_over(attempt: object) -> bool:
    try:
        await attempt  # type: ignore[misc]
    except RunTakenOverError:
        return True
    return False
