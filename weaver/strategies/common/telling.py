"""The beginning of an answer that is put together in order, told while later parts still run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from weaver.events import AnswerDelta, AnswerStarted
from weaver.result import CancelReason, Finding
from weaver.runtime.join_protocol import All, Around, JoinState
from weaver.runtime.run import Run
from weaver.synthesis.merge import MergeInOrder


class Telling:
    """Tells listeners each part as soon as those before it are complete.

    Args:
        complete: the findings up to the first part that still runs.
    """

    def __init__(self, run: Run, merge: MergeInOrder, complete: Callable[[], Sequence[Finding]]) -> None:
        self._run, self._merge, self._complete = run, merge, complete
        self._told = ""

    def more(self) -> None:
        """Tell what has become complete."""
        text = self._merge.so_far(self._complete())
        if len(text) <= len(self._told) or not text.startswith(self._told):
            return
        if not self._told:
            self._run.emit(AnswerStarted("parts"))
        self._run.emit(AnswerDelta(text[len(self._told) :]))
        self._told = text


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
