"""The beginning of an answer that is put together in order, told while later parts still run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from weaver._data.result import CancelReason, Finding
from weaver._runtime.run import Run
from weaver._runtime.state.thread import Thread
from weaver._runtime.threads.join_protocol import All, Around, JoinState
from weaver._synthesis.merge import MergeInOrder
from weaver.events import AnswerDelta, AnswerStarted


class Telling:
    """Tells listeners each part as soon as those before it are complete. Looks at each thread once.

    Args:
        threads: the threads of the parts, in the order of the answer.
        is_part: whether a finished thread's finding is part of the answer.
    """

    def __init__(
        self, run: Run, merge: MergeInOrder, threads: Sequence[Thread], is_part: Callable[[Thread], bool]
    ) -> None:
        self._run, self._merge, self._is_part = run, merge, is_part
        self._threads = threads
        self._next = 0
        self._last: Finding | None = None

    def more(self) -> None:
        """Tell what has become complete, in one piece."""
        is_first, texts = self._last is None, list[str]()
        while self._next < len(self._threads):
            thread = self._threads[self._next]
            if not thread.finished and thread.cancel_reason not in ("pruned", "not_needed"):
                break
            self._next += 1
            finding = thread.finding if self._is_part(thread) else None
            if finding is None or not (text := self._merge.text_of([finding], after=self._last)):
                continue
            texts.append(text)
            self._last = finding
        if texts:
            if is_first:
                self._run.emit(AnswerStarted("parts"))
            self._run.emit(AnswerDelta("".join(texts)))


@dataclass(frozen=True, slots=True)
class AllTold:
    """Waits for every thread, as `All` does; tells on the way."""

    telling: Telling

    @property
    def name(self) -> str:
        """``all``."""
        return All().name

    def begin(self) -> JoinState:
        """One join."""
        return _Told(All().begin(), self.telling)


class _Told(Around):
    def __init__(self, state: JoinState, telling: Telling) -> None:
        super().__init__(state)
        self._telling = telling

    async def finished(self, thread: Any, *, outstanding: int) -> CancelReason | None:
        self._telling.more()
        return await super().finished(thread, outstanding=outstanding)
