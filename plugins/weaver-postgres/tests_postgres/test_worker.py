"""Workers on a real PostgreSQL, with a real model server: runs end once, whatever happens to a worker."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
import pytest
from psycopg import AsyncConnection

from weaver._dispatch.port import Job
from weaver._journal.port import Entry
from weaver._testing.server import Server
from weaver._workers.running import Runs
from weaver._workers.submission import Submission
from weaver._workers.worker import Worker
from weaver.testing import Scripted
from weaver_postgres.dispatcher import PostgresDispatcher
from weaver_postgres.journal import PostgresJournal

pytestmark = [pytest.mark.anyio, pytest.mark.heavy]
LEASE = 1.5
SLOW = Scripted("42 and", each=3_600.0)
"""An answer that does not come while a test lasts."""


@pytest.fixture
def dispatcher(journal):
    return PostgresDispatcher(journal.database, lease_seconds=LEASE)


def job(
    server: Server, run_id: str, text: str = "6 times 7?", *, deadline: float | None = None, **options
) -> Job:
    settings = {"model": "scripted", "base_url": server.url, "strategy": "sequential"}
    if deadline is not None:
        settings["deadline"] = deadline
    return Job(run_id, Submission(text, settings=settings).about(), **options)


@asynccontextmanager
async def working(url: str, **options):
    """A worker with connections of its own, as on another machine; drained at the end."""
    journal = PostgresJournal(url)
    runs = Runs(journal)
    worker = Worker(PostgresDispatcher(journal.database, lease_seconds=LEASE), journal, runs, **options)
    serving = asyncio.ensure_future(worker.serve(drain_seconds=5))
    try:
        yield worker
    finally:
        worker.drain()
        await serving
        await runs.aclose()
        await journal.aclose()


async def until(journal, run_id: str, *states: str):
    """The head of the run, once its status is one of ``states``."""
    with anyio.fail_after(30):
        while (head := await journal.head(run_id)) is None or head.status not in states:
            await anyio.sleep(0.02)
        return head


async def until_asked(server: Server, number: int = 1) -> None:
    with anyio.fail_after(30):
        while len(server.requests) < number:
            await anyio.sleep(0.01)


async def test_two_workers_share_the_runs(journal, dispatcher, url):
    async with Server("42") as server:
        await dispatcher.submit([job(server, f"r{i}") for i in range(20)])
        async with working(url, concurrency=3), working(url, concurrency=3):
            heads = [await until(journal, f"r{i}", "complete", "failed") for i in range(20)]
        assert {head.status for head in heads} == {"complete"}
        assert {head.result["answer"] for head in heads} == {"42"}
        assert len(server.requests) == 20


async def test_cancelling_closes_the_connection(journal, dispatcher, url):
    async with Server(SLOW) as server:
        await dispatcher.submit([job(server, "r")])
        async with working(url) as worker:
            await until_asked(server)
            assert await dispatcher.cancel("r") is True
            with anyio.fail_after(5):
                while server.in_flight or worker.running:
                    await anyio.sleep(0.01)
        assert (await journal.head("r")).status == "cancelled"


async def test_a_drained_worker_gives_its_runs_back(journal, dispatcher, url):
    async with Server([replace(SLOW, times=1), "42"]) as server:
        await dispatcher.submit([job(server, "r"), job(server, "s")])
        async with working(url, concurrency=1) as first:
            await until_asked(server)
            first.stop()
            async with working(url):
                heads = [await until(journal, name, "complete", "failed") for name in ("r", "s")]
        assert [head.result["answer"] for head in heads] == ["42", "42"]
        assert len(server.requests) == 3  # the one that was cut, and one for each run


async def test_a_run_that_cannot_begin_has_failed(journal, dispatcher, url):
    async with Server("42") as server:
        broken = Submission("q", settings={"strategy": "nonsense", "base_url": server.url}).about()
        await dispatcher.submit([Job("r", broken), Job("old", {"question": "q"}), job(server, "s")])
        async with working(url):
            heads = {name: await until(journal, name, "complete", "failed") for name in ("r", "old", "s")}
        assert heads["s"].status == "complete"
        assert "nonsense" in heads["r"].result["error"]["message"]
        assert "was not submitted" in heads["old"].result["error"]["message"]


async def test_a_workflow_travels_with_its_files(journal, dispatcher, url, tmp_path):
    from click.testing import CliRunner

    from weaver_postgres.commands.runs import submit

    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "used.yaml").write_text(
        "version: weaver/v1\nname: used\ninputs: {topic: string}\n"
        "steps:\n  say: {task: 'About ${{ inputs.topic }}.'}\noutputs: {text: '${{ steps.say.output }}'}\n"
    )
    flow = tmp_path / "flow.yaml"
    flow.write_text(
        "version: weaver/v1\nname: flow\ninputs: {topic: string}\n"
        "steps:\n  part: {uses: ./part/used.yaml, with: {topic: '${{ inputs.topic }}'}}\n"
        "outputs: {all: '${{ steps.part.output }}'}\n"
    )
    async with Server("rain falls") as server:
        arguments = [
            str(flow),
            "-i",
            "topic=rain",
            "--journal",
            url,
            "--base-url",
            server.url,
            "--run-id",
            "r",
        ]
        done = await anyio.to_thread.run_sync(
            lambda: CliRunner().invoke(submit, arguments, standalone_mode=False)
        )
        assert done.exception is None, done.output
        for file in (flow, tmp_path / "part" / "used.yaml"):
            file.unlink()
        async with working(url):
            head = await until(journal, "r", "complete", "failed")
        assert head.status == "complete", head.result
        assert "rain falls" in str(head.result["output"])
        assert "About rain." in str(server.requests[0])


async def test_a_lost_database_stops_nothing(server, journal, dispatcher, url):
    async with Server(Scripted("42 " * 20, each=0.05)) as model:
        await dispatcher.submit([job(model, f"r{i}") for i in range(6)])
        async with working(url, concurrency=6):
            await until_asked(model, 6)
            server.stop("immediate")
            await anyio.sleep(0.3)
            server.start()
            heads = [await until(journal, f"r{i}", "complete", "failed") for i in range(6)]
        assert {head.status for head in heads} == {"complete"}
        assert len(model.requests) == 6


@pytest.mark.parametrize("deadline", [None, 2.5])
async def test_a_database_that_is_slow_at_the_end_loses_no_run(journal, dispatcher, url, deadline):
    """Somebody keeps the run's row locked; with a deadline the run is given back, and ended by reading."""
    async with Server(Scripted("42", each=0.1)) as model, await AsyncConnection.connect(url) as other:
        await dispatcher.submit([job(model, "r", deadline=deadline)])
        async with working(url):
            await until_asked(model)
            await anyio.sleep(0.4)  # its entries are written, and then its end waits
            await other.execute("SELECT FROM weaver.runs WHERE run_id = 'r' FOR UPDATE")
            await anyio.sleep(4.0)
            await other.rollback()
            head = await until(journal, "r", "complete", "failed")
            with anyio.fail_after(10):
                while (await journal.database.rows("SELECT state FROM weaver.jobs"))[0][0] != "done":
                    await anyio.sleep(0.02)
        assert (head.status, head.result["answer"]) == ("complete", "42")
        assert len(model.requests) == 1


async def test_schedules_submit_once(journal, dispatcher):
    first, second = dispatcher.schedules, PostgresDispatcher(journal.database).schedules
    await first.put("nightly", "* * * * *", "UTC", Job("", {"question": "q"}, submitter="me"))
    await journal.database.rows("UPDATE weaver.schedules SET next = clock_timestamp() - interval '5 minutes'")
    await asyncio.gather(first.submit_due(), second.submit_due(), first.submit_due())
    (claim,) = await dispatcher.claim("w", 10)
    assert claim.job.run_id.startswith("nightly-")
    assert claim.job.submitter == "me"
    assert [row.name for row in await first.all()] == ["nightly"]
    assert await first.remove("nightly") is True
    assert await first.remove("nightly") is False


async def test_a_run_that_cannot_go_on_fails_after_ten_tries(journal, dispatcher, url):
    """Its journal has another request than it asks now, so each worker gives it back; but not for ever."""
    async with Server("42") as server:
        await dispatcher.submit([job(server, "r")])
        epoch = (await journal.open("r")).epoch
        await journal.append("r", epoch, (Entry("call/0", "ok", {"text": "x"}, "another"),))
        async with working(url):
            head = await until(journal, "r", "complete", "failed")
        assert head.status == "failed"
        assert not server.requests
        rows = await journal.database.rows("SELECT claim, deaths FROM weaver.jobs")
        assert rows[0][0] == 10
