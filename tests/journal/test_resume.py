"""Runs that go on: what was finished is not paid for again, what was decided stays, what was paid counts."""

from __future__ import annotations

import re
from contextlib import suppress

import anyio
import pytest

from weaver import Answer, Run, Task, Weaver, tool
from weaver._coordination.joins.rules import First
from weaver._journal.memory import MemoryJournal
from weaver._journal.port import Entry
from weaver._tools.approvals import Approval
from weaver.errors import JournalError, RunTakenOverError
from weaver.testing import Scripted, ScriptedModel, virtual_time

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


class Killed(BaseException):
    """Stands for the end of the process."""


class Dying(MemoryJournal):
    """The process dies when it is about to write its ``left``-th entry."""

    def __init__(self, left: int) -> None:
        super().__init__()
        self.left = left

    async def append(self, run_id, epoch, entries):
        if self.left == 0:
            raise JournalError("killed")
        self.left -= 1
        await super().append(run_id, epoch, entries)

    async def finish(self, run_id, epoch, status, result=None):
        if self.left:
            await super().finish(run_id, epoch, status, result)


class Slow(MemoryJournal):
    """Takes so many seconds to record the end of a run."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    async def finish(self, run_id, epoch, status, result=None):
        await anyio.sleep(self.seconds)
        await super().finish(run_id, epoch, status, result)


async def race(run: Run, task: Task) -> Answer:
    """Three side by side; the first one wins, and a last call says it again."""
    async with run.fork([Task("slow"), Task("quick"), Task("middle")]) as threads:
        winner = (await threads.join(First()))[0]
    last = await run.think(f"repeat {winner.text}")
    return Answer(last.text)


def racers(slow: float = 30.0, quick: float = 1.0) -> ScriptedModel:
    return ScriptedModel(
        [
            Scripted("S", when="slow", first=slow),
            Scripted("Q", when="quick", first=quick),
            Scripted("M", when="middle", first=10.0),
            Scripted(lambda request: request.messages[-1].text, when="repeat", first=1.0),
        ]
    )


def prompts(model: ScriptedModel) -> list[str]:
    return [r.request.messages[-1].text for r in model.requests]


@pytest.mark.parametrize("left", range(16))
async def test_killed_at_every_entry_a_race_has_the_same_winner_and_nothing_finished_is_bought_again(left):
    journal = Dying(left)
    first = racers()
    before = await _result(Weaver(first, strategy=race, journal=journal))
    finished = {e.key for e in await journal.entries("r") if e.kind == "ok" and "call/" in e.key}
    journal.left = 1_000
    # The loser would win this time.
    other = racers(slow=0.1) if "t2/call/0" in finished else racers()
    result = await Weaver(other, strategy=race, journal=journal).run("q", run_id="r")
    assert result.answer == "repeat Q"
    if "t2/call/0" in finished:
        assert not {"slow", "quick", "middle"} & set(prompts(other))
    if "call/0" in finished:
        assert prompts(other) == []
    assert before in (None, "repeat Q")


async def _result(weaver: Weaver) -> str | None:
    try:
        return (await weaver.run("q", run_id="r")).answer
    except JournalError:
        return None


async def test_what_was_paid_before_counts_against_the_limit():
    async def two(run: Run, task: Task) -> Answer:
        await run.think("first")
        return Answer((await run.think("second")).text)

    journal = Dying(3)  # the second call is announced, and its end is not recorded
    with pytest.raises(JournalError):
        await Weaver(ScriptedModel("ok"), strategy=two, journal=journal).run("q", run_id="r")
    journal.left = 1_000
    model = ScriptedModel("ok")
    cut = await Weaver(model, strategy=two, journal=journal, max_calls=2).run("q", run_id="r")
    assert (cut.status, len(model.requests)) == ("partial", 0)
    result = await Weaver(ScriptedModel("ok"), strategy=two, journal=journal, max_calls=3).run(
        "q", run_id="r"
    )
    assert result.status == "complete"
    assert "1 earlier call of this run" in result.notes[0]


async def test_a_changed_prompt_is_named_with_its_lines():
    def asking(text: str):
        async def method(run: Run, task: Task) -> Answer:
            return Answer((await run.think(text)).text)

        return method

    journal = MemoryJournal()
    await Weaver(ScriptedModel("old"), strategy=asking("be short"), journal=journal).run("q", run_id="r")
    changed = Weaver(ScriptedModel("new"), strategy=asking("be long"), journal=journal)
    with pytest.raises(JournalError, match=r"(?s)step call/0.*-.*be short.*\+.*be long.*accept-changes"):
        await changed.run("q", run_id="r")
    result = await changed.run("q", run_id="r", accept_changes=True)
    assert result.answer == "new"
    assert (await changed.run("q", run_id="r")).answer == "new"


async def test_an_owner_that_lost_its_run_stops_at_once():
    journal = MemoryJournal()

    async def method(run: Run, task: Task) -> Answer:
        await journal.open("r", owner="somebody else")
        return Answer((await run.think("long")).text)

    model = ScriptedModel([Scripted("ok", first=3_600)])
    with pytest.raises(RunTakenOverError):
        await Weaver(model, strategy=method, journal=journal).run("q", run_id="r")
    assert model.requests == []


@pytest.mark.parametrize(("seconds", "deadline", "recorded_at"), [(20, None, 21), (5, 10, 6), (20, 10, None)])
async def test_a_run_waits_for_its_journal_until_its_deadline(seconds, deadline, recorded_at):
    journal = Slow(seconds)
    model = ScriptedModel(Scripted("ok", first=1.0))
    began = anyio.current_time()
    async with Weaver(model, strategy="sequential", journal=journal, deadline=deadline).stream(
        "q", run_id="r"
    ) as stream:
        result = await stream.wait()
    assert (result.status, result.answer) == ("complete", "ok")
    assert stream.is_recorded is (recorded_at is not None)
    assert anyio.current_time() - began == pytest.approx(recorded_at or deadline, abs=0.2)
    assert (await journal.head("r")).status == ("complete" if recorded_at else "running")
    journal.seconds = 0
    again = await Weaver(model, strategy="sequential", journal=journal).run("q", run_id="r")
    assert (again.answer, len(model.requests)) == ("ok", 1)
    assert (await journal.head("r")).status == "complete"


async def test_a_run_that_is_stopped_waits_a_second_for_its_journal():
    journal = Slow(20)
    model = ScriptedModel(Scripted("ok", first=100.0))
    async with Weaver(model, strategy="sequential", journal=journal).stream("q", run_id="r") as stream:
        with anyio.move_on_after(2):
            await stream.wait()
        assert not stream.finished
        stream.cancel()
        await stream.wait()
    assert anyio.current_time() == pytest.approx(3.0, abs=0.2)
    assert stream.is_recorded is False


async def test_an_approval_from_outside_outlives_the_process():
    sent = []

    @tool(approve=True)
    def send(to: str) -> str:
        """Send it."""
        sent.append(to)
        return "sent"

    def model() -> ScriptedModel:
        return ScriptedModel([Scripted("", tool_calls=(("send", '{"to": "ann"}'),)), "done"])

    journal = MemoryJournal()
    first = Weaver(model(), strategy="sequential", tools=[send], journal=journal)
    async with first.stream("q", run_id="r") as stream:
        async for event in stream:
            if type(event).__name__ == "ApprovalAsked":
                break
    assert sent == []
    question = next(e for e in await journal.entries("r") if e.key.startswith("approval/"))
    assert question.value["arguments"] == {"to": "ann"}
    yes = {"approved": True, "reason": "", "always": False}
    await journal.append("r", 0, (Entry(question.key, "verdict", yes),))
    other = ScriptedModel("done")
    again = Weaver(other, strategy="sequential", tools=[send], journal=journal)
    result = await again.run("q", run_id="r", approve=lambda _: Approval(False))
    assert (sent, result.answer, len(other.requests)) == (["ann"], "done", 1)


@pytest.mark.parametrize("left", range(0, 24, 2))
async def test_confidences_are_in_the_journal(left):
    """A trace keeps its weight, also where the run died before anything was made of it."""
    replies = [
        Scripted("Answer: 1", when=re.compile("."), logprobs=(-5.0,) * 9, times=1, first=2.0),
        Scripted("Answer: 2", logprobs=(-1.0,) * 9, first=1.0),
    ]
    journal = Dying(left)
    weaver = Weaver(None, strategy="deepconf:warmup=3,samples=5,window=2,tau=1", seed=1, journal=journal)
    with suppress(JournalError):
        await weaver.run("q", run_id="r", model=ScriptedModel(replies))
    journal.left = 1_000
    result = await weaver.run(
        "q", run_id="r", model=ScriptedModel([Scripted("Answer: 2", logprobs=(-1.0,) * 9)])
    )
    assert result.status == "complete"
    assert not any("log-probabilities" in note for note in result.notes)
    entries = [e for e in await journal.entries("r") if e.kind == "ok" and "/call/" in e.key]
    assert all(len(e.value["logprobs"]) == 2 for e in entries)


async def test_replayed_steps_return_in_the_order_in_which_they_had_ended():
    """Whatever was quick or slow then: who came second does not come first now."""
    delays = {"a": 3.0, "b": 1.0, "c": 2.0}

    async def method(run: Run, task: Task) -> Answer:
        order: list[str] = []

        async def one(name: str) -> None:
            async def work() -> str:
                await anyio.sleep(delays[name])
                return name

            order.append(await run.step(name, work))

        async with anyio.create_task_group() as group:
            for name in delays:
                group.start_soon(one, name)
        return Answer(" ".join(order))

    journal = MemoryJournal()
    weaver = Weaver(ScriptedModel("ok"), strategy=method, journal=journal)
    assert (await weaver.run("q", run_id="r")).answer == "b c a"
    assert (await weaver.run("q", run_id="r")).answer == "b c a"
    del journal.runs["r"].entries[1]  # c is done again, and comes last
    assert (await weaver.run("q", run_id="r")).answer == "b a c"
