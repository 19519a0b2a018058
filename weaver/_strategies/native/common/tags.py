"""Formats whose blocks of threads are written with tags and joined as a whole.

    <Parallel> <Outlines> <Outline>1: ...</Outline> ... </Outlines>
    <Thread>1: ...</Thread> ... <Conclusion>...</Conclusion> </Parallel>

ThreadWeaver, Multiverse, NPR and Parallel-R1 differ in the names, in what is optional and in who writes what.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from weaver._strategies.native.common.checking import check_tags
from weaver._strategies.native.common.format import Branch, Format, Problem, Told
from weaver._strategies.native.common.grammar import Grammar
from weaver._strategies.native.common.scanner import Piece, TagScanner, disarmed
from weaver._strategies.native.common.trajectory import Block, Path, Trajectory, joined

_KEY = re.compile(r"\s*([0-9]+(?:\.[0-9]+)*)\s*:")


@dataclass(frozen=True, kw_only=True)
class TagFormat(Grammar, Format):
    """A format of tags: a `Grammar`, and how the engine writes in it.

    Args:
        width: number of threads where no outlines say it.
        opening: how a thread begins; ``{key}`` is its number. ``before`` stands before the first thread,
            ``between`` between two, ``after`` follows the last; the engine writes them.
    """

    name: str
    source: str
    width: int = 0
    opening: str
    before: str = "\n"
    between: str = ""
    after: str = ""
    forks: tuple[str, ...]
    ambiguous: tuple[str, ...] = ()
    then_until: str = ""
    min_tokens: int = 0
    rounds: int = 32

    @property
    def names(self) -> tuple[str, ...]:  # type: ignore[override]
        """Opening and closing tags."""
        return self.marks

    @property
    def thread_stops(self) -> tuple[str, ...]:  # type: ignore[override]
        """A thread ends with its closing tag."""
        return (f"</{self.thread}>",)

    def branches(self, context: str, said: str) -> list[Branch]:
        """One thread for each outline of the last list, by number; ``width`` of them where there are none."""
        del context
        keys: dict[str, str] = {}
        if not self.outline:
            keys = {str(n + 1): f"path {n + 1}" for n in range(self.width)}
        else:
            listed = said.rpartition(f"<{self.plan}>")[2]
            number, end = r"\s*([0-9]+(?:\.[0-9]+)*)\s*:", rf"</{self.outline}>|(?=<{self.outline}>)|$"
            pattern = rf"<{self.outline}>{number}(.*?)(?:{end})"
            for key, title in re.findall(pattern, listed, re.DOTALL):
                keys.setdefault(key, " ".join(title.split())[:80])
        return [
            Branch(key, title or f"thread {key}", self.before + self.opening.format(key=key))
            for key, title in keys.items()
        ]

    def join(self, context: str, told: Sequence[Told]) -> str:
        """Context, threads in order, and what the engine writes after them."""
        threads = [self.opening.format(key=t.branch.key) + t.text + f"</{self.thread}>" for t in told]
        return context + self.before + self.between.join(threads) + self.after

    def harmless(self, text: str) -> str:
        """See `Format.harmless`; complete blocks that the thread forked itself stay as they are."""
        if self.max_depth == 1:
            return disarmed(text, self.tags)
        lines: list[str] = []
        for start, end, whole in self._blocks_in(text):
            lines.append(text[start:end] if whole else disarmed(text[start:end], self.tags))
        return "".join(lines)

    def parse(self, text: str) -> Trajectory:
        """The tree of a trajectory; threads without nesting are plain text up to their closing tag."""
        return Trajectory(_Reader(self, TagScanner(self.names).scan(text)).body("", 0)[0])

    def check(self, text: str) -> list[Problem]:
        """See `weaver.strategies.check`."""
        return check_tags(self, text)

    def ends_thread(self, text: str) -> bool:
        """Not while a thread of a block that was written without forking is open inside it."""
        if self.max_depth == 1:
            return True
        return text.count(f"<{self.thread}>") == text.count(f"</{self.thread}>")

    def closing(self, text: str) -> str:
        """The closing tags of what is open, innermost first."""
        open_tags: list[str] = []
        counts: Counter[str] = Counter()  # a search of the open tags for each tag would be quadratic
        for piece in TagScanner(self.names).scan(text):
            if not piece.tag:
                continue
            if not piece.tag.startswith("/"):
                if self.max_depth > 1 or not counts[self.thread]:
                    open_tags.append(piece.tag)
                    counts[piece.tag] += 1
            elif counts[piece.tag[1:]] and not self._literal(open_tags, piece.tag):
                tag = ""
                while tag != piece.tag[1:]:
                    tag = open_tags.pop()
                    counts[tag] -= 1
        return "".join(f"</{tag}>" if tag == self.thread else f"\n</{tag}>" for tag in reversed(open_tags))

    def _literal(self, open_tags: list[str], tag: str) -> bool:
        """True if a closing tag inside a thread is only text: threads without nesting know just their own."""
        return self.max_depth == 1 and open_tags[-1] == self.thread and tag != f"/{self.thread}"

    def _blocks_in(self, text: str) -> list[tuple[int, int, bool]]:
        """``text`` cut into spans (start, end, is a complete block)."""
        spans: list[tuple[int, int, bool]] = []
        done = 0
        reader = _Reader(self, TagScanner(self.names).scan(text))
        for block, end in reader.outermost():
            whole = block.closed and all(t.closed for t in block.threads) and bool(block.threads)
            if whole:
                spans += [(done, block.at, False), (block.at, end, True)]
                done = end
        return [*spans, (done, len(text), False)]


class _Reader:
    """Builds the tree from the pieces of a text."""

    def __init__(self, form: TagFormat, pieces: list[Piece]) -> None:
        self.form = form
        self.pieces = pieces

    def outermost(self) -> list[tuple[Block, int]]:
        """The outermost blocks and where each ends."""
        spans: list[tuple[Block, int]] = []
        i = 0
        while i < len(self.pieces):
            if self.pieces[i].tag == self.form.begins_block:
                block, i = self.block(i, 1)
                last = self.pieces[i - 1]
                spans.append((block, last.at + len(last.text)))
            else:
                i += 1
        return spans

    def body(self, closing: str, i: int, depth: int = 0) -> tuple[list[str | Block], int, bool]:
        """Text and blocks from piece ``i`` to the tag ``closing``: parts, next piece, whether it closed."""
        parts: list[str | Block] = []
        nests = depth < self.form.max_depth
        while i < len(self.pieces):
            piece = self.pieces[i]
            if closing and piece.tag == closing:
                return joined(parts), i + 1, True
            if piece.tag == self.form.begins_block and nests:
                block, i = self.block(i, depth + 1)
                parts.append(block)
            else:
                parts.append(piece.text)
                i += 1
        return joined(parts), i, not closing

    def block(self, i: int, depth: int) -> tuple[Block, int]:
        """The block that begins at piece ``i``, and the piece after it."""
        block = Block(closed=False, at=self.pieces[i].at)
        i = self._fill(block, i, depth)
        block.parts = joined(block.parts)
        return block, i

    def _fill(self, block: Block, i: int, depth: int) -> int:
        form = self.form
        titles: dict[str, str] = {}
        while i < len(self.pieces):
            piece = self.pieces[i]
            if not form.block and self._over(block, piece):
                return i
            block.parts.append(piece.text)
            i += 1
            if piece.tag == form.thread:
                body, i, closed = self.body(f"/{form.thread}", i, depth)
                first = body[0] if body and isinstance(body[0], str) else ""
                match = _KEY.match(first)
                key = match.group(1) if match else ""
                block.parts.append(Path(key, titles.get(key, ""), body, closed, piece.at))
                if closed:
                    block.parts.append(self.pieces[i - 1].text)
            elif piece.tag in (form.conclusion, form.plan) and piece.tag:
                i = self._to(f"/{piece.tag}", i, block, titles)
                if (
                    not form.block
                    and piece.tag == form.conclusion
                    and self.pieces[i - 1].tag == f"/{piece.tag}"
                ):
                    block.closed = True
                    return i
            elif form.block and piece.tag == f"/{form.block}":
                block.closed = True
                return i
        return i

    def _to(self, closing: str, i: int, block: Block, titles: dict[str, str]) -> int:
        """Take everything up to a closing tag as the block's own text."""
        while i < len(self.pieces):
            piece = self.pieces[i]
            block.parts.append(piece.text)
            i += 1
            if piece.tag == closing:
                break
            listed = self.pieces[i].text if piece.tag == self.form.outline and i < len(self.pieces) else ""
            if match := _KEY.match(listed):
                titles[match.group(1)] = " ".join(listed[match.end() :].split())
        return i

    def _over(self, block: Block, piece: Piece) -> bool:
        """Return True if this piece is outside the block, in a format without a wrapping tag."""
        if not block.parts:
            return False
        return bool(piece.text.strip()) and piece.tag not in (self.form.thread, self.form.conclusion)
