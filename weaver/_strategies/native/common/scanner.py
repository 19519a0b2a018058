"""Find control tags in text that arrives in pieces, and make tags in untrusted text harmless."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

LONGEST_TAG = 400
"""A ``<`` that is not closed after this many characters was not the start of a tag."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of plain text, or one control tag.

    Attributes:
        text: exactly what was read.
        tag: the tag's name (``Thread``, ``/Thread``); ``""`` for plain text.
        at: its position in the whole text.
    """

    text: str
    tag: str
    at: int


class TagScanner:
    """Splits text into control tags and what lies between them; a tag may be spread over several pieces.

    Args:
        names: tag names without brackets, as the format writes them (``Thread``, ``/Thread``, ``sync/``).
            Names are matched exactly, upper and lower case included.
        attributes: names of self-closing tags that carry attributes (``promise``).

    The texts of the pieces, joined, are the text that was fed.
    """

    def __init__(self, names: Iterable[str], attributes: Iterable[str] = ()) -> None:
        literal = sorted(set(names), key=len, reverse=True)
        self._openers = tuple(f"<{name}" for name in (*literal, *attributes))
        self._literal = frozenset(f"<{name}>" for name in literal)
        patterns = [re.escape(f"<{name}>") for name in literal]
        patterns += [rf"<{re.escape(name)}(?:\s[^<>]*)?/>" for name in attributes]
        self._tags = re.compile("|".join(patterns)) if patterns else None
        self._held = ""
        self._at = 0

    def feed(self, text: str) -> Iterator[Piece]:
        """The pieces that are complete; a possible start of a tag at the end is held back."""
        self._held += text
        keep = self._unfinished(self._held)
        ready, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        yield from self._split(ready)

    def flush(self) -> Iterator[Piece]:
        """Return what was held back: nothing more will come, so it is plain text."""
        ready, self._held = self._held, ""
        yield from self._split(ready)

    def scan(self, text: str) -> list[Piece]:
        """All pieces of a whole text."""
        return [*self.feed(text), *self.flush()]

    def _split(self, text: str) -> Iterator[Piece]:
        start = 0
        for match in self._tags.finditer(text) if self._tags else ():
            if match.start() > start:
                yield Piece(text[start : match.start()], "", self._at + start)
            name = match.group()[1:-1]
            if match.group() not in self._literal:
                name = re.split(r"[\s/]", name, maxsplit=1)[0]
            yield Piece(match.group(), name, self._at + match.start())
            start = match.end()
        if start < len(text):
            yield Piece(text[start:], "", self._at + start)
        self._at += len(text)

    def _unfinished(self, text: str) -> int:
        """Return how many characters at the end may be the start of a tag."""
        start = text.rfind("<")
        if start < 0 or len(text) - start > LONGEST_TAG:
            return 0
        tail = text[start:]
        if ">" in tail or not any(o.startswith(tail) or tail.startswith(o) for o in self._openers):
            return 0
        return len(tail)


def disarmed(text: str, names: Iterable[str]) -> str:
    """``text`` with the brackets of control tags spaced out (``<Thread>`` becomes ``< Thread>``).

    People read it as before, but neither this engine nor a tokenizer sees a tag.

    Args:
        names: tag names without brackets and slashes; opening, closing and self-closing forms are meant.
    """
    if "<" not in text:
        return text
    alternatives = "|".join(re.escape(name) for name in sorted(set(names), key=len, reverse=True))
    return re.sub(rf"<(?=/?(?:{alternatives})(?:[\s/>]|$))", "< ", text) if alternatives else text


class StopWatch:
    """Finds the first stop string in text that arrives in pieces: some servers do not stop, or do not cut."""

    def __init__(self, stops: Sequence[str]) -> None:
        self.stops = stops
        self.found = ""
        self._keep = max((len(stop) for stop in stops), default=1) - 1
        self._tail = ""

    def read(self, text: str) -> str:
        """``text``, without what follows a stop string that it completes."""
        window = self._tail + text
        hits = [(at, stop) for stop in self.stops if (at := window.find(stop)) >= 0]
        if hits:
            at, self.found = min(hits)
            return text[: max(0, at + len(self.found) - len(self._tail))]
        self._tail = window[-self._keep :] if self._keep else ""
        return text
