"""A document: a name, a kind, and text that is read as it is needed."""

from __future__ import annotations

from functools import cached_property

from weaver._documents.content import Content, LineIndex
from weaver._documents.kinds import Kind


class Document:
    """A text that a task is about.

    Attributes:
        name: how answers refer to it: a file's name, or ``document 2``.
        kind: where it may be split: see `weaver._documents.seams`.
        content: its text, UTF-8.
        notes: what a reader should know, such as a guessed encoding.
    """

    def __init__(self, name: str, kind: Kind, content: Content, *, notes: tuple[str, ...] = ()) -> None:
        self.name, self.kind, self.content, self.notes = name, kind, content, notes

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

    def text(self, start: int, end: int) -> str:
        """Return the text between two byte offsets.

        Raises:
            InvalidTaskError: the file cannot be read any more.
        """
        return self.content.read(start, end).decode("utf-8", "replace")
