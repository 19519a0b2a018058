"""One question with a known answer, and how good a given answer is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from weaver._data.task import Task
from weaver._verification.protocol import Check

INSTRUCTION = 'Give your final answer on the last line, after "Answer:".'
"""Added to every question, for every strategy alike, so that graders find the answer."""


def digest(*parts: Any) -> str:
    """Sixteen hex digits that tell JSON-able values apart."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Grade:
    """How good an answer is.

    Args:
        correct: whether it counts as right.
        score: 0 to 1.
        why: a few words where it is not obvious.
    """

    correct: bool
    score: float
    why: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of work inside an item of known structure.

    Args:
        question: self-contained text.
        answer: its right answer.
        after: indexes of parts whose answers it needs.
        work: how much work it is, in steps.
    """

    question: str
    answer: str
    after: tuple[int, ...] = ()
    work: int = 1


@dataclass(frozen=True, slots=True)
class Item:
    """A question with a known answer.

    Args:
        id: unique within its task; part of the key under which a result is kept.
        question: what is asked.
        answer: the right answer, as text.
        grader: judges answers to this item.
        structure: ``independent``, ``tree``, ``chain``, ``mixed`` or ``""`` when unknown.
        parts: the pieces of work, where the structure is known.
        metadata: anything else, JSON-able.
        graded_by: the grader's name, where it is not the task's own.
        check: tells whether an answer is right without knowing the right one, as tests do. Strategies that
            verify their answers get it.
    """

    id: str
    question: str
    answer: str
    grader: Grader
    structure: str = ""
    parts: tuple[Part, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    graded_by: str = ""
    check: Check | None = None

    @property
    def digest(self) -> str:
        """Differs between items of which anything that results depend on is different."""
        return digest(self.id, self.question, self.answer, self.graded_by, self.metadata)

    @property
    def ideal_speedup(self) -> float:
        """Work of all parts over their longest chain: the most that forking could gain; 1 if unknown."""
        ends: list[int] = []
        for part in self.parts:
            ends.append(part.work + max((ends[i] for i in part.after), default=0))
        return sum(p.work for p in self.parts) / max(ends) if ends else 1.0


Grader = Callable[[Item, str], Awaitable[Grade]]
"""Judges an answer's text against an item. May call a model."""


@dataclass(frozen=True, slots=True)
class TaskSet:
    """Items that are compared on together.

    Args:
        name: as the user wrote it.
        items: in order; the same for the same name, number and seed.
        instruction: added to every question.
    """

    name: str
    items: tuple[Item, ...]
    instruction: str = INSTRUCTION

    def asked(self, item: Item) -> Task:
        """The task that strategies are given. Whether to fork is judged without the instruction."""
        text = f"{item.question}\n\n{self.instruction}" if self.instruction else item.question
        metadata = {} if item.check is None else {"verifier": item.check}
        return Task(prompt=text, user_question=item.question, metadata=metadata)
