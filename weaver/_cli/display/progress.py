"""Progress as plain lines on stderr, for pipes, logs and dumb terminals."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import TracebackType
from typing import Any, Protocol, Self

import click

from weaver import events
from weaver._data.result import Decision
from weaver._display.words import count, one_line, seconds


class Progress(Protocol):
    """Shows what happens while a run goes on. Entered before the first event, left after the last."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

    def show(self, event: Any) -> None:
        """One event of `weaver.events`."""
        ...

    def tick(self) -> None:
        """Called about ten times a second."""
        ...

    def paused(self) -> AbstractContextManager[None]:
        """Leave the screen to other output in this block; events are shown after it."""
        ...

    @property
    def told_notes(self) -> bool:
        """True if notes were shown when they came; else they are told at the end."""
        ...


class Silent:
    """Shows nothing."""

    told_notes = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, event: Any) -> None:
        """Nothing."""

    def tick(self) -> None:
        """Nothing."""

    def paused(self) -> AbstractContextManager[None]:
        """Nothing to hold back."""
        return nullcontext()


class Lines(Silent):
    """One line per event that a person wants to know of."""

    told_notes = True

    def __init__(self) -> None:
        self._held: list[str] | None = None

    def show(self, event: Any) -> None:
        """Write the event's line to stderr, if it has one."""
        if not (line := line_of(event)):
            return
        if self._held is not None:
            self._held.append(line)
        else:
            click.echo(line, file=sys.stderr)

    @contextmanager
    def paused(self) -> Generator[None]:
        """Lines are held back until the block is left."""
        self._held = []
        try:
            yield
        finally:
            held, self._held = self._held, None
            for line in held:
                click.echo(line, file=sys.stderr)


def decided(decision: Decision) -> str:
    """``parallel (planner): two look-ups``."""
    how = "parallel" if decision.parallel else "direct"
    return f"{how} ({decision.by})" + (f": {one_line(decision.reason)}" if decision.reason else "")


def line_of(event: Any) -> str | None:
    """One line for ``event``, or None when it is a detail."""
    match event:
        case events.RunStarted():
            return f"model {one_line(event.model)}, strategy {one_line(event.strategy)}"
        case events.Decided():
            return decided(event.decision)
        case events.Planned() if event.plan.subtasks:
            levels = len(event.plan.levels)
            return f"plan: {count(len(event.plan.subtasks), 'subtask')} in {count(levels, 'level')}"
        case events.ThreadStarted():
            return f"[{event.thread}] started: {one_line(event.title, 80)}"
        case events.ThreadRestarted():
            return f"[{event.thread}] starts again: {one_line(event.reason)}"
        case events.ThreadFinished():
            why = f" ({event.cancel_reason})" if event.cancel_reason else ""
            error = f": {one_line(event.error)}" if event.error else ""
            tokens = count(event.usage.output_tokens, "token")
            return f"[{event.thread}] {event.state}{why}, {tokens}, {seconds(event.seconds)}{error}"
        case events.CallRetried():
            return (
                f"{_whose(event.thread)}call failed, again in {seconds(event.delay)}: {one_line(event.error)}"
            )
        case events.ModelFellBack():
            error = one_line(event.error)
            return f"{_whose(event.thread)}{event.failed} failed, asking {event.instead}: {error}"
        case events.ToolFinished():
            failed = f" failed: {one_line(event.error)}" if event.error else ""
            return f"{_whose(event.thread)}tool {event.tool}, {seconds(event.seconds)}{failed}"
        case events.ApprovalAsked():
            what = f"tool {event.tool} " if event.tool else ""
            return f"{_whose(event.thread)}{what}waits for approval {event.id}: {one_line(event.reason)}"
        case events.ApprovalAnswered():
            return f"approval {event.id}: {'approved' if event.approved else 'denied'}"
        case events.ConflictFound():
            return conflict_line(event.conflict)
        case events.Noted():
            return f"note: {one_line(event.note, 400)}"
        case _:
            return None


def conflict_line(conflict: Any) -> str:
    """``conflict: Paris, population: 2.1 million | 2.2 million -> 2.1 million (majority)``."""
    about = ", ".join(part for part in (conflict.subject, conflict.attribute) if part)
    values = " | ".join(one_line(value.value, 60) for value in conflict.values)
    settled = conflict.resolution
    end = f" -> {one_line(settled.value, 60)} ({settled.policy})" if settled else " (unresolved)"
    return f"conflict: {one_line(about, 80)}: {values}{end}"


def _whose(thread: str | None) -> str:
    return f"[{thread}] " if thread else ""
