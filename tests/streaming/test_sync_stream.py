"""Watching a run without an event loop."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator

import anyio
import pytest

from weaver import Weaver, events
from weaver.errors import InvalidTaskError, RunCancelled, RunUnfinishedError
from weaver.testing import Scripted, Server

LONG = "one two three four five six seven eight"


@pytest.fixture
def server() -> Iterator[Server]:
    replies = [Scripted(LONG, when="long", each=0.5), Scripted("It is 42.")]
    with Server(replies, model="mock").in_thread() as server:
        yield server


@pytest.fixture
def weaver(server: Server) -> Weaver:
    return Weaver("openai/mock", base_url=server.url, strategy="sequential")


def workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "weaver-stream-sync"]


def test_a_loop_reads_all_events(weaver: Weaver):
    seen = list(run := weaver.stream_sync("q"))
    assert isinstance(seen[0], events.RunStarted)
    assert isinstance(seen[-1], events.RunFinished)
    assert run.result.answer == "It is 42."
    assert run.error is None
    assert list(run) == []
    assert not workers()


def test_text(weaver: Weaver):
    assert list(weaver.stream_sync("q").text()) == ["It ", "is ", "42."]
    with weaver.stream_sync("q") as run:
        assert list(run.text(whole=True))[-1] == "It is 42."
    assert not workers()


@pytest.mark.parametrize("block", [True, False])
def test_leaving_early_cancels_the_run(weaver: Weaver, server: Server, block: bool):
    run = weaver.stream_sync("a long one")
    if block:
        with run:
            for event in run:
                if isinstance(event, events.AnswerDelta):
                    break
    else:
        for event in run:
            if isinstance(event, events.AnswerDelta):
                break
    assert (run.result.status, run.result.answer) == ("partial", "one")
    assert isinstance(run.error, RunCancelled)
    assert not workers()


def test_cancelling_still_gives_the_last_events(weaver: Weaver):
    with weaver.stream_sync("a long one") as run:
        for event in run:
            if isinstance(event, events.AnswerDelta):
                run.cancel()
        assert isinstance(event, events.RunFinished)
    assert run.result.status == "partial"
    run.cancel()


def test_a_stream_that_nobody_refers_to_ends(weaver: Weaver):
    run = weaver.stream_sync("a long one")
    run.__enter__()
    assert next(text for text in run.text()) == "one "
    assert workers()
    del run
    assert not workers()


def test_a_run_that_cannot_begin_raises(weaver: Weaver):
    with pytest.raises(InvalidTaskError):
        list(weaver.stream_sync(" "))
    with pytest.raises(RunUnfinishedError):
        _ = weaver.stream_sync("q").result
    assert not workers()


@pytest.mark.anyio
async def test_it_works_inside_a_running_event_loop(weaver: Weaver):
    await anyio.lowlevel.checkpoint()
    assert weaver.stream_sync("q").wait().answer == "It is 42."


def test_a_program_that_ends_does_not_wait_for_the_run(server: Server):
    program = (
        "from weaver import Weaver\n"
        f"run = Weaver('openai/mock', base_url={server.url!r}, strategy='sequential').stream_sync('long')\n"
        "events = iter(run)\n"
        "print(next(events).model)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=20, check=True
    )
    assert (done.stdout, done.stderr) == ("openai/mock\n", "")
