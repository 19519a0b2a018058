"""Text that a resumed run tells again: compared with what was told before it died."""

from __future__ import annotations

from collections import deque

MARK = ""
"""Kind of a segment that says: what was told until now is void."""
Segment = tuple[str, str]
"""Kind and text; of a `MARK`, what is known about it."""


class RetoldText:
    """One line of text, of a thread or of the answer.

    As long as what comes is what was told before, nothing of it is news. Text that goes on where the earlier
    one was cut is news; text that differs is told from its beginning, after a mark.
    """

    def __init__(self) -> None:
        self._before: deque[Segment] = deque()
        self._offset = 0
        self._retold: list[Segment] = []

    @property
    def is_behind(self) -> bool:
        """True where more had been told before than until now."""
        return bool(self._before)

    def remember(self, kind: str, text: str) -> None:
        """Take a segment that was told before."""
        if self._before and kind != MARK and self._before[-1][0] == kind:
            text = self._before.pop()[1] + text
        self._before.append((kind, text))

    def forget(self) -> None:
        """Discard the text that was published before."""
        self._before.clear()
        self._offset = 0

    def news(self, kind: str, text: str) -> list[Segment]:
        """Return what viewers have to be told of the next segment: nothing, its rest, or all of it."""
        if not self._before:
            return [(kind, text)]
        if kind == MARK:
            self._retold.clear()
        self._retold.append((kind, text))
        while self._before:
            kind_before, text_before = self._before[0]
            if kind != kind_before:
                return self.again()
            if kind == MARK:
                self._before.popleft()
                return []
            length = min(len(text), len(text_before) - self._offset)
            if not text_before.startswith(text[:length], self._offset):
                return self.again()
            self._offset += length
            text = text[length:]
            if self._offset == len(text_before):
                self._before.popleft()
                self._offset = 0
            if not text:
                return []
        self._retold.clear()
        return [(kind, text)]

    def again(self) -> list[Segment]:
        """Return everything since the last mark, and a mark before it: what was told before differs."""
        retold, self._retold = self._retold, []
        self.forget()
        return retold if retold and retold[0][0] == MARK else [(MARK, ""), *retold]
