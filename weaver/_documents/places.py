"""Where in a document something stands, and what an answer was made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from weaver._text.shortening import one_line

MAX_EXCERPT = 200
"""Characters of a source's text."""


@dataclass(frozen=True, slots=True)
class Place:
    """A range of lines of a document.

    Attributes:
        document: its name.
        first_line, last_line: from 1; of a PDF or HTML page, lines of the text that was read from it.
        page: of a document that has pages, from 1; else None.
        heading: the headings that the place stands under, outermost first, joined by " > "; or "".
        offset: where it begins in a document's bytes, if that is inside a line (of a file without line ends).
    """

    document: str
    first_line: int
    last_line: int
    page: int | None = None
    heading: str = ""
    offset: int | None = None

    def __str__(self) -> str:
        lines = (
            f"line {self.first_line}"
            if self.first_line == self.last_line
            else f"lines {self.first_line}-{self.last_line}"
        )
        if self.offset is not None:
            lines += f" from byte {self.offset:,}"
        where = lines if self.page is None else f"page {self.page}"
        return f"{self.document}, {where}" + (f" ({self.heading})" if self.heading else "")


@dataclass(frozen=True, slots=True)
class Source:
    """A place that an answer rests on.

    Attributes:
        text: its beginning, at most `MAX_EXCERPT` characters.
        thread: the thread that read it, or "" for the root.
    """

    place: Place
    text: str
    thread: str = ""

    def __str__(self) -> str:
        return str(self.place)

    def as_dict(self) -> dict[str, Any]:
        """The shape that ``weaver run --json`` prints."""
        place = self.place
        return {
            "document": place.document,
            "lines": [place.first_line, place.last_line],
            "page": place.page,
            "heading": place.heading,
            "text": self.text,
            "thread": self.thread,
        }


def source(place: Place, text: str, thread: str = "") -> Source:
    """Make a source; its text is put on one line and cut."""
    return Source(place, one_line(text[: 2 * MAX_EXCERPT], MAX_EXCERPT), thread)
