"""The journal on a real PostgreSQL: the promises, lost connections, announcements, errors for people."""

from __future__ import annotations

import asyncio

import anyio
import anyio.lowlevel
import psycopg
import pytest

from weaver import Weaver
from weaver._journal.port import Entry
from weaver._testing.journals import JournalChecks
from weaver.errors import ConfigurationError, JournalError
from weaver.testing import ScriptedModel
from weaver_postgres.journal import PostgresJournal

pytestmark = [pytest.mark.anyio, pytest.mark.heavy]


class TestPostgres(JournalChecks):
    @pytest.fixture
    def reopen(self, url):
        return lambda: PostgresJournal(url)


async def test_a_run_is_read_from_it(journal):
    model = ScriptedModel("4")
    weaver = Weaver(model, strategy="sequential", journal=journal)
    first = await weaver.run("What is 2 and 2?", run_id="sum")
    again = await weaver.run("What is 2 and 2?", run_id="sum")
    assert (first.answer, again.answer, len(model.requests)) == ("4", "4", 1)


async def test_any_text_is_kept(journal):
    key, run = "s\x00\\n/ü\ud800\n", "ü\\r\x00"
    epoch = (await journal.open(run, owner="ö", about={"q": "\x00\ud800"})).epoch
    await journal.append(run, epoch, (Entry(key, "ok", "\x00\ud800", "f\\"),))
    (entry,) = await journal.entries(run)
    head = await journal.head(run)
    assert (entry.key, entry.value, entry.fingerprint) == (key, "\x00\ud800", "f\\")
    assert (head.run_id, head.owner, head.about) == (run, "ö", {"q": "\x00\ud800"})


async def test_lost_connections_are_made_again(journal, url):
    epoch = (await journal.open("r")).epoch

    async def work() -> None:
        for i in range(200):
            await journal.append("r", epoch, (Entry(f"s{i}", "started", i), Entry(f"s{i}", "ok", i)))

    async def cut() -> None:
        connection = await psycopg.AsyncConnection.connect(url, autocommit=True)
        async with connection:
            for _ in range(5):
                await anyio.sleep(0.1)
                await connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )

    await asyncio.gather(work(), cut())
    entries = await journal.entries("r")
    assert [e.key for e in entries] == [f"s{i}" for i in range(200) for _ in range(2)]


async def test_the_server_restarts(server, journal):
    epoch = (await journal.open("r")).epoch
    await journal.append("r", epoch, (Entry("a", "ok"),))
    for mode in ("fast", "immediate"):
        server.stop(mode)
        writing = asyncio.ensure_future(journal.append("r", epoch, (Entry(mode, "ok"),)))
        await anyio.sleep(0.1)
        server.start()
        await writing
    assert [e.key for e in await journal.entries("r")] == ["a", "fast", "immediate"]


async def test_a_server_that_stays_away_is_an_error(server, url):
    journal = PostgresJournal(url, patience=0.5)
    epoch = (await journal.open("r")).epoch
    server.stop()
    try:
        with pytest.raises(JournalError) as caught:
            await journal.append("r", epoch, (Entry("a", "ok"),))
    finally:
        server.start()
    assert "Everything recorded before is kept" in str(caught.value)
    await journal.append("r", epoch, (Entry("a", "ok"),))
    await journal.aclose()


async def test_a_change_of_owner_is_announced(journal, url):
    epoch = (await journal.open("r")).epoch
    await journal.database.notices().connected(10)
    other = PostgresJournal(url)
    for change in (
        lambda: other.append("r", 0, (Entry("approval/x", "verdict"),)),
        lambda: other.cancel("r"),
        lambda: other.open("r"),
    ):
        waiting = asyncio.ensure_future(journal.changed("r"))
        await anyio.lowlevel.checkpoint()
        with anyio.fail_after(5):
            await change()
            await waiting
    assert (await journal.head("r")).epoch == epoch + 2
    await other.aclose()


async def test_who_follows_hears_of_every_entry(journal, url):
    reader = PostgresJournal(url)
    epoch = (await journal.open("r")).epoch
    await reader.database.notices().connected(10)
    for i in range(3):
        waiting = asyncio.ensure_future(reader.changed("r", follow=True))
        await anyio.sleep(0.2)
        await journal.append("r", epoch, (Entry(f"s{i}", "ok"),))
        with anyio.fail_after(5):
            await waiting
    await reader.aclose()


async def test_loops_have_their_own_connections(journal):
    await journal.open("r")

    async def elsewhere() -> int:
        try:
            return (await journal.open("r")).epoch
        finally:
            await journal.aclose()

    assert await anyio.to_thread.run_sync(lambda: asyncio.run(elsewhere())) == 2
    assert (await journal.open("r")).epoch == 3


async def test_several_make_the_tables_at_once(url):
    journals = [PostgresJournal(url) for _ in range(6)]
    await asyncio.gather(*(j.open(f"r{i}") for i, j in enumerate(journals)))
    assert len(await journals[0].heads()) == 6
    for journal in journals:
        await journal.aclose()


async def test_a_newer_format_is_refused(journal, url):
    await journal.open("r")
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE weaver.version SET number = 99")
    with pytest.raises(JournalError, match="newer weaver-reasoning-postgres"):
        await PostgresJournal(url).open("r")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda url: url.replace("runs_", "none_"), "Check user, password, database"),
        (lambda url: url.rpartition(":")[0] + ":1/x", "can be reached"),
    ],
)
async def test_errors_for_people(url, change, words):
    with pytest.raises(JournalError) as caught:
        await PostgresJournal(change(url), patience=0.3).open("r")
    assert words in str(caught.value)
    assert "postgres@" not in str(caught.value)


def test_a_url_that_is_none():
    with pytest.raises(ConfigurationError) as caught:
        PostgresJournal("postgresql://user:secret@host/db?nonsense=1")
    assert "secret" not in str(caught.value)
