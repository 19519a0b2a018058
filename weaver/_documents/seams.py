"""Where a document may be cut: the lower the rank of a line, the better a cut before it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from weaver._documents.kinds import Kind

LINE = 4
"""Rank of a cut between two lines that belong together."""
_PARAGRAPH = 2
_INSIDE_CODE = 5
_HEADING = re.compile(rb"(#{1,6})\s+(.*)")
_FENCE = re.compile(rb"\s{0,3}(```|~~~)")
_DEFINITION = re.compile(
    rb"(?:export\s+|public\s+|private\s+|static\s+|async\s+|pub\s+|abstract\s+)*"
    rb"(?:def|class|func|function|fn|impl|struct|enum|interface|trait|type|module|namespace|CREATE|create)\b"
)
_LONGEST_HEADING = 80
_SENTENCE_ENDS = (b". ", b"! ", b"? ", b"},", "。".encode(), b"; ")


@dataclass(slots=True)
class Walk:
    """A walk over the lines of a document: which line, page and headings it has come to.

    Attributes:
        line: number of the next line, from 1.
        page: of the next line; None for a document without pages.
    """

    kind: Kind
    line: int = 1
    page: int | None = None
    headings: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    is_fenced: bool = False
    is_quoted: bool = False
    _was_blank: bool = True

    def __post_init__(self) -> None:
        if self.kind == "pages" and self.page is None:
            self.page = 1

    def copy(self) -> Walk:
        """Return a walk that goes on from here by itself."""
        walk = Walk(self.kind, self.line, self.page, list(self.headings), self.is_fenced, self.is_quoted)
        walk._was_blank = self._was_blank
        return walk

    @property
    def heading(self) -> str:
        """The headings that the next line stands under."""
        return " > ".join(title for _, title in self.headings)

    def rank(self, line: bytes) -> int:
        """Return how well the document may be cut before ``line``, which is the next one."""
        if self.kind == "records":
            return LINE if self.is_quoted else 1
        if self.kind == "markdown" and self.is_fenced:
            return _INSIDE_CODE
        if line.startswith(b"\f"):
            return 0
        if self.kind == "markdown" and (match := _HEADING.match(line)):
            return 0 if len(match[1]) <= 2 else 1
        if self.kind == "code":
            return self._rank_in_code(line)
        return _PARAGRAPH if self._was_blank and line.strip() else LINE

    def _rank_in_code(self, line: bytes) -> int:
        if not self._was_blank:
            return LINE
        if line[:1] not in b" \t)}]\r\n":
            return 0
        return 1 if _DEFINITION.match(line.lstrip()) else _PARAGRAPH

    def step(self, line: bytes) -> None:
        """Go past ``line``, with its line end if it has one."""
        if self.kind == "markdown":
            self._step_in_markdown(line)
        else:
            self.skip(line)

    def skip(self, text: bytes) -> None:
        """Go past whole lines at once."""
        if self.kind == "markdown":
            for line in text.splitlines(keepends=True):
                self._step_in_markdown(line)
            return
        if self.page is not None:
            self.page += text.count(b"\f")
        elif self.kind == "records" and text.count(b'"') % 2:
            self.is_quoted = not self.is_quoted
        last = text[text.rfind(b"\n", 0, len(text) - 1) + 1 :]
        self._was_blank = not last.strip()
        self.line += text.count(b"\n")

    def _step_in_markdown(self, line: bytes) -> None:
        if _FENCE.match(line):
            self.is_fenced = not self.is_fenced
        elif not self.is_fenced and (match := _HEADING.match(line)):
            title = match[2].decode("utf-8", "replace").strip(" #\r\n")[:_LONGEST_HEADING]
            self.headings = [h for h in self.headings if h[0] < len(match[1])] + [(len(match[1]), title)]
        self._was_blank = not line.strip()
        self.line += line.endswith(b"\n")


def cut_inside(line: bytes, limit: int) -> int:
    """Return where a line that is too long may be cut: a sentence's end, a blank, else between characters.

    Args:
        limit: bytes, at least 4.
    """
    window = line[:limit]
    for marks in (_SENTENCE_ENDS, (b" ", b",", b"\t")):
        at = max(window.rfind(mark) + len(mark) if window.rfind(mark) >= 0 else 0 for mark in marks)
        if at > limit // 2:
            return at
    at = limit
    while at > limit - 4 and at < len(line) and line[at] & 0xC0 == 0x80:
        at -= 1
    return at
