"""Steps and items that other workers do: the parent gets their outputs, their usage, and keeps its limits."""

from __future__ import annotations

import anyio
import pytest

from weaver._dispatch.port import Job
from weaver._testing.server import Server
from weaver._workers.submission import Submission
from weaver.testing import Scripted

from .test_worker import dispatcher, until, working

pytestmark = [pytest.mark.anyio, pytest.mark.heavy]
__all__ = ["dispatcher"]

FLOW = """\
version: weaver/v1
name: fan
inputs: {topics: {type: array, items: string}}
steps:
  each: {for_each: '${{ inputs.topics }}', as: topic, task: 'About ${{ topic }}.', spread: true}
  whole: {task: 'Sum up: ${{ steps.each.output }}', spread: true}
outputs: {all: '${{ steps.each.output }}', whole: '${{ steps.whole.output }}'}
"""


def parent(server: Server, run_id: str, topics: list[str], **settings) -> Job:
    settings = {"model": "scripted", "base_url": server.url, **settings}
    submission = Submission(
        settings=settings,
        flags=tuple(settings),
        files={"f.yaml": FLOW},
        path="f.yaml",
        inputs={"topics": topics},
    )
    return Job(run_id, submission.about())


async def test_items_are_runs_of_their_own(journal, dispatcher, url):
    async with Server("rain falls") as server:
        await dispatcher.submit([parent(server, "p", [f"t{i}" for i in range(6)])])
        async with working(url, concurrency=1), working(url, concurrency=1):
            head = await until(journal, "p", "complete", "partial", "failed")
        assert head.status == "complete", head.result
        assert head.result["output"] == {"all": ["rain falls"] * 6, "whole": "rain falls"}
        assert head.result["usage"]["calls"] == 7
        assert len(server.requests) == 7
        runs = [h.run_id for h in await journal.heads() if h.about.get("parent") == "p"]
        assert len(runs) == 7
        workers = await journal.database.rows("SELECT count(DISTINCT owner) FROM weaver.runs")
        assert workers[0][0] >= 1


async def test_the_parent_survives(journal, dispatcher, url):
    """Its worker ends while the items are worked on: another one goes on, and no item is done twice."""
    async with Server(Scripted("rain falls", first=0.5)) as server:
        await dispatcher.submit([parent(server, "p", ["a", "b", "c"])])
        async with working(url, concurrency=1) as first:
            with anyio.fail_after(30):
                while not server.requests:
                    await anyio.sleep(0.02)
            async with working(url, concurrency=2):
                first.stop()
                head = await until(journal, "p", "complete", "partial", "failed")
        assert head.status == "complete", head.result
        done = sum(request.closed == "finished" for request in server.requests)
        assert done == 4


async def test_limits_are_shared_out(journal, dispatcher, url):
    async with Server("rain falls") as server:
        await dispatcher.submit([parent(server, "p", ["a", "b"], max_calls=9, deadline=60.0)])
        async with working(url):
            head = await until(journal, "p", "complete", "partial", "failed")
        assert head.status == "complete", head.result
        shares = [h.about["job"]["settings"] for h in await journal.heads() if h.about.get("parent") == "p"]
        assert sorted(share["max_calls"] for share in shares)[:2] == [4, 5]
        assert all(0 < share["deadline"] <= 60 for share in shares)


async def test_cancelling_the_parent_cancels_the_items(journal, dispatcher, url):
    async with Server(Scripted("rain falls", each=3_600.0)) as server:
        await dispatcher.submit([parent(server, "p", ["a", "b"])])
        async with working(url):
            with anyio.fail_after(30):
                while server.in_flight < 2:
                    await anyio.sleep(0.02)
            assert await dispatcher.cancel("p") is True
            with anyio.fail_after(10):
                while server.in_flight:
                    await anyio.sleep(0.02)
        assert {h.status for h in await journal.heads()} == {"cancelled"}


async def test_an_item_that_fails(journal, dispatcher, url):
    flow = FLOW.replace("spread: true}\n  whole", "spread: true, on_error: fail_fast}\n  whole")
    async with Server(Scripted("", times=0)) as server:
        submission = Submission(
            settings={"model": "scripted", "base_url": server.url, "max_total_tokens": 1},
                flags=("max_total_tokens",),
            files={"f.yaml": flow}, path="f.yaml", inputs={"topics": ["a"]},
        )  # fmt: skip
        await dispatcher.submit([Job("p", submission.about())])
        async with working(url):
            head = await until(journal, "p", "complete", "partial", "failed")
        assert head.status == "failed"
        assert "done by another worker" in head.result["error"]["message"]
