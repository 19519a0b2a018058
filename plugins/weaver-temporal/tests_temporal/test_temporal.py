"""Runs on a real Temporal server, with a real model server and real worker processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from contextlib import asynccontextmanager
from itertools import count

import anyio
import pytest
from temporalio.client import WorkflowExecutionStatus

from weaver._journal.port import Entry
from weaver._journal.sqlite import SQLiteJournal
from weaver._testing.server import Server
from weaver._workers.submission import Submission
from weaver.errors import ConfigurationError
from weaver.testing import Scripted
from weaver_temporal.placing import Cluster, cancel, serve, submit

pytestmark = [pytest.mark.anyio, pytest.mark.heavy, pytest.mark.timeout(240)]
_queues = count()
SLOW = Scripted("42 and", each=3_600.0)


@pytest.fixture
async def journal(tmp_path):
    journal = SQLiteJournal(tmp_path / "journal.sqlite")
    yield journal
    await journal.aclose()


@pytest.fixture
def cluster(address):
    return Cluster(address, queue=f"q{next(_queues)}", lease_seconds=3.0)


def about(server: Server, text: str, strategy: str = "sequential"):
    settings = {"model": "scripted", "base_url": server.url, "strategy": strategy}
    return Submission(text, settings=settings).about()


@asynccontextmanager
async def working(cluster: Cluster, journal, **options):
    stop = asyncio.Event()
    client = await cluster.client()
    serving = asyncio.ensure_future(serve(client, cluster, journal, concurrency=8, stop=stop, **options))
    try:
        yield stop
    finally:
        stop.set()
        await serving


async def until(journal, run_id: str, *states: str):
    with anyio.fail_after(90):
        while (head := await journal.head(run_id)) is None or head.status not in states:
            await anyio.sleep(0.05)
        return head


async def test_a_run_is_placed_and_its_payload_is_its_id(cluster, journal):
    text = "A long question. " * 200_000  # more than Temporal takes as a payload
    async with Server("42") as server:
        client = await cluster.client()
        for _ in range(2):
            await submit(client, cluster, journal, "long", about(server, text))
        assert (await journal.head("long")).status == "queued"
        async with working(cluster, journal):
            head = await until(journal, "long", "complete", "failed")
            assert await client.get_workflow_handle("long").result() == "complete"
        assert head.result["answer"] == "42"
        assert len(server.requests) == 1


async def test_cancelling_reaches_the_run(cluster, journal):
    async with Server(SLOW) as server:
        client = await cluster.client()
        await submit(client, cluster, journal, "cut", about(server, "q"))
        async with working(cluster, journal):
            with anyio.fail_after(30):
                while not server.in_flight:
                    await anyio.sleep(0.02)
            assert await cancel(client, journal, "cut") is True
            with anyio.fail_after(10):
                while server.in_flight:
                    await anyio.sleep(0.02)
            with anyio.fail_after(30):
                while True:
                    status = (await client.get_workflow_handle("cut").describe()).status
                    if status != WorkflowExecutionStatus.RUNNING:
                        break
                    await anyio.sleep(0.1)
        assert (await journal.head("cut")).status == "cancelled"
        assert await cancel(client, journal, "cut") is False


async def test_a_run_that_fails_is_not_tried_again_by_temporal(cluster, journal):
    async with Server("42") as server:
        client = await cluster.client()
        await submit(client, cluster, journal, "broken", about(server, "q", strategy="nonsense"))
        async with working(cluster, journal):
            head = await until(journal, "broken", "failed")
            assert await client.get_workflow_handle("broken").result() == "failed"
        assert "nonsense" in head.result["error"]["message"]


async def test_a_worker_that_ends_hands_its_runs_on(cluster, journal):
    async with Server([Scripted("42 and", each=3_600.0, times=1), "42"]) as server:
        client = await cluster.client()
        await submit(client, cluster, journal, "handed", about(server, "q"))
        async with working(cluster, journal, drain_seconds=0.2) as stop:
            with anyio.fail_after(30):
                while not server.in_flight:
                    await anyio.sleep(0.02)
            stop.set()
        async with working(cluster, journal):
            head = await until(journal, "handed", "complete", "failed")
        assert head.status == "complete"
        assert len(server.requests) == 2


async def test_a_run_that_had_ended_is_only_reported(cluster, journal):
    """The worker died between the run's end and its report to Temporal."""
    async with Server("42") as server:
        client = await cluster.client()
        await submit(client, cluster, journal, "ended", about(server, "q"))
        epoch = (await journal.open("ended")).epoch
        await journal.append("ended", epoch, (Entry("a", "ok"),))
        await journal.finish("ended", epoch, "partial", {"answer": "kept"})
        async with working(cluster, journal):
            assert await client.get_workflow_handle("ended").result() == "partial"
        assert not server.requests


async def test_killed_workers_lose_nothing_and_do_nothing_twice(cluster, journal, tmp_path):
    """Two worker processes, 30 runs of three calls each, one is killed twice and started again."""
    environment = {**os.environ, "WEAVER_HOME": str(tmp_path), "WEAVER_TRACE_STORE": "off"}
    command = [sys.executable, "-m", "weaver", "temporal", "worker", "-c", "8"]
    command += ["--address", cluster.address, "--queue", cluster.queue]

    async def start():
        return await asyncio.create_subprocess_exec(*command, env=environment, cwd=tmp_path)

    names = [f"run-{i:02}" for i in range(30)]
    async with Server(Scripted("The answer is 42.", first=0.8, each=0.02)) as server:
        client = await cluster.client()
        for name in names:
            await submit(
                client, cluster, journal, name, about(server, f"{name}?", "self_consistency:samples=3")
            )
        processes = [await start(), await start()]
        try:
            for asked in (20, 60):
                with anyio.fail_after(90):
                    while len(server.requests) < asked:
                        await anyio.sleep(0.02)
                victim = processes.pop(0)
                victim.send_signal(signal.SIGKILL)
                await victim.wait()
                processes.append(await start())
            heads = [await until(journal, name, "complete", "failed") for name in names]
        finally:
            for process in processes:
                process.terminate()
            await asyncio.gather(*(process.wait() for process in processes))
        assert {head.status for head in heads} == {"complete"}
        for name in names:
            entries = await journal.entries(name)
            ended: set[str] = set()
            for entry in entries:
                assert not (entry.kind == "started" and entry.key in ended), f"{name}: {entry.key} twice"
                ended |= {entry.key} if entry.kind == "ok" else set()
            announced = sum(entry.kind == "started" for entry in entries)
            asked = Counter(name in json.dumps(r.body["messages"]) for r in server.requests)[True]
            assert 3 <= asked <= announced


async def test_no_cluster_is_an_error_for_people():
    with pytest.raises(ConfigurationError, match="TEMPORAL_ADDRESS"):
        await Cluster("127.0.0.1:1").client()
