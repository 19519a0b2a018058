"""A document: a name, a kind, and text that is read as it is needed."""

from __future__ import annotations

from functools import cached_property

from weaver._documents.content import Content, LineIndex, Section
from weaver._documents.kinds import Kind


class Document:
    """A text that a task is about.

    Attributes:
        name: how answers refer to it: a file's name, or ``document 2``.
        kind: where it may be split: see `weaver._documents.seams`.
        content: its text, UTF-8.
        notes: what a reader should know, such as a guessed encoding.
        first_line: number of its first line: not 1 for a part of another document.
    """

    def __init__(
        self,
        name: str,
        kind: Kind,
        content: Content,
        *,
        notes: tuple[str, ...] = (),
        first_line: int = 1,
    ) -> None:
        self.name = name
        self.kind: Kind = kind
        self.content = content
        self.notes = notes
        self.first_line = first_line

    def __repr__(self) -> str:
        return f"Document({self.name!r}, {self.kind}, {self.content.size:,} bytes)"

    @property
    def size(self) -> int:
        """Bytes of UTF-8."""
        return self.content.size

    @cached_property
    def lines(self) -> LineIndex:
        """Offsets of its lines; made when it is first needed, by going through it once."""
        return LineIndex(self.content)

    def part(self, first: int, last: int) -> Document:
        """Return lines ``first`` to ``last`` as a document; lines keep their numbers."""
        start, end = self.lines.offset_of(first), self.lines.offset_of(last + 1)
        return Document(self.name, self.kind, Section(self.content, start, end), first_line=max(1, first))

    def text(self, start: int, end: int) -> str:
        """Return the text between two byte offsets.

        Raises:
            InvalidTaskError: the file cannot be read any more.
        """
        return self.content.read(start, end).decode("utf-8", "replace")
