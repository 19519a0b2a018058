"""Typed events of a run, in the order they happen. Built only when somebody listens.

Each has `as_dict`, for logs and for clients in other languages: class and field names stay as they are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel

from weaver._data.plan import Plan, Subtask
from weaver._data.result import CancelReason, Conflict, Decision, Result, ThreadState
from weaver._data.usage import Usage
from weaver._json_reading.json_types import is_list_or_tuple, is_mapping

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


class _Event:
    __slots__ = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values: ``{"event": "ThreadStarted", ...}``, one line of ``weaver run --events``."""
        values = {field.name: getattr(self, field.name) for field in fields(cast("DataclassInstance", self))}
        return {"event": type(self).__name__, **{name: _plain(value) for name, value in values.items()}}


@dataclass(frozen=True, slots=True)
class RunStarted(_Event):
    """The run has begun."""

    run_id: str
    question: str
    strategy: str
    model: str


@dataclass(frozen=True, slots=True)
class Decided(_Event):
    """Somebody decided whether to fork. A later decision replaces an earlier one."""

    decision: Decision


@dataclass(frozen=True, slots=True)
class SubtaskPlanned(_Event):
    """One subtask of a plan that is still being written is complete. ``thread`` plans; None is the root."""

    subtask: Subtask
    thread: str | None = None


@dataclass(frozen=True, slots=True)
class Planned(_Event):
    """The whole plan is known and valid. ``thread`` planned; None is the root."""

    plan: Plan
    thread: str | None = None


@dataclass(frozen=True, slots=True)
class ThreadStarted(_Event):
    """A thread has begun to work (its dependencies are done)."""

    thread: str
    parent: str | None
    title: str
    depth: int
    depends_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ThreadDelta(_Event):
    """A piece of a thread's text. ``kind`` is ``text`` or ``reasoning``."""

    thread: str
    text: str
    kind: str = "text"


@dataclass(frozen=True, slots=True)
class ThreadRestarted(_Event):
    """A thread's text so far is void: its work begins again."""

    thread: str
    reason: str


@dataclass(frozen=True, slots=True)
class ThreadHedged(_Event):
    """A straggler got a second attempt after so many seconds; the first success of the two wins."""

    thread: str
    after: float


@dataclass(frozen=True, slots=True)
class ThreadFinished(_Event):
    """A thread reached its one final state (cancelled threads included)."""

    thread: str
    state: ThreadState
    cancel_reason: CancelReason | None
    answer: str | None
    usage: Usage
    seconds: float
    error: str | None = None


@dataclass(frozen=True, slots=True)
class CallRetried(_Event):
    """A model call failed and will be tried again after ``delay`` seconds."""

    thread: str | None
    error: str
    delay: float


@dataclass(frozen=True, slots=True)
class ModelFellBack(_Event):
    """A model failed permanently; another one is asked instead."""

    thread: str | None
    failed: str
    instead: str
    error: str


@dataclass(frozen=True, slots=True)
class ToolStarted(_Event):
    """A thread calls a tool. ``arguments`` is the JSON text as the model wrote it; ``id`` names the call."""

    id: str
    thread: str | None
    tool: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolFinished(_Event):
    """A tool call ended after ``seconds``. ``result`` is None when it failed, ``error`` when it worked.

    The ``error`` of a call that was cancelled with its thread is ``cancelled``.
    """

    id: str
    thread: str | None
    tool: str
    result: str | None
    error: str | None
    seconds: float


@dataclass(frozen=True, slots=True)
class ApprovalAsked(_Event):
    """A tool call, or a step of a workflow (``tool`` is ""), waits for a person.

    Answer with `RunStream.approve` or `RunStream.deny` and this ``id``.
    """

    id: str
    thread: str | None
    tool: str
    arguments: dict[str, Any]
    reason: str


@dataclass(frozen=True, slots=True)
class ApprovalAnswered(_Event):
    """A request for approval was answered. ``reason`` is what the model is told when it was denied."""

    id: str
    approved: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ConflictFound(_Event):
    """Threads disagree; ``conflict.resolution`` says how it was settled, if it was."""

    conflict: Conflict


@dataclass(frozen=True, slots=True)
class AnswerStarted(_Event):
    """The text that follows as `AnswerDelta` is the final answer; it replaces any earlier text."""

    source: str


@dataclass(frozen=True, slots=True)
class AnswerDelta(_Event):
    """A piece of the final answer (of the synthesis, or of a direct answer)."""

    text: str


@dataclass(frozen=True, slots=True)
class AnswerReasoning(_Event):
    """A piece of what a model thought before or while it wrote the final answer. Not part of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Noted(_Event):
    """A fallback or degradation, in words."""

    note: str


@dataclass(frozen=True, slots=True)
class RunFinished(_Event):
    """The last event of every run."""

    result: Result[Any]


Event = (
    RunStarted
    | Decided
    | SubtaskPlanned
    | Planned
    | ThreadStarted
    | ThreadDelta
    | ThreadRestarted
    | ThreadHedged
    | ThreadFinished
    | CallRetried
    | ModelFellBack
    | ToolStarted
    | ToolFinished
    | ApprovalAsked
    | ApprovalAnswered
    | ConflictFound
    | AnswerStarted
    | AnswerDelta
    | AnswerReasoning
    | Noted
    | RunFinished
)


def _plain(value: Any) -> Any:
    """``value`` in JSON's types; a number that JSON does not have (infinity, not a number) becomes None."""
    match value:
        case str() | bool() | int() | None:
            return value
        case float():
            return value if math.isfinite(value) else None
        case Result() | Usage():
            return _plain(value.as_dict())
        case BaseModel():
            return value.model_dump(mode="json")
        case _ if is_mapping(value):
            return {str(name): _plain(item) for name, item in value.items()}
        case _ if is_list_or_tuple(value):
            return [_plain(item) for item in value]
        case _ if is_dataclass(value) and not isinstance(value, type):
            return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
        case _:
            return str(value)
