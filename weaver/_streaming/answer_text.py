"""The answer's text, from events."""

from __future__ import annotations

from weaver.events import AnswerDelta, AnswerStarted, Event

ANEW = "\n\n"
"""Stands between an answer that was given up and the next one."""


class AnswerText:
    """Follows the events of a run and says what is new in its answer.

    An answer that begins anew often repeats what was said: only what goes on beyond that is new.

    Attributes:
        text: the answer so far.
    """

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._earlier = ""
        self._repeated: int | None = None  # characters that agree with `_earlier`; None once they differ

    @property
    def text(self) -> str:
        self._pieces = ["".join(self._pieces)]  # so that the next time two are joined
        return self._pieces[0]

    def take(self, event: Event) -> str:
        """The text that ``event`` adds, or ""."""
        match event:
            case AnswerStarted():
                if earlier := self.text:
                    self._earlier, self._repeated = earlier, 0
                self._pieces.clear()
            case AnswerDelta(text):
                self._pieces.append(text)
                return text if self._repeated is None else self._beyond(text)
            case _:
                pass
        return ""

    def _beyond(self, text: str) -> str:
        """The part of ``text`` that goes beyond the earlier answer."""
        begin = self._repeated or 0
        before = self._earlier[begin : begin + len(text)]
        if text.startswith(before) and len(before) < len(text):  # the earlier answer, and more
            self._repeated = None
            return text[len(before) :]
        if before == text:
            self._repeated = begin + len(text)
            return ""
        self._repeated = None
        return ANEW + self.text
