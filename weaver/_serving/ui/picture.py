"""A run as the page shows it: events folded into one JSON object, and the changes of that object."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from weaver import events
from weaver._data.plan import Plan, Subtask
from weaver._data.result import Result

THREAD_CHARS = 200_000
"""Most characters of one thread's text that the page gets; the trace has all of it."""
ANSWER_CHARS = 2_000_000
TOOL_CHARS = 4_000
TITLE_CHARS = 500
MOST_NOTES = 200
CUT = "\n[The rest is in the trace.]"

Change = tuple[tuple[str | int, ...], Any, bool]
"""A path in the object, a value, and whether it is text to be appended to the one that is there."""


class Picture:
    """The state of one run, changed by its events.

    Attributes:
        state: JSON. ``threads`` are by id, ``order`` is that of their start; times are seconds since the
            run's start, but ``started`` is in milliseconds since 1970.
    """

    def __init__(self, run_id: str, question: str, *, workflow: str = "") -> None:
        self.state: dict[str, Any] = empty_state(run_id, question, workflow=workflow)
        self.state["started"] = time.time() * 1000
        self._zero = time.monotonic()

    def take(self, event: Any) -> list[Change]:
        """Fold one event in.

        Returns:
            The changes that it makes, already made in `state`.
        """
        changes = self._changes(event)
        for change in changes:
            apply(self.state, change)
        return changes

    def change(self, path: tuple[str | int, ...], value: Any) -> list[Change]:
        """Set one value that no event tells."""
        change: Change = (path, value, False)
        apply(self.state, change)
        return [change]

    def _changes(self, event: Any) -> list[Change]:
        match event:
            case events.RunStarted():
                model = ("model",), event.model, False
                return [model, (("strategy",), event.strategy, False), (("status",), "running", False)]
            case events.Decided():
                decision = {
                    "parallel": event.decision.parallel,
                    "by": event.decision.by,
                    "reason": event.decision.reason[:TITLE_CHARS],
                }
                return [(("decision",), decision, False)]
            case events.SubtaskPlanned() if event.thread is None:
                return self._planned([*self._subtasks, subtask_json(event.subtask)])
            case events.Planned() if event.thread is None:
                return [(("plan",), plan_json(event.plan), False)]
            case events.ThreadStarted():
                return self._started(event)
            case events.ThreadDelta():
                name = "text" if event.kind == "text" else "reasoning"
                return self._appended(("threads", event.thread, name), event.text, THREAD_CHARS)
            case events.ThreadRestarted():
                return self._in_thread(event.thread, text="", reasoning="", remark="started again")
            case events.ThreadHedged():
                return self._in_thread(event.thread, remark=f"second attempt after {event.after:.1f} s")
            case events.ThreadFinished():
                return self._finished(event)
            case events.ToolStarted() | events.ToolFinished():
                return self._tool(event)
            case events.ApprovalAsked():
                request = {
                    "kind": "tool",
                    "thread": event.thread,
                    "tool": event.tool,
                    "arguments": event.arguments,
                    "reason": event.reason,
                }
                return [(("approvals", event.id), request, False)]
            case events.ApprovalAnswered():
                return [(("approvals", event.id), None, False)]
            case events.ConflictFound():
                return [(("conflicts", len(self.state["conflicts"])), asdict(event.conflict), False)]
            case events.AnswerStarted():
                return [(("answer",), "", False)]
            case events.AnswerDelta():
                return self._appended(("answer",), event.text, ANSWER_CHARS)
            case events.AnswerReasoning():
                return self._appended(("reasoning",), event.text, THREAD_CHARS)
            case events.Noted():
                return self._noted(event.note)
            case events.CallRetried():
                return self._noted(f"Trying again in {event.delay:.1f} s: {event.error}")
            case events.ModelFellBack():
                return self._noted(f"{event.failed} failed, asking {event.instead}: {event.error}")
            case events.RunFinished():
                return [*result_changes(event.result)]
            case _:
                return []

    @property
    def _subtasks(self) -> list[Any]:
        plan = self.state["plan"]
        return list(plan["subtasks"]) if plan is not None and not plan["whole"] else []

    def _planned(self, subtasks: list[Any]) -> list[Change]:
        by_id = {subtask["id"]: subtask for subtask in subtasks}  # a plan may be written again
        plan = {"parallel": True, "reason": "", "merge": None, "subtasks": [*by_id.values()], "whole": False}
        return [(("plan",), plan, False)]

    def _started(self, event: events.ThreadStarted) -> list[Change]:
        thread = {
            "id": event.thread,
            "parent": event.parent,
            "title": event.title[:TITLE_CHARS],
            "depth": event.depth,
            "after": list(event.depends_on),
            "state": "running",
            "begin": round(time.monotonic() - self._zero, 3),
            "seconds": None,
            "text": "",
            "reasoning": "",
            "remark": "",
            "error": "",
            "usage": None,
            "tools": [],
        }
        changes: list[Change] = [(("threads", event.thread), thread, False)]
        if event.thread not in self.state["order"]:
            changes.append((("order", len(self.state["order"])), event.thread, False))
        return changes

    def _finished(self, event: events.ThreadFinished) -> list[Change]:
        if event.thread not in self.state["threads"]:
            return []  # it never started
        values: dict[str, Any] = {
            "state": event.state,
            "seconds": round(event.seconds, 3),
            "remark": (event.cancel_reason or "").replace("_", " ") if event.state == "cancelled" else "",
            "error": (event.error or "")[:THREAD_CHARS],
            "usage": event.usage.as_dict(),
        }
        if event.answer:
            values["text"] = shortened(event.answer, THREAD_CHARS)
        return self._in_thread(event.thread, **values)

    def _tool(self, event: events.ToolStarted | events.ToolFinished) -> list[Change]:
        thread = self.state["threads"].get(event.thread)
        place: tuple[str | int, ...] = (
            ("tools",) if thread is None else ("threads", event.thread or "", "tools")
        )
        calls = self.state["tools"] if thread is None else thread["tools"]
        number = next((i for i, call in enumerate(calls) if call["id"] == event.id), len(calls))
        if isinstance(event, events.ToolStarted):
            call = {
                "id": event.id,
                "tool": event.tool,
                "arguments": shortened(event.arguments, TOOL_CHARS),
                "state": "running",
                "result": "",
                "seconds": None,
            }
            return [((*place, number), call, False)]
        if number == len(calls):
            return []
        values = {
            "state": "failed" if event.error else "succeeded",
            "result": shortened(event.error or event.result or "", TOOL_CHARS),
            "seconds": round(event.seconds, 3),
        }
        return [((*place, number, name), value, False) for name, value in values.items()]

    def _noted(self, note: str) -> list[Change]:
        count = len(self.state["notes"])
        return [(("notes", count), note[:THREAD_CHARS], False)] if count < MOST_NOTES else []

    def _in_thread(self, thread: str, **values: Any) -> list[Change]:
        if thread not in self.state["threads"]:
            return []
        return [(("threads", thread, name), value, False) for name, value in values.items()]

    def _appended(self, path: tuple[str | int, ...], text: str, limit: int) -> list[Change]:
        place: Any = self.state
        for key in path[:-1]:
            if key not in place:
                return []
            place = place[key]
        room = limit - len(place[path[-1]])
        if room <= 0:
            return []
        return [(path, text if len(text) <= room else text[:room] + CUT, True)]


def empty_state(run_id: str, question: str, *, workflow: str = "") -> dict[str, Any]:
    """Return the state of a run of which nothing is known but its question."""
    return {
        "id": run_id,
        "question": question,
        "workflow": workflow,
        "strategy": "",
        "model": "",
        "status": "starting",
        "started": 0.0,
        "seconds": None,
        "decision": None,
        "plan": None,
        "threads": {},
        "order": [],
        "answer": "",
        "reasoning": "",
        "tools": [],
        "approvals": {},
        "conflicts": [],
        "notes": [],
        "error": None,
        "result": None,
        "traced": False,
    }


def result_changes(result: Result[Any]) -> Sequence[Change]:
    """Return the changes that the end of a run makes."""
    whole = result.as_dict()
    summary = {name: whole[name] for name in ("usage", "metrics", "trace_id", "output")}
    values: Mapping[str, Any] = {
        "status": result.status,
        "answer": shortened(result.answer, ANSWER_CHARS),
        "error": whole["error"],
        "notes": [note[:THREAD_CHARS] for note in result.notes[:MOST_NOTES]],
        "conflicts": whole["conflicts"],
        "seconds": round(result.metrics.wall_seconds, 3),
        "result": summary,
        "approvals": {},
    }
    changes: list[Change] = [((name,), value, False) for name, value in values.items()]
    if result.strategy:
        changes += [(("strategy",), result.strategy, False), (("model",), result.model, False)]
    return changes


def plan_json(plan: Plan) -> dict[str, Any]:
    """Return a plan as the page reads it; ``whole`` says that no more of it will come."""
    return {
        "parallel": plan.parallel,
        "reason": plan.reason[:TITLE_CHARS],
        "merge": plan.merge,
        "subtasks": [subtask_json(subtask) for subtask in plan.subtasks],
        "whole": True,
    }


def subtask_json(subtask: Subtask) -> dict[str, Any]:
    """Return a subtask as the page reads it, and sends it back when a plan was edited."""
    return {
        "id": subtask.id,
        "title": subtask.title,
        "prompt": subtask.prompt,
        "depends_on": list(subtask.depends_on),
        "agent": subtask.agent,
        "tools": list(subtask.tools),
        "max_tokens": subtask.max_tokens,
        "is_listed": subtask.is_listed,
    }


def shortened(text: str, limit: int) -> str:
    """Return a text, cut where it is longer than ``limit``; the cut is said."""
    return text if len(text) <= limit else text[:limit] + CUT


def apply(state: dict[str, Any], change: Change) -> None:
    """Make one change. A list grows by setting the place behind its end; None removes an approval."""
    path, value, appends = change
    *way, last = path
    place = _at(state, way)
    if appends:
        place[last] += value
    elif isinstance(place, list):
        place[int(last) : int(last) + 1] = [value]
    elif value is None and path[0] == "approvals" and len(path) == 2:
        place.pop(last, None)
    else:
        place[last] = value


def _at(state: Any, way: Sequence[str | int]) -> Any:
    for key in way:
        state = state[key]
    return state
