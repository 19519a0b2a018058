"""Events as JSON: every kind, stable names, whatever a model wrote."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest

from tests.cli.played import STORY
from weaver import events
from weaver._data.result import Decision, Forecast

STABLE = {
    "RunStarted": ["run_id", "question", "strategy", "model"],
    "Decided": ["decision"],
    "SubtaskPlanned": ["subtask"],
    "Planned": ["plan"],
    "ThreadStarted": ["thread", "parent", "title", "depth", "depends_on"],
    "ThreadDelta": ["thread", "text", "kind"],
    "ThreadRestarted": ["thread", "reason"],
    "ThreadHedged": ["thread", "after"],
    "ThreadFinished": ["thread", "state", "cancel_reason", "answer", "usage", "seconds", "error"],
    "CallRetried": ["thread", "error", "delay"],
    "ModelFellBack": ["thread", "failed", "instead", "error"],
    "ToolStarted": ["id", "thread", "tool", "arguments"],
    "ToolFinished": ["id", "thread", "tool", "result", "error", "seconds"],
    "ApprovalAsked": ["id", "thread", "tool", "arguments", "reason"],
    "ApprovalAnswered": ["id", "approved", "reason"],
    "ConflictFound": ["conflict"],
    "AnswerStarted": ["source"],
    "AnswerDelta": ["text"],
    "AnswerReasoning": ["text"],
    "Noted": ["note"],
    "RunFinished": ["result"],
}
FORECAST = Forecast(1.0, float("inf"), None, None, 100, 2, 2, "measured")
ODD: list[Any] = [
    events.Decided(Decision(True, "planner", "two", FORECAST, arms=(("fork", 1.0),))),
    events.ToolStarted("tool/look", None, "look", '{"n": "x"'),
    events.ToolFinished("tool/look", "s1", "look", None, "cancelled", 0.5),
    events.ApprovalAsked(
        "tool/pay", None, "pay", {"dollars": float("nan"), "to": "a\ud800", "set": {1}}, "why"
    ),
    events.AnswerReasoning("half a \ud800 surrogate"),
    events.ThreadHedged("s1", 2.0),
]


def test_every_event_keeps_its_names():
    kinds = {kind.__name__: list(kind.__dataclass_fields__) for kind in get_args(events.Event)}
    # Fields may be added; what is here is read by programs in other languages.
    assert {name: names[: len(STABLE[name])] for name, names in kinds.items()} == STABLE


@pytest.mark.parametrize("event", [*STORY, *ODD], ids=lambda event: type(event).__name__)
def test_an_event_is_json(event: Any):
    whole = event.as_dict()
    assert list(whole) == ["event", *type(event).__dataclass_fields__]
    assert whole["event"] == type(event).__name__
    assert json.loads(json.dumps(whole, allow_nan=False)) == whole


def test_numbers_that_json_does_not_have():
    assert ODD[0].as_dict()["decision"]["forecast"]["fork_seconds"] is None
    assert ODD[3].as_dict()["arguments"] == {"dollars": None, "to": "a\ud800", "set": "{1}"}
