"""Events folded into the page's picture of a run, and the changes that tabs get."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from tests.serving.ui.conftest import QUESTION, forking
from weaver import Weaver, events
from weaver._data.plan import Plan, Subtask
from weaver._data.result import Result
from weaver._data.usage import NOTHING
from weaver._serving.ui.open_runs import MOST_PENDING, Follower
from weaver._serving.ui.picture import CUT, THREAD_CHARS, Picture, apply
from weaver.testing import ScriptedModel

pytestmark = pytest.mark.anyio


async def test_the_changes_lead_to_the_same_picture() -> None:
    picture = Picture("r", QUESTION)
    elsewhere = copy.deepcopy(picture.state)
    async for event in Weaver(ScriptedModel(forking()), strategy="adaptive:gate=off").stream(QUESTION):
        for change in json.loads(json.dumps(picture.take(event))):
            apply(elsewhere, change)
    assert elsewhere == picture.state

    state = picture.state
    assert state["status"] == "complete"
    assert [s["title"] for s in state["plan"]["subtasks"]] == ["Alpha", "Beta"]
    assert state["plan"]["whole"]
    assert sorted(state["order"]) == ["a", "b"]
    assert state["threads"]["a"]["text"] == "The code of alpha is 17."
    assert state["threads"]["a"]["state"] == "succeeded"
    assert "17" in state["answer"]
    assert state["result"]["usage"]["calls"] == 4


def test_a_plan_grows_and_is_then_whole() -> None:
    picture = Picture("r", "q")
    for name in ("a", "b", "a"):
        picture.take(events.SubtaskPlanned(Subtask(id=name, prompt="p")))
    assert [s["id"] for s in picture.state["plan"]["subtasks"]] == ["a", "b"]
    assert not picture.state["plan"]["whole"]
    picture.take(events.Planned(Plan(parallel=True, subtasks=(Subtask(id="c", prompt="p"),))))
    picture.take(events.Planned(Plan(parallel=True, subtasks=(Subtask(id="x", prompt="p"),)), thread="c"))
    assert [s["id"] for s in picture.state["plan"]["subtasks"]] == ["c"]


def test_huge_texts_are_cut_once() -> None:
    picture = Picture("r", "q")
    picture.take(events.ThreadStarted("t", None, "T", 1))
    for _ in range(5):
        picture.take(events.ThreadDelta("t", "x" * (THREAD_CHARS // 2 + 1)))
    text = picture.state["threads"]["t"]["text"]
    assert text.endswith(CUT)
    assert text.count("trace") == 1
    assert len(text) == THREAD_CHARS + len(CUT)


def test_events_of_threads_that_are_not_known_change_nothing() -> None:
    picture = Picture("r", "q")
    before = copy.deepcopy(picture.state)
    for event in (
        events.ThreadDelta("?", "x"),
        events.ThreadRestarted("?", "r"),
        events.ThreadHedged("?", 1.0),
        events.ThreadFinished("?", "skipped", None, None, NOTHING, 0.0),
        events.ToolFinished("?", "?", "tool", "r", None, 1.0),
    ):
        picture.take(event)
    assert picture.state == before


def test_tools_and_approvals() -> None:
    picture = Picture("r", "q")
    picture.take(events.ToolStarted("1", None, "look", "{}"))
    picture.take(events.ApprovalAsked("1", None, "look", {"a": 1}, "it has effects"))
    assert picture.state["approvals"]["1"]["tool"] == "look"
    picture.take(events.ApprovalAnswered("1", True))
    picture.take(events.ToolFinished("1", None, "look", None, "broken", 0.5))
    assert picture.state["approvals"] == {}
    [call] = picture.state["tools"]
    assert (call["state"], call["result"]) == ("failed", "broken")


def test_a_tab_that_reads_slowly_gets_the_whole_picture() -> None:
    follower = Follower()
    follower.is_behind = False
    for i in range(10):
        follower.put([(("answer",), f"{i}", True)])
    assert follower.take() == [(("answer",), "0123456789", True)]
    for i in range(MOST_PENDING + 1):
        follower.put([(("notes", i), "n", False)])
    assert follower.is_behind
    assert follower.take() == []


def test_a_failed_run_keeps_what_it_had() -> None:
    picture = Picture("r", "q")
    picture.take(events.AnswerStarted("direct"))
    picture.take(events.AnswerDelta("so far"))
    failed: Result[Any] = Result("r", "failed", "", "adaptive", "m")
    picture.take(events.RunFinished(failed))
    assert (picture.state["status"], picture.state["answer"]) == ("failed", "")
