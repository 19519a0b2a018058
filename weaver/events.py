"""Typed events of a run, in the order they happen. Built only when somebody listens."""

from __future__ import annotations

from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

from pydantic import BaseModel

from weaver.plan import Plan, Subtask
from weaver.result import CancelReason, Conflict, Decision, Result, ThreadState
from weaver.usage import Usage


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The run has begun."""

    run_id: str
    question: str
    strategy: str
    model: str


@dataclass(frozen=True, slots=True)
class Decided:
    """Somebody decided whether to fork. A later decision replaces an earlier one."""

    decision: Decision


@dataclass(frozen=True, slots=True)
class SubtaskPlanned:
    """One subtask of a plan that is still being written is complete."""

    subtask: Subtask


@dataclass(frozen=True, slots=True)
class Planned:
    """The whole plan is known and valid."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class ThreadStarted:
    """A thread has begun to work (its dependencies are done)."""

    thread: str
    parent: str | None
    title: str
    depth: int
    depends_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ThreadDelta:
    """A piece of a thread's text. ``kind`` is ``text`` or ``reasoning``."""

    thread: str
    text: str
    kind: str = "text"


@dataclass(frozen=True, slots=True)
class ThreadRestarted:
    """A thread's text so far is void: its work begins again."""

    thread: str
    reason: str


@dataclass(frozen=True, slots=True)
class ThreadHedged:
    """A straggler got a second attempt after so many seconds; the first success of the two wins."""

    thread: str
    after: float


@dataclass(frozen=True, slots=True)
class ThreadFinished:
    """A thread reached its one final state (cancelled threads included)."""

    thread: str
    state: ThreadState
    cancel_reason: CancelReason | None
    answer: str | None
    usage: Usage
    seconds: float
    error: str | None = None


@dataclass(frozen=True, slots=True)
class CallRetried:
    """A model call failed and will be tried again after ``delay`` seconds."""

    thread: str | None
    error: str
    delay: float


@dataclass(frozen=True, slots=True)
class ModelFellBack:
    """A model failed for good; another one is asked instead."""

    thread: str | None
    failed: str
    instead: str
    error: str


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """A thread calls a tool. ``arguments`` is the JSON text as the model wrote it; ``id`` names the call."""

    id: str
    thread: str | None
    tool: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """A tool call ended after ``seconds``. ``result`` is None when it failed, ``error`` when it worked."""

    id: str
    thread: str | None
    tool: str
    result: str | None
    error: str | None
    seconds: float


@dataclass(frozen=True, slots=True)
class ApprovalAsked:
    """A tool call waits for a person: answer with `RunStream.approve` or `RunStream.deny` and this ``id``."""

    id: str
    thread: str | None
    tool: str
    arguments: dict[str, Any]
    reason: str


@dataclass(frozen=True, slots=True)
class ApprovalAnswered:
    """A request for approval was answered. ``reason`` is what the model is told when it was denied."""

    id: str
    approved: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ConflictFound:
    """Threads disagree; ``conflict.resolution`` says how it was settled, if it was."""

    conflict: Conflict


@dataclass(frozen=True, slots=True)
class AnswerStarted:
    """The text that follows as `AnswerDelta` is the final answer; it replaces any earlier text."""

    source: str


@dataclass(frozen=True, slots=True)
class AnswerDelta:
    """A piece of the final answer (of the synthesis, or of a direct answer)."""

    text: str


@dataclass(frozen=True, slots=True)
class Noted:
    """A fallback or degradation, in words."""

    note: str


@dataclass(frozen=True, slots=True)
class RunFinished:
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
    | Noted
    | RunFinished
)


def event_as_dict(event: Any) -> dict[str, Any]:
    """A JSON-able form: ``{"event": "ThreadStarted", ...}``, one line of ``weaver run --events``."""
    fields: dict[str, Any] = {"event": type(event).__name__}
    for name in event.__dataclass_fields__:
        value = getattr(event, name)
        if isinstance(value, (Result, Usage)):
            fields[name] = value.as_dict()
        elif isinstance(value, BaseModel):
            fields[name] = value.model_dump(mode="json")
        else:
            fields[name] = asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
    return fields
