"""The queue on a real PostgreSQL: the promises of every dispatcher, and what only this one has."""

from __future__ import annotations

import psycopg
import pytest

from weaver._dispatch.port import Job
from weaver._journal.port import Entry
from weaver._models.layers.limiter import Share
from weaver._testing.dispatchers import DispatcherChecks
from weaver_postgres.database import Database
from weaver_postgres.dispatcher import PostgresDispatcher

pytestmark = [pytest.mark.anyio, pytest.mark.heavy]


class TestPostgres(DispatcherChecks):
    @pytest.fixture
    def reopen(self, url):
        return lambda seconds: PostgresDispatcher(Database(url), lease_seconds=seconds)


@pytest.fixture
def dispatcher(journal):
    return PostgresDispatcher(journal.database, lease_seconds=0.5)


async def test_a_run_that_had_ended_is_not_taken_over(dispatcher, journal):
    await dispatcher.submit([Job("r")])
    await dispatcher.claim("w", 1)
    epoch = (await journal.open("r")).epoch
    assert epoch == 1
    await journal.finish("r", epoch, "complete", {"answer": "yes"})
    await dispatcher.leave("w")
    assert not await dispatcher.claim("v", 1)
    assert (await journal.head("r")).status == "complete"


async def test_a_run_that_kills_its_workers_fails(dispatcher, journal, url):
    await dispatcher.submit([Job("r")])
    await journal.head("r")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE weaver.jobs SET deaths = 9")
        await dispatcher.claim("w", 1)
        connection.execute("SELECT weaver.return_jobs(array['r'], array['w'], true)")
    assert not await dispatcher.claim("v", 1)
    assert (await journal.head("r")).status == "failed"


async def test_budgets_hold_for_all_workers(dispatcher, journal, url):
    await dispatcher.submit([Job(f"a{i}", submitter="a", max_cost=0.4) for i in range(5)])
    await dispatcher.submit([Job("b", submitter="b")])
    await journal.head("a0")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("INSERT INTO weaver.budgets VALUES ('a', 1.0, 'day', 0.5)")
    claims = [*await dispatcher.claim("w", 10), *await dispatcher.claim("v", 10)]
    assert sorted(c.job.run_id for c in claims) == ["a0", "a1", "b"]
    assert [c.job.max_cost for c in claims if c.job.submitter == "a"] == [0.4, 0.4]
    epoch = (await journal.open("a0")).epoch
    usage = {"cost_usd": 0.1}
    await journal.append("a0", epoch, (Entry("s/call/0", "started", "", "f", {"cost_usd": 0.3}),))
    await journal.append(
        "a0", epoch, (Entry("s/call/0", "ok", "", "f", usage), Entry("x", "started", usage=usage))
    )
    first = next(c for c in claims if c.job.run_id == "a0")
    await dispatcher.finish("w", first)
    assert [c.job.run_id for c in await dispatcher.claim("w", 10)] == ["a2"]
    with psycopg.connect(url, autocommit=True) as connection:
        (cost,) = connection.execute("SELECT cost FROM weaver.spending WHERE run_id = 'a0'").fetchone()
    assert cost == pytest.approx(0.2)


async def test_an_ended_run_is_worked_on_again(dispatcher, journal):
    await dispatcher.submit([Job("r")])
    assert await dispatcher.again("r") is False
    (claim,) = await dispatcher.claim("w", 1)
    await dispatcher.finish("w", claim)
    assert await dispatcher.again("r") is True
    assert (await journal.head("r")).status == "queued"
    assert [c.number for c in await dispatcher.claim("w", 1)] == [2]


async def test_shares_of_an_endpoint_add_up_to_its_limit(dispatcher, journal):
    await dispatcher.shared.set_endpoint("http://e/v1", Share(7, 60.0))
    shares = {}
    for name in ("a", "b", "c"):
        await dispatcher.heartbeat(name, ())
        ((_, calls, _, tokens),) = await shares_of(journal, name)
        shares[name] = calls
        assert tokens is None
    assert shares == {"a": 7, "b": 0, "c": 0}  # who has just come waits until the others have made room
    query = "UPDATE weaver.workers SET started = started - interval '1 minute'"
    await journal.database.rows(query)
    rows = [(await shares_of(journal, name))[0] for name in ("a", "b", "c")]
    assert [row[1] for row in rows] == [3, 2, 2]
    assert [row[2] for row in rows] == [20.0, 20.0, 20.0]
    await dispatcher.shared.set_endpoint("http://e/v1", Share())
    assert await shares_of(journal, "a") == []


async def shares_of(journal, name):
    return await journal.database.rows("SELECT * FROM weaver.shares(%s)", [name])
