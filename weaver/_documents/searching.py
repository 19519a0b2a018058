"""Looking into documents without holding them: lines that have certain words, and lines by number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from weaver._documents.content import BLOCK
from weaver._documents.document import Document

LINE_CHARS = 300
"""Characters of a line that are shown."""
_LONGEST_CARRY = 64 * BLOCK
_AT_ONCE = 4 * BLOCK


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a document; of a long one the part around what was looked for."""

    document: Document
    number: int
    text: str


def lines_with(document: Document, text: str) -> Iterator[Line]:
    """Find the lines that have all words of ``text``, in any order; upper and lower case are the same.

    The document is gone through once, block by block.
    """
    words = text.casefold().split()
    if not words:
        return
    for first, block in _blocks_of_lines(document):
        folded = block.casefold()
        if not all(word in folded for word in words):
            continue
        for number, line in enumerate(block.split("\n"), start=first):
            low = line.casefold()
            if all(word in low for word in words):
                yield Line(document, number, around(line, low.find(words[0])))


def count_of(document: Document, text: str) -> tuple[int, int]:
    """Count the lines that have ``text`` as it is written, but for case, and how often it stands there.

    Returns:
        Lines, and occurrences.
    """
    wanted = text.casefold()
    lines = occurrences = 0
    for _, block in _blocks_of_lines(document):
        folded = block.casefold()
        if wanted in folded:
            counts = [line.count(wanted) for line in folded.split("\n")]
            lines += sum(map(bool, counts))
            occurrences += sum(counts)
    return lines, occurrences


def lines_from(document: Document, first: int, last: int) -> list[Line]:
    """Return lines by number, as far as they exist; of very long ones the beginning."""
    index = document.lines
    first, last = max(1, first), min(last, index.count)
    if first > last:
        return []
    begin, end = index.offset_of(first), index.offset_of(last + 1)
    if end - begin <= _AT_ONCE:
        texts = document.content.read(begin, end).removesuffix(b"\n").split(b"\n")
        return [
            Line(document, number, around(text.decode("utf-8", "replace").strip("\r\f"), 0))
            for number, text in enumerate(texts, start=first)
        ]
    lines: list[Line] = []
    for number in range(first, last + 1):
        start = index.offset_of(number)
        end = min(index.offset_of(number + 1), start + 4 * LINE_CHARS)
        lines.append(Line(document, number, around(document.text(start, end).rstrip("\r\n\f"), 0)))
    return lines


def around(line: str, at: int) -> str:
    """Return ``line``, or the part of it around position ``at`` where it is long."""
    if len(line) <= LINE_CHARS:
        return line.strip()
    start = max(0, at - LINE_CHARS // 3)
    end = start + LINE_CHARS
    return f"{'…' if start else ''}{line[start:end].strip()}{'…' if end < len(line) else ''}"


def _blocks_of_lines(document: Document) -> Iterator[tuple[int, str]]:
    """Go through whole lines, some hundred kilobytes at once: number of the first, and the text."""
    carry, number = b"", 1
    for start in range(0, document.size, BLOCK):
        data = carry + document.content.read(start, start + BLOCK)
        end = data.rfind(b"\n") + 1
        if end == 0 and len(data) > _LONGEST_CARRY:
            end = len(data)  # a line of many megabytes is looked at in parts
        if end:
            yield number, data[:end].removesuffix(b"\n").decode("utf-8", "replace")
            number += data.count(b"\n", 0, end)
        carry = data[end:]
    if carry:
        yield number, carry.decode("utf-8", "replace")
