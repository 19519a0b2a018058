"""Steps and items that other workers do: the parent gets their outputs, their usage, and keeps its limits."""

from __future__ import annotations

from collections import Counter

import anyio
import pytest

from weaver import Answer, Run, Task, Weaver
from weaver._dispatch.port import Job
from weaver._testing.server import Server
from weaver._workers.submission import Submission
from weaver.strategies import spread, strategy
from weaver.testing import Scripted, ScriptedModel

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
        await dispatcher.submit(
            [parent(server, "p", ["a", "b"], max_calls=9, max_total_tokens=90_000, deadline=60.0)]
        )
        async with working(url):
            head = await until(journal, "p", "complete", "partial", "failed")
        assert head.status == "complete", head.result
        shares = [h.about["job"]["settings"] for h in await journal.heads() if h.about.get("parent") == "p"]
        assert sorted(share["max_calls"] for share in shares)[:2] == [4, 5]
        assert (
            sorted(share["max_total_tokens"] for share in shares)[:2] == [pytest.approx(45_000, rel=0.05)] * 2
        )
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
            settings={"model": "scripted", "base_url": server.url},
            files={"f.yaml": flow}, path="f.yaml", inputs={"topics": ["a"]},
        )  # fmt: skip
        await dispatcher.submit([Job("p", submission.about())])
        async with working(url):
            head = await until(journal, "p", "complete", "partial", "failed")
        assert head.status == "failed"
        assert "done by another worker" in head.result["error"]["message"]


@strategy("three_places", source="")
async def three_places(run: Run, task: Task) -> Answer:
    """Ask a question about three places, each on any worker; one task has a tool, and stays here."""
    tasks = [Task(f"{task.question} {place}", context=f"Context of {place}") for place in ("Oslo", "Rome")]
    tasks.append(Task(f"{task.question} Lima", tools=(len,)))
    async with run.fork(tasks, body=spread("self_consistency:samples=2")) as threads:
        return Answer(" ".join(thread.text for thread in await threads.join()))


def python_parent(server: Server, **settings) -> Job:
    settings = {"model": "scripted", "base_url": server.url, "strategy": "three_places", **settings}
    return Job("p", Submission("Weather?", settings=settings, flags=tuple(settings)).about())


async def test_threads_of_a_strategy_are_runs_of_their_own(journal, dispatcher, url):
    async with Server("It rains.") as server:
        limits = {"max_calls": 12, "max_total_tokens": 90_000, "deadline": 60.0, "max_depth": 2}
        await dispatcher.submit([python_parent(server, **limits)])
        async with working(url, concurrency=1), working(url, concurrency=1):
            head = await until(journal, "p", "complete", "partial", "failed")
        assert (head.status, head.result["answer"]) == ("complete", "It rains. It rains. It rains.")
        assert head.result["usage"]["calls"] == len(server.requests) == 6
        assert "its tools cannot be sent" in str(head.result["notes"])
        parts = [h for h in await journal.heads() if h.about.get("parent") == "p"]
        assert {h.about["question"] for h in parts} == {"Weather? Oslo", "Weather? Rome"}
        for part in parts:
            settings = part.about["job"]["settings"]
            assert settings["strategy"] == "self_consistency:samples=2"
            assert settings["max_depth"] == 1
            assert 3 <= settings["max_calls"] <= 6
            assert settings["max_total_tokens"] <= 45_000
            assert 0 < settings["deadline"] <= 60
        sent = [str(request.body["messages"]) for request in server.requests]
        assert sum("Context of Oslo" in text for text in sent) == 2


async def test_a_strategy_survives_the_death_of_its_worker(journal, dispatcher, url):
    slow = Scripted("It rains.", each=0.4)
    async with Server(slow) as server:
        await dispatcher.submit([python_parent(server)])
        async with working(url, concurrency=1) as first:
            with anyio.fail_after(30):
                while len(server.requests) < 3:
                    await anyio.sleep(0.02)
            async with working(url, concurrency=2):
                first.stop()
                head = await until(journal, "p", "complete", "partial", "failed")
        assert (head.status, head.result["answer"]) == ("complete", "It rains. It rains. It rains.")
        # Of two samples the second may be cut off as needless. None that had finished was asked again.
        finished = Counter(str(r.body["messages"]) for r in server.requests if r.closed == "finished")
        assert len(finished) == 3
        assert max(finished.values()) <= 2


async def test_without_workers_the_strategy_works_here():
    model = ScriptedModel("It rains.")
    result = await Weaver(model, strategy=three_places).run("Weather?")
    assert (result.answer, len(model.requests)) == ("It rains. It rains. It rains.", 6)
    assert not result.notes
