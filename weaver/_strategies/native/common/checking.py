"""The format checker for tag formats: every way in which a text breaks its format, with its position."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from weaver._strategies.native.common.format import Problem
from weaver._strategies.native.common.grammar import Grammar
from weaver._strategies.native.common.scanner import Piece, TagScanner
from weaver._text.shortening import one_line

_KEY = re.compile(r"\s*([0-9]+(?:\.[0-9]+)*)\s*:")


@dataclass(slots=True)
class _Open:
    """A tag that is open, and what has been seen inside it."""

    tag: str
    at: int
    texts: list[str] = field(default_factory=list[str])
    outlines: list[str] = field(default_factory=list[str])
    threads: list[str] = field(default_factory=list[str])
    plans: int = 0
    conclusions: int = 0
    last_end: int = 0
    last: str = ""


def check_tags(form: Grammar, text: str) -> list[Problem]:
    """The problems of ``text``, in order of position; empty when the format is kept."""
    walk = _Walk(form)
    for piece in TagScanner(form.marks).scan(text):
        walk.take(piece)
    walk.end(len(text))
    return sorted(walk.problems, key=lambda p: p.at)


class _Walk:
    def __init__(self, form: Grammar) -> None:
        self.form = form
        self.problems: list[Problem] = []
        self.stack: list[_Open] = []
        self.counts: Counter[str] = Counter()  # of the stack's tags: searching the stack would be quadratic
        self._push("", 0)
        # Where the format has no wrapping tag, a block of this name is opened and closed for it.
        self.block = form.block or "(block)"

    def _push(self, tag: str, at: int) -> None:
        self.stack.append(_Open(tag, at))
        self.counts[tag] += 1

    def _pop(self) -> _Open:
        frame = self.stack.pop()
        self.counts[frame.tag] -= 1
        return frame

    def take(self, piece: Piece) -> None:
        if not piece.tag:
            self._text(piece)
        elif piece.tag.startswith("/"):
            self._close(piece)
        else:
            self._open(piece)

    def end(self, at: int) -> None:
        for frame in reversed(self.stack[1:]):
            if frame.tag == "(block)":
                self._block_done(frame, at)
            else:
                self._problem("unclosed", f"<{frame.tag}> is never closed.", frame.at)

    def _problem(self, rule: str, message: str, at: int) -> None:
        self.problems.append(Problem(rule, message, at))

    def _text(self, piece: Piece) -> None:
        frame = self.stack[-1]
        if frame.tag == "(block)" and piece.text.strip():
            self._block_done(frame, piece.at)
            self._pop()
            frame = self.stack[-1]
        frame.texts.append(piece.text)
        if frame.tag in (self.block, self.form.plan) and frame.tag and piece.text.strip():
            where = f"<{frame.tag}>"
            self._problem("misplaced", f"Text stands directly in {where}: {_short(piece.text)}.", piece.at)

    def _open(self, piece: Piece) -> None:
        form, frame = self.form, self.stack[-1]
        if piece.tag == form.plan and not form.block:
            if frame.tag == "(block)":
                self._block_done(frame, piece.at)
                self._pop()
            if self._may_nest(piece):
                self._push("(block)", piece.at)
            frame = self.stack[-1]
        allowed: set[str] = set()
        if frame.tag in ("", form.thread):
            allowed = {form.block, form.summary} - {""}
        elif frame.tag == self.block:
            allowed = {form.plan, form.thread, form.conclusion} - {""}
        elif frame.tag == form.plan:
            allowed = {form.outline}
        if piece.tag == form.block and frame.tag in ("", form.thread) and not self._may_nest(piece):
            pass
        elif piece.tag not in allowed:
            inside = f"inside <{frame.tag}>" if frame.tag.strip("(") and frame.tag != "(block)" else "here"
            self._problem("misplaced", f"<{piece.tag}> may not stand {inside}.", piece.at)
        elif frame.tag == self.block:
            self._in_block(frame, piece)
        self._push(piece.tag, piece.at)

    def _may_nest(self, piece: Piece) -> bool:
        depth = self.counts[self.block]
        if depth < self.form.max_depth:
            return True
        self._problem("misplaced", f"<{piece.tag}> is nested {depth + 1} deep.", piece.at)
        return False

    def _in_block(self, block: _Open, piece: Piece) -> None:
        form = self.form
        if piece.tag == form.plan:
            block.plans += 1
            if block.threads or block.plans > 1:
                self._problem("order", f"<{form.plan}> must come first, once.", piece.at)
        elif piece.tag == form.thread:
            if form.plan and not block.plans:
                self._problem("order", f"<{form.thread}> comes before <{form.plan}>.", piece.at)
            if block.conclusions:
                self._problem("order", f"<{form.thread}> comes after <{form.conclusion}>.", piece.at)
            if form.adjacent and block.last == form.thread and piece.at != block.last_end:
                self._problem("gap", f"Something stands between two <{form.thread}>.", block.last_end)
        elif piece.tag == form.conclusion:
            block.conclusions += 1
            if block.conclusions > 1 or not block.threads:
                self._problem("order", f"<{form.conclusion}> must follow the threads, once.", piece.at)

    def _close(self, piece: Piece) -> None:
        form, name = self.form, piece.tag[1:]
        if self.stack[-1].tag == "(block)" and name != "(block)":
            self._block_done(self._pop(), piece.at)
        if not self.counts[name]:
            self._problem("unclosed", f"</{name}> closes nothing.", piece.at)
            return
        while self.stack[-1].tag != name:
            frame = self._pop()
            self._problem("unclosed", f"<{frame.tag}> is never closed.", frame.at)
        frame = self._pop()
        parent = self.stack[-1]
        parent.last, parent.last_end = name, piece.at + len(piece.text)
        if name == form.block:
            self._block_done(frame, piece.at)
        elif name in (form.outline, form.thread):
            self._numbered(parent, frame)
        elif name == form.plan and parent.tag == self.block:
            parent.outlines = frame.outlines
        elif name == form.conclusion and not form.block and parent.tag == "(block)":
            self._block_done(self._pop(), piece.at)

    def _numbered(self, parent: _Open, frame: _Open) -> None:
        """Take the number of an outline or thread that has just ended."""
        listed = parent.outlines if frame.tag == self.form.outline else parent.threads
        if not self.form.outline:
            listed.append(str(len(listed) + 1))
        elif match := _KEY.match("".join(frame.texts)):
            listed.append(match.group(1))
        else:
            self._problem("numbering", f"<{frame.tag}> does not begin with its number.", frame.at)
            listed.append("?")

    def _block_done(self, block: _Open, at: int) -> None:
        form = self.form
        if form.plan and not block.plans:
            self._problem("missing", f"The block has no <{form.plan}>.", block.at)
        if not block.threads:
            self._problem("missing", f"The block has no <{form.thread}>.", block.at)
        if form.outline and len(block.outlines) != len(block.threads):
            counts = f"{len(block.outlines)} outlines and {len(block.threads)} threads"
            self._problem("count", f"The block has {counts}.", block.at)
        elif form.outline and block.threads != block.outlines:
            self._problem("numbering", f"Threads are numbered {', '.join(block.threads)}.", block.at)
        if not _in_order(block.outlines):
            self._problem("numbering", f"Outlines are numbered {', '.join(block.outlines)}.", block.at)
        if form.max_branches and len(block.threads) > form.max_branches:
            count = f"{len(block.threads)} threads; at most {form.max_branches} are allowed"
            self._problem("count", f"The block has {count}.", block.at)
        if form.conclusion_needed and not block.conclusions:
            self._problem("missing", f"The block has no <{form.conclusion}>.", at)


def _in_order(keys: list[str]) -> bool:
    """``1, 2, 3`` or, nested, ``2.1, 2.2, 2.3``."""
    if not keys or "?" in keys:
        return True
    prefix = keys[0].rpartition(".")[0]
    prefix = f"{prefix}." if prefix else ""
    return keys == [f"{prefix}{i + 1}" for i in range(len(keys))]


def _short(text: str) -> str:
    return repr(one_line(text, 40))
