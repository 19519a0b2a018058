"""Plain stand-ins for finished threads."""

from __future__ import annotations

from dataclasses import dataclass, field

from weaver._data.result import Answer, Claim, Finding
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
