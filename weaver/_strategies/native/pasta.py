"""PASTA: promises that are kept while the main thread writes on (Jin et al. 2025, arXiv 2502.11517).

    ... <promise topic="the first point" tokens="40"/> ...
    <promise topic="the second point" tokens="60"/> ... <sync/> ...

Each promise starts a thread at once; the main thread goes on as if its text were there. ``<sync/>`` waits
for all of them; their texts, in ``<async>...</async>``, then stand right behind their promises, and the
main thread goes on.

The reference reserves positions by ``tokens``; over a completions endpoint the joined text is read again.
A thread may write twice the tokens that were promised.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from weaver._data.result import Answer
from weaver._data.task import Task
from weaver._runtime.run import Run
from weaver._strategies.common.option_types import Count, Patience, Warmth
from weaver._strategies.common.registry import strategy
from weaver._strategies.native.common.engine import Show, answer
from weaver._strategies.native.common.format import Branch, Format, Problem, Told
from weaver._strategies.native.common.line import Decoding
from weaver._strategies.native.common.prompts import TemplateName, prompt_for
from weaver._strategies.native.common.scanner import Piece, TagScanner
from weaver._strategies.native.common.trajectory import Block, Path, Trajectory

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
        pieces = self.scanner().scan(said)
        if not pieces or pieces[-1].tag != "promise":
            return []
        number = sum(p.tag == "promise" for p in pieces)
        return [self.promise(pieces[-1], f"{number}@{len(context) - len(pieces[-1].text)}")]

    def promise(self, piece: Piece, key: str) -> Branch:
        """The thread that keeps a promise."""
        topic, tokens = _TOPIC.search(piece.text), _TOKENS.search(piece.text)
        title = (topic[1] or topic[2] or "") if topic else ""
        return Branch(
            key, title or f"promise {key}", "<async>", max_tokens=int(tokens[1]) if tokens else None
        )

    def join(self, context: str, told: Sequence[Told]) -> str:
        """The context with each promise followed by its text. Keys are ``number@position of the promise``."""
        texts = {int(t.branch.key.partition("@")[2]): t.text for t in told}
        return "".join(
            p.text + (f"<async>{texts[p.at]}</async>" if p.at in texts else "")
            for p in self.scanner().scan(context)
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


def _attributes(piece: Piece) -> list[Problem]:
    problems: list[Problem] = []
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


@strategy("pasta", source=Pasta.source, needs=("completions",))
async def pasta(
    run: Run,
    task: Task,
    *,
    max_tokens: Count = 2048,
    temperature: Warmth = 0.0,
    patience: Patience = 5.0,
    template: TemplateName = "gemma",
    show: Show = "answer",
) -> Answer:
    """A model trained to promise parts of its answer has them written while it goes on.

    Args:
        max_tokens: most tokens of the main thread.
        patience: once half of the promises are kept, the others get this many times their median seconds.
        template: chat template: ``gemma``, ``chatml`` (Qwen) or ``plain``.
        show: ``answer``, or the whole ``trajectory``.
    """
    prompt = prompt_for(run, task, template)
    limit = task.max_tokens or max_tokens
    decoding = Decoding(max_tokens=limit, temperature=temperature, patience=patience)
    return await answer(run, prompt, PASTA, decoding, show=show)
