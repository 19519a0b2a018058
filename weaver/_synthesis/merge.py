"""What every merge takes and gives: from the parts of a plan to one answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from weaver._data.plan import Plan
from weaver._data.result import Answer, Conflict, Finding
from weaver._data.task import Task
from weaver._runtime.run import Run
from weaver._runtime.state.thread import Thread
from weaver.events import AnswerDelta, AnswerStarted


@dataclass(frozen=True, slots=True)
class Parts:
    """What there is to be merged.

    Attributes:
        plan: the plan whose parts they are.
        threads: those with a result, in the plan's order; replanned ones last.
        missing: what is missing, in words.
        conflicts: contradictions between the threads, resolved or open.
        settled: the same in words, for a model; "" where there are none.
        whole: a single thread was asked the whole task, so that its finding is the answer as it is.
    """

    plan: Plan
    threads: Sequence[Thread]
    missing: Sequence[str] = ()
    conflicts: tuple[Conflict, ...] = ()
    settled: str = ""
    whole: bool = False

    @property
    def findings(self) -> list[Finding]:
        """The threads' results."""
        return [finding for thread in self.threads if (finding := thread.finding) is not None]

    @property
    def gaps(self) -> tuple[str, ...]:
        """The missing parts, and those that were cut short."""
        cut = (f"{f.title}: only a part was finished" for f in self.findings if not f.answer.complete)
        return (*self.missing, *cut)


class Merge(Protocol):
    """Makes one answer of the parts. An async function is one too.

    The gate reads ``name`` where there is one: ``concat``, ``data`` and ``pick`` cost no call.
    """

    async def __call__(self, run: Run, task: Task, parts: Parts) -> Answer:
        """Merge, and tell listeners what is said (`speak`).

        Raises:
            InvalidOutputError: the task's output type is not met.
        """
        ...


@runtime_checkable
class MergeInOrder(Protocol):
    """A merge whose text can be told while later parts still run."""

    def text_of(self, findings: Sequence[Finding], *, after: Finding | None = None) -> str:
        """Return what ``findings`` add to the answer.

        Args:
            findings: parts that follow each other, in order.
            after: the last part with a text before them; None at the answer's beginning.
        """
        ...


def speak(run: Run, answer: Answer, source: str = "findings") -> Answer:
    """Tell listeners an answer that no model streamed; only the rest, where its beginning has been told."""
    if run.context.parent is not None:  # a thread's answer is not the user's
        return answer
    streamed = run.context.state.spoken
    if streamed and answer.text.startswith(streamed):
        if rest := answer.text[len(streamed) :]:
            run.emit(AnswerDelta(rest))
        return answer
    run.emit(AnswerStarted(source))
    run.emit(AnswerDelta(answer.text))
    return answer


def missing_line(gaps: Sequence[str]) -> str:
    """One line that names what is missing."""
    return f"Missing: {'; '.join(gaps)}."
