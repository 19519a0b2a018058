"""Cutting documents into pieces of a size, at their own seams, without holding more than one piece."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate

from weaver._documents.document import Document
from weaver._documents.places import Place
from weaver._documents.seams import Walk, cut_inside
from weaver._documents.sizes import BYTES_A_TOKEN, tokens_in

_LEAST_SHARE = 3
"""A piece is at least one over this of what it may be, where a better seam lies further back."""
_LONGEST_HEADER = 1000
LEAST_TOKENS = 16
_LABEL = 16
"""Tokens of the place that stands above each piece of a batch."""


@dataclass(frozen=True)
class Piece:
    """A part of a document. Its text is read when it is asked for.

    Attributes:
        start, end: byte offsets.
        walk: line, page and headings at its beginning.
        last_line: of the document.
        tokens: an estimate, rather too many.
        header: the first line of a table that the piece is the middle of.
        is_inside_line: it begins in the middle of a line.
    """

    document: Document
    start: int
    end: int
    walk: Walk
    last_line: int
    tokens: int
    header: str = ""
    is_inside_line: bool = False

    @property
    def text(self) -> str:
        """The text, without the line end at its end."""
        return self.document.text(self.start, self.end).rstrip("\r\n")

    @property
    def place(self) -> Place:
        """All of the piece."""
        offset = self.start if self.is_inside_line else None
        walk = self.walk
        return Place(self.document.name, walk.line, self.last_line, walk.page, walk.heading, offset)

    def place_of(self, first: int, last: int | None = None) -> Place:
        """Return the place of lines of the piece, counted from 1."""
        walk = self.walk.copy()
        lines = self.document.content.read(self.start, self.end).split(b"\n")
        for line in lines[: first - 1]:
            walk.step(line + b"\n")
        if self.walk.kind == "markdown":
            walk.step(lines[first - 1])  # a heading stands under itself
        page = walk.page + lines[first - 1].startswith(b"\f") if walk.page is not None else None
        offset = self.start if self.is_inside_line and first == 1 else None
        end = walk.line + (last or first) - first
        return Place(self.document.name, walk.line, end, page, walk.heading, offset)

    def halves(self) -> list[Piece]:
        """Return two smaller pieces, or only this one where it is too small to be cut."""
        half = max(LEAST_TOKENS, (self.tokens + 1) // 2)
        if half >= self.tokens:
            return [self]
        return list(_pieces(self.document, half, None, (self.start, self.end), self.walk.copy()))


def split(document: Document, max_tokens: int, *, max_lines: int | None = None) -> Iterator[Piece]:
    """Cut a document.

    Args:
        max_tokens: tokens of a piece, at least `LEAST_TOKENS`.
        max_lines: lines of a piece.

    Raises:
        InvalidTaskError: the file cannot be read any more.
    """
    walk = Walk(document.kind, document.first_line)
    return _pieces(document, max(LEAST_TOKENS, max_tokens), max_lines, (0, document.size), walk)


def _pieces(
    document: Document, max_tokens: int, max_lines: int | None, span: tuple[int, int], walk: Walk
) -> Iterator[Piece]:
    header = _header(document, max_tokens) if max_lines is None or max_lines > 1 else ""
    room = max_tokens - (tokens_in(header.encode()) if header else 0)
    start, end = span
    inside = False
    while start < end:
        data = document.content.read(start, min(end, start + BYTES_A_TOKEN * max_tokens + 4))
        if data.startswith(b"\f"):  # the page that begins here has its own number
            walk.skip(b"\f")
            start += 1
            continue
        is_rest = start + len(data) >= end
        size = _cut(data, max_tokens if start == 0 else room, max_lines, walk, is_rest=is_rest)
        before = walk.copy()
        walk.skip(data[:size])
        own_header = header if start > 0 else ""
        last_line = walk.line - (size > 0 and data[size - 1 : size] == b"\n")
        if data[:size].strip():
            tokens = tokens_in(data[:size])
            yield Piece(document, start, start + size, before, last_line, tokens, own_header, inside)
        start += size
        inside = data[size - 1 : size] != b"\n"


def _lines(data: bytes) -> list[bytes]:
    """Lines with their ends; bytes.splitlines would also end one at a lone carriage return."""
    lines = [line + b"\n" for line in data.split(b"\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


def _header(document: Document, max_tokens: int) -> str:
    """Return the first line of a table with named columns; "" of everything else."""
    if document.kind != "records" or not document.name.lower().endswith((".csv", ".tsv")):
        return ""
    first = document.text(0, min(document.size, _LONGEST_HEADER)).split("\n", 1)[0].strip("\r")
    return first if tokens_in(first.encode()) <= max_tokens // 4 else ""


def _cut(data: bytes, max_tokens: int, max_lines: int | None, walk: Walk, *, is_rest: bool) -> int:
    """Return how many bytes of ``data`` the next piece has."""
    if is_rest and (max_lines is None or data.count(b"\n") < max_lines) and tokens_in(data) <= max_tokens:
        return len(data)
    lines = _lines(data)
    ends = list(accumulate(map(len, lines[: max_lines or len(lines)]), initial=0))
    low, high = 0, len(ends) - 1 if (is_rest or data.endswith(b"\n") or max_lines) else len(ends) - 2
    while low < high:
        middle = (low + high + 1) // 2
        if tokens_in(data[: ends[middle]]) <= max_tokens:
            low = middle
        else:
            high = middle - 1
    if low == 0:
        return _cut_line(lines[0], max_tokens)
    if low == len(lines):
        return ends[low]
    if walk.kind == "records" and not walk.is_quoted and data.count(b'"', 0, ends[low]) % 2 == 0:
        return ends[low]
    going, best, best_rank = walk.copy(), low, 99
    for number in range(low + 1):
        if number > 0 and ends[number] * _LEAST_SHARE >= ends[low]:
            rank = going.rank(lines[number])
            if rank <= best_rank:
                best, best_rank = number, rank
        going.step(lines[number])
    return ends[best]


def _cut_line(line: bytes, max_tokens: int) -> int:
    """Return where to cut a line that has more than ``most`` tokens."""
    size = min(len(line), BYTES_A_TOKEN * max_tokens)
    while tokens_in(line[:size]) > max_tokens and size > BYTES_A_TOKEN:
        size = size * 3 // 4
    return cut_inside(line, max(4, size)) if size < len(line) else size


@dataclass(frozen=True)
class Batch:
    """Pieces that are read together.

    Attributes:
        pieces: in order; of several documents where these are small.
    """

    pieces: tuple[Piece, ...]

    @property
    def tokens(self) -> int:
        """An estimate, rather too many."""
        return sum(piece.tokens for piece in self.pieces)

    @cached_property
    def title(self) -> str:
        """Its place, or the first and last of its places."""
        first, last = self.pieces[0].place, self.pieces[-1].place
        return str(first) if len(self.pieces) == 1 else f"{first} to {last}"

    def halves(self) -> list[Batch]:
        """Return two smaller batches, or only this one where it is too small."""
        if len(self.pieces) > 1:
            middle = len(self.pieces) // 2
            return [Batch(self.pieces[:middle]), Batch(self.pieces[middle:])]
        return [Batch((half,)) for piece in self.pieces for half in piece.halves()]


@dataclass
class _Filling:
    pieces: list[Piece] = field(default_factory=list[Piece])
    tokens: int = 0
    lines: int = 0


def batches(
    documents: Iterable[Document], max_tokens: int, *, max_lines: int | None = None
) -> Iterator[Batch]:
    """Cut documents, and put small ones together.

    Args:
        max_tokens, max_lines: of a batch, see `split`.
    """
    filling = _Filling()
    for document in documents:
        for piece in split(document, max_tokens, max_lines=max_lines):
            lines = piece.last_line - piece.walk.line + 1
            full = filling.tokens + piece.tokens + _LABEL > max_tokens
            full = full or (max_lines is not None and filling.lines + lines > max_lines)
            # Neighbours in one document were cut apart because they do not fit together.
            if filling.pieces and (full or filling.pieces[-1].document is document):
                yield Batch(tuple(filling.pieces))
                filling = _Filling()
            filling.pieces.append(piece)
            filling.tokens += piece.tokens + _LABEL
            filling.lines += lines
    if filling.pieces:
        yield Batch(tuple(filling.pieces))
