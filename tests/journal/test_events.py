"""Events in the journal: whoever watches a run sees one story, whatever died and was resumed meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from weaver import Answer, Run, Task, Weaver
from weaver._cli.display.recorded_events import event_from
from weaver._data.result import Result
from weaver._data.usage import NOTHING
from weaver._journal.following import follow
from weaver._journal.memory import MemoryJournal
from weaver._runtime.published.event_log import joined
from weaver._runtime.published.story import Story
from weaver.events import (
    AnswerDelta,
    AnswerStarted,
    Event,
    RunFinished,
    RunStarted,
    ThreadDelta,
    ThreadFinished,
    ThreadRestarted,
    ThreadStarted,
)
from weaver.testing import Scripted, ScriptedModel, virtual_time

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


def seen(events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What a viewer has on the screen at the end."""
    texts: dict[str, str] = {}
    ends: dict[str, str] = {}
    for event in events:
        match event:
            case {"event": "ThreadDelta", "thread": thread, "text": text, "kind": kind}:
                texts[thread] = texts.get(thread, "") + f"<{kind}>" * (kind != "text") + text
            case {"event": "ThreadRestarted", "thread": thread}:
                texts.pop(thread, None)
                ends.pop(thread, None)
            case {"event": "ThreadFinished", "thread": thread, "state": state}:
                ends[thread] = state
            case {"event": "AnswerStarted"}:
                texts.pop("", None)
            case {"event": "AnswerDelta", "text": text}:
                texts[""] = texts.get("", "") + text
    return {"texts": {name: text for name, text in texts.items() if text}, "ends": ends}


texts = st.lists(st.text("ab", min_size=1, max_size=3), max_size=4)
lines = st.lists(texts, min_size=1, max_size=3)


def told(threads: dict[str, list[list[str]]], answers: list[list[str]]) -> list[Event]:
    """The events of a run whose threads say these pieces; each list but the first begins anew."""
    events: list[Event] = [RunStarted("r", "q", "s", "m")]
    for name, attempts in threads.items():
        events.append(ThreadStarted(name, None, name, 1))
        for i, pieces in enumerate(attempts):
            events += [ThreadRestarted(name, "again")] if i else []
            events += [ThreadDelta(name, piece) for piece in pieces]
        events.append(ThreadFinished(name, "succeeded", None, "", NOTHING, 0.0))
    for pieces in answers:
        events += [AnswerStarted("s"), *(AnswerDelta(piece) for piece in pieces)]
    return [*events, RunFinished(Result("r", "partial", "", "s", "m"))]


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    st.fixed_dictionaries({"a": lines, "b": lines}), lines, st.fixed_dictionaries({"a": lines, "b": lines}),
    lines, st.booleans(), st.integers(0, 40), st.integers(0, 40),
)  # fmt: skip
def test_after_two_crashes_a_viewer_sees_what_the_last_process_tells(
    first, first_answer, second, second_answer, same, cut, cut_again
):
    """Threads that had ended tell the same again; others may say something else, as models do."""
    published: list[Mapping[str, Any]] = []
    before = told(first, first_answer)[:cut]
    published += joined(event for e in before for event in Story().news(e))
    ended = {e.thread for e in before if isinstance(e, ThreadFinished)}
    if same:
        second, second_answer = first, first_answer
    now = told({name: (first if name in ended else second)[name] for name in first}, second_answer)
    for events in (now[:cut_again], now):
        story = Story(published)
        published += joined(event for e in events for event in story.news(e))
    assert seen(published) == seen(joined(e.as_dict() for e in now))
    if same:
        whole = sum(len(e["text"]) for e in published if e["event"] == "AnswerDelta")
        assert whole == sum(len(piece) for pieces in first_answer for piece in pieces)
        assert [e["event"] for e in published].count("ThreadStarted") == 2


async def three(run: Run, task: Task) -> Answer:
    async with run.fork([Task("one"), Task("two"), Task("three")]) as threads:
        winners = await threads.join()
    return Answer(" ".join(thread.text for thread in winners))


def model() -> ScriptedModel:
    return ScriptedModel([Scripted("a b c", when=w, first=1.0, each=0.5) for w in ("one", "two", "three")])


async def test_a_viewer_follows_while_the_run_goes_on_and_nothing_comes_twice():
    journal = MemoryJournal()
    weaver = Weaver(model(), strategy=three, journal=journal)
    viewed: list[tuple[int, Mapping[str, Any]]] = []
    async with weaver.stream("q", run_id="r") as stream:
        live = [event.as_dict() async for event in stream]
        after = 0
        while not viewed or viewed[-1][1]["event"] != "RunFinished":
            # Every viewer is cut off after two events, and another one goes on.
            async for number, event in follow(
                journal, "r", after=after, is_over=lambda h: h.status != "running"
            ):
                viewed.append((number, event))
                after = number
                if len(viewed) % 2 == 0:
                    break
    assert [number for number, _ in viewed] == list(range(1, len(viewed) + 1))
    assert seen(e for _, e in viewed) == seen(live)
    assert [e["event"] for _, e in viewed][-1] == "RunFinished"


async def test_a_run_that_is_read_again_publishes_nothing_more():
    journal = MemoryJournal()
    weaver = Weaver(model(), strategy=three, journal=journal)
    await weaver.run("q", run_id="r")
    before = await journal.events("r")
    await weaver.run("q", run_id="r")
    assert list(await journal.events("r")) == list(before)


async def test_a_run_that_was_stopped_and_goes_on_begins_its_threads_again():
    journal = MemoryJournal()
    weaver = Weaver(model(), strategy=three, journal=journal)
    async with weaver.stream("q", run_id="r") as stream:
        async for event in stream:
            if isinstance(event, ThreadDelta) and event.text.startswith("b"):
                stream.cancel()
    result = await weaver.run("q", run_id="r")
    events = [event for _, event in await journal.events("r")]
    assert seen(events) == {
        "texts": {"t1": "a b c", "t2": "a b c", "t3": "a b c", "": result.answer},
        "ends": dict.fromkeys(("t1", "t2", "t3"), "succeeded"),
    }
    assert [e["event"] for e in events].count("ThreadRestarted") == 3


async def test_events_can_be_read_back():
    journal = MemoryJournal()
    live: list[Event] = []
    async with Weaver(model(), strategy=three, journal=journal).stream("q", run_id="r") as stream:
        live += [event async for event in stream]
    values = [event for _, event in await journal.events("r")]
    recorded = [event_from(value) for value in values]
    assert recorded[0] == live[0]
    assert recorded[-1].result.as_dict() == live[-1].result.as_dict()
    assert all(
        event.as_dict() == value
        for event, (_, value) in zip(recorded, await journal.events("r"), strict=True)
    )
    assert event_from({"event": "OfALaterVersion", "x": 1}) is None
