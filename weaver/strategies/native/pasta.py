"""PASTA (Jin et al. 2025, arXiv 2502.11517): promises that are kept while the main thread writes on."""

from __future__ import annotations

import re
from collections.abc import Sequence

from weaver.strategies.native.format import Branch, Format, Problem, Told
from weaver.strategies.native.scanner import Piece, TagScanner
from weaver.strategies.native.trajectory import Block, Path, Trajectory

SYNC = "<sync/>"
_TOPIC = re.compile(r"""topic\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_TOKENS = re.compile(r"""tokens\s*=\s*["']?(\d+)""")


class Pasta(Format):
    """``<promise topic="..." tokens="..."/>`` starts a thread at once; ``<sync/>`` waits for all of them.

    A thread sees the main thread's text up to and including its promise. When it is joined, its text stands
    right behind the promise.
    """

    name = "pasta"
    source = "PASTA, Jin et al. 2025, arXiv 2502.11517"
    forks = (SYNC,)
    ambiguous = (SYNC,)
    thread_stops = ("</async>",)
    names = ("async", "/async", "sync/")
    attributes = ("promise",)
    overlapping = True
    max_branches = 32
    max_depth = 1
    rounds = 16

    def scanner(self) -> TagScanner:
        """A scanner for the tags of the language."""
        return TagScanner(self.names, self.attributes)

    def branches(self, context: str, said: str) -> list[Branch]:
        """The promise that ``said`` ends with, as a thread."""
        del context
        pieces = self.scanner().scan(said)
        if not pieces or pieces[-1].tag != "promise":
            return []
        return [self.promise(pieces[-1], str(sum(p.tag == "promise" for p in pieces)))]

    def promise(self, piece: Piece, key: str) -> Branch:
        """The thread that keeps a promise."""
        topic, tokens = _TOPIC.search(piece.text), _TOKENS.search(piece.text)
        title = (topic[1] or topic[2] or "") if topic else ""
        return Branch(
            key, title or f"promise {key}", "<async>", max_tokens=int(tokens[1]) if tokens else None
        )

    def join(self, context: str, told: Sequence[Told]) -> str:
        """The context with each kept promise followed by its text. ``told`` is in the order of promises."""
        pieces = self.scanner().scan(context)
        open_promises = [i for i, p in enumerate(pieces) if p.tag == "promise" and not _kept(pieces, i)]
        kept = dict(zip(open_promises[-len(told) :] if told else [], told, strict=True))
        return "".join(
            p.text + (f"<async>{kept[i].text}</async>" if i in kept else "") for i, p in enumerate(pieces)
        )

    def parse(self, text: str) -> Trajectory:
        """Blocks from a promise to the ``<sync/>`` that waits; the text between is written meanwhile."""
        trajectory = Trajectory()
        block: Block | None = None
        thread: Path | None = None
        topic = ""
        for piece in self.scanner().scan(text):
            if thread is not None:
                if piece.tag == "/async":
                    thread.closed, thread = True, None
                    _append(block.parts if block else trajectory.body, piece.text)
                else:
                    _append(thread.body, piece.text)
            elif piece.tag == "promise":
                if block is None:
                    block = Block(overlapping=True, closed=False, at=piece.at)
                    trajectory.body.append(block)
                topic = self.promise(piece, "").title
                block.parts.append(piece.text)
            elif piece.tag == "async" and block is not None:
                thread = Path(str(len(block.threads) + 1), topic, [], False, piece.at)
                block.parts += [piece.text, thread]
            elif piece.tag == "sync/" and block is not None:
                block.parts.append(piece.text)
                block.closed, block = True, None
            else:
                _append(block.parts if block else trajectory.body, piece.text)
        return trajectory

    def check(self, text: str) -> list[Problem]:
        """Promises have a topic and a length and are kept before a ``<sync/>``; nothing is nested."""
        problems: list[Problem] = []
        waiting: list[Piece] = []
        inside: Piece | None = None
        previous: Piece | None = None
        for piece in self.scanner().scan(text):
            if inside is not None:
                if piece.tag == "/async":
                    inside = None
                elif piece.tag:
                    problems.append(Problem("misplaced", f"{piece.text} stands in <async>.", piece.at))
            elif piece.tag == "promise":
                waiting.append(piece)
                problems += _attributes(piece)
            elif piece.tag == "async":
                inside = piece
                if previous is None or previous.tag != "promise":
                    problems.append(Problem("order", "<async> does not follow its promise.", piece.at))
                elif waiting:
                    waiting.pop()
            elif piece.tag == "/async":
                problems.append(Problem("unclosed", "</async> closes nothing.", piece.at))
            elif piece.tag == "sync/":
                problems += [Problem("missing", "A promise is not kept at <sync/>.", p.at) for p in waiting]
                waiting = []
            previous = piece
        if inside is not None:
            problems.append(Problem("unclosed", "<async> is never closed.", inside.at))
        problems += [Problem("missing", "A promise is never kept.", p.at) for p in waiting]
        return sorted(problems, key=lambda p: p.at)

    def closing(self, text: str) -> str:
        """``</async>`` where a thread's text is open."""
        last = [p.tag for p in self.scanner().scan(text) if p.tag in ("async", "/async")][-1:]
        return "</async>" if last == ["async"] else ""

    def answer(self, text: str) -> str:
        """The text as a reader wants it: threads in place of their promises, without tags."""
        return "".join(p.text for p in self.scanner().scan(text) if not p.tag).strip()


def _kept(pieces: Sequence[Piece], i: int) -> bool:
    return i + 1 < len(pieces) and pieces[i + 1].tag == "async"


def _attributes(piece: Piece) -> list[Problem]:
    problems = []
    if _TOPIC.search(piece.text) is None:
        problems.append(Problem("missing", f"{piece.text} has no topic.", piece.at))
    if (tokens := _TOKENS.search(piece.text)) is None or int(tokens[1]) == 0:
        problems.append(Problem("missing", f"{piece.text} does not say how many tokens.", piece.at))
    return problems


def _append(parts: list[str | Block] | list[str | Path], text: str) -> None:
    if parts and isinstance(parts[-1], str):
        parts[-1] += text
    else:
        parts.append(text)


PASTA = Pasta()
