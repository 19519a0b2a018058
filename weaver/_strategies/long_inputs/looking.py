"""The read-only tools of `explore`: find, count, read. Their results are bounded, and keep their places."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from weaver._documents.document import Document
from weaver._documents.places import Place, Source, source
from weaver._documents.searching import Line, around, count_of, lines_from, lines_with
from weaver._documents.sizes import tokens_in
from weaver._tools.function import FunctionTool
from weaver.errors import ToolError

_MOST_HITS = 1000
_MOST_LINES = 400
_OUTLINE_LINES = 12
_MOST_SOURCES = 50


class Looking:
    """Documents, and what was seen of them.

    Args:
        room: most tokens of one result.
    """

    def __init__(self, documents: Sequence[Document], room: int) -> None:
        self.documents = documents
        self._room = room
        self.sources: dict[tuple[str, int], Source] = {}

    @property
    def tools(self) -> dict[str, FunctionTool]:
        """The tools by name."""
        return {tool.name: tool for tool in (FunctionTool(f) for f in (self.find, self.count, self.read))}

    def find(self, text: str, document: str = "") -> str:
        """Show the lines that have all words of ``text``, with their numbers.

        Args:
            document: where to look; everywhere by default.
        """
        hits: list[Line] = []
        for one in self._chosen(document):
            hits += islice(lines_with(one, text), _MOST_HITS + 1 - len(hits))
        if not hits:
            return f"No line has all the words of {text!r}."
        more = "more than " if len(hits) > _MOST_HITS else ""
        count = min(len(hits), _MOST_HITS)
        return self._listed(hits[:_MOST_HITS], f"{more}{count} lines")

    def count(self, text: str, document: str = "") -> str:
        """Count the lines that have exactly ``text``, by document.

        Args:
            document: where to count; everywhere by default.
        """
        if not text.strip():
            raise ToolError("count needs a text.")
        counts = [(one.name, *count_of(one, text)) for one in self._chosen(document)]
        lines, occurrences = sum(c[1] for c in counts), sum(c[2] for c in counts)
        total = f"{lines} lines have {text!r}, {occurrences} times in all."
        own = [f"{name}: {number} lines" for name, number, _ in counts if number]
        return self._cut("\n".join([total, *own]) if len(own) > 1 else total)

    def read(self, document: str = "", first: int = 1, last: int = 0) -> str:
        """Show lines ``first`` to ``last`` of a document, with their numbers.

        Args:
            last: 0 for as many as can be shown.
        """
        one = self._one(document)
        last = min(last if last >= first else first + _MOST_LINES, first + _MOST_LINES)
        lines = lines_from(one, first, last)
        if not lines:
            return f"{one.name} has {one.lines.count} lines."
        return self._listed(lines, f"{one.name} has {one.lines.count} lines")

    def part(self, document: str, first: int, last: int) -> list[Document]:
        """Return the documents, or the lines of one, that a sub-question is about.

        Raises:
            ToolError: there is no such document.
        """
        if not document and len(self.documents) > 1:
            return list(self.documents)
        one = self._one(document)
        if first <= 1 and last <= 0:
            return [one]
        return [one.part(first, last if last >= first else one.lines.count)]

    def outline(self, room: int) -> str:
        """Describe the documents: names, sizes, headings or first lines.

        Args:
            room: most tokens.
        """
        lines: list[str] = []
        share = max(2, min(_OUTLINE_LINES, 60 // len(self.documents)))
        for one in self.documents:
            lines.append(f"{one.name}: {one.kind}, {one.lines.count} lines")
            lines += [f"   {line.number}: {line.text[:100]}" for line in _telling(one, share)]
        return _fitting(lines, room, "more documents")

    def sources_for(self, answer: str) -> tuple[Source, ...]:
        """Return the lines seen that share a word or number with the answer; the last ones if none does."""
        words = {w for w in _words(answer) if len(w) > 3 or w.isdigit()}
        related = [s for s in self.sources.values() if words & _words(s.text)]
        return tuple((related or list(self.sources.values()))[-_MOST_SOURCES:])

    def _listed(self, lines: Sequence[Line], title: str) -> str:
        shown: list[str] = []
        room = self._room
        for line in lines:
            text = f"{line.document.name}:{line.number}: {line.text}"
            room -= tokens_in(text.encode())
            if room < 0 and shown:
                break
            shown.append(text)
            place = Place(line.document.name, line.number, line.number)
            self.sources[line.document.name, line.number] = source(place, line.text)
        left_out = len(lines) - len(shown)
        end = f"\n({left_out} more lines; the next is line {lines[len(shown)].number})" if left_out else ""
        return f"{title}:\n" + "\n".join(shown) + end

    def _cut(self, text: str) -> str:
        return _fitting(text.split("\n"), self._room, "more")

    def _chosen(self, document: str) -> list[Document]:
        return [self._one(document)] if document else list(self.documents)

    def _one(self, name: str) -> Document:
        if len(self.documents) == 1 and not name:
            return self.documents[0]
        for one in self.documents:
            if one.name.casefold() == name.strip().casefold():
                return one
        names = ", ".join(one.name for one in self.documents[:20])
        raise ToolError(f"There is no document {name!r}; there are: {names}.")


def _telling(document: Document, count: int) -> list[Line]:
    """The headings of a document, else its first lines."""
    if document.kind == "markdown":
        headings = [line for line in islice(lines_with(document, "#"), 200) if line.text.startswith("#")]
        if headings:
            return headings[:count]
    return [line for line in lines_from(document, 1, 3) if line.text][:2]


def _fitting(lines: Sequence[str], room: int, what: str) -> str:
    taken: list[str] = []
    for line in lines:
        room -= tokens_in(line.encode())
        if room < 0:
            return "\n".join([*taken, f"({len(lines) - len(taken)} {what})"])
        taken.append(line)
    return "\n".join(taken)


def _words(text: str) -> set[str]:
    return {word.strip(".,;:!?()[]\"'") for word in around(text.casefold(), 0).split()}
