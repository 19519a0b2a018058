"""Plain stand-ins for finished threads, and the conflicts that can be told without asking anybody."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from weaver._coordination.conflicts.detection import MAX_ASKED, find_conflicts
from weaver._data.result import Answer, Claim, Conflict, Finding
from weaver._data.task import Task


@dataclass(eq=False)
class Told:
    id: str
    answer: Answer | None = None
    state: str = "succeeded"
    task: Task = field(default_factory=lambda: Task("a question"))
    error: BaseException | None = None

    @property
    def finding(self) -> Finding | None:
        return Finding(self.id, self.task.label, self.answer) if self.answer else None


def said(id_: str, text: str, *, question: str = "a question", state: str = "succeeded", **answer) -> Told:
    return Told(id_, Answer(text, **answer), state=state, task=Task(question))


def claimed(id_: str, *claims: Claim) -> Told:
    """A thread with a question of its own that hands up claims."""
    return Told(id_, Answer(f"text of {id_}", claims=claims), task=Task(f"question of {id_}"))


def failed(id_: str, error: BaseException | None = None, state: str = "failed") -> Told:
    return Told(id_, state=state, error=error)


class _SeesNoConflict:
    """A run whose judge finds that all statements that it is asked about go together."""

    def note(self, text: str) -> None:
        pass

    async def parsed(self, request: str, kind: Any, **options: Any) -> Any:
        pairs = range(1, min(MAX_ASKED, request.count("Pair ")) + 1)
        return kind(verdicts=[{"pair": n, "verdict": "compatible"} for n in pairs])


def certain_conflicts(threads: list[Told], **options: Any) -> list[Conflict]:
    """Conflicts that can be told mechanically."""
    search = find_conflicts(_SeesNoConflict(), threads, **options)
    try:
        search.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("nothing is waited for")
