"""A trajectory as a tree: text, blocks of parallel threads, and blocks inside threads."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

_Node = TypeVar("_Node", "Block", "Path")


@dataclass(slots=True)
class Path:
    """One thread of a block.

    Attributes:
        key: its number as written (``1``, ``1.2``), ``""`` where the format has none.
        title: its outline, topic or node, ``""`` where the format has none.
        body: text and nested blocks, in order.
        closed: False when its closing tag is missing.
        at: position of its opening tag in the text.
    """

    key: str
    title: str = ""
    body: list[str | Block] = field(default_factory=list["str | Block"])
    closed: bool = True
    at: int = 0


@dataclass(slots=True)
class Block:
    """Threads that run at the same time, and the text of the block that is not in a thread.

    Attributes:
        parts: in order. In a fork-join block the text (outlines, tags, conclusion) and the threads; in an
            overlapping block a thread stands where it starts, and the text after it is written meanwhile.
        overlapping: the main thread goes on while the threads run, and waits at the end of the block.
        closed: False when the block never ended.
        at: position in the text.
    """

    parts: list[str | Path] = field(default_factory=list[str | Path])
    overlapping: bool = False
    closed: bool = True
    at: int = 0

    @property
    def threads(self) -> list[Path]:
        """The threads, in order."""
        return [part for part in self.parts if isinstance(part, Path)]


@dataclass(slots=True)
class Trajectory:
    """A whole trajectory: text and blocks, in order."""

    body: list[str | Block] = field(default_factory=list["str | Block"])

    def blocks(self) -> Iterator[Block]:
        """The outermost blocks."""
        return (part for part in self.body if isinstance(part, Block))


def joined(parts: Sequence[str | _Node]) -> list[str | _Node]:
    """``parts``, with texts that follow each other as one: joined once, since adding up is quadratic."""
    merged: list[str | _Node] = []
    texts: list[str] = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
            continue
        if texts:
            merged.append("".join(texts))
            texts = []
        merged.append(part)
    if texts:
        merged.append("".join(texts))
    return merged


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a trajectory costs and how parallel it is. Lengths are in tokens of the counter that was given.

    Attributes:
        total: all tokens.
        critical_path: tokens on the longest chain ("tokens in the longest thread", "token latency"): text
            outside blocks, plus for each block its own text and its longest thread.
        parallel_ratio: share of tokens that are inside blocks, the blocks' own text included.
        acceleration_ratio: 1 - critical path / total; 0 is sequential.
        self_parallel_speedup: total / critical path.
        blocks: number of blocks, nested ones included; ``threads`` of their threads.
        threads_per_block: mean; 0 without blocks.
        tokens_per_block: mean over outermost blocks; 0 without blocks.
        depth: how deep blocks are nested; 0 without blocks.
        unclosed: threads and blocks without their end.
    """

    total: int
    critical_path: int
    parallel_ratio: float
    acceleration_ratio: float
    self_parallel_speedup: float
    blocks: int
    threads: int
    threads_per_block: float
    tokens_per_block: float
    depth: int
    unclosed: int

    @property
    def parallel(self) -> bool:
        """True if it has any block with a thread (what the activation ratio counts)."""
        return self.threads > 0


def words(text: str) -> int:
    """Words and punctuation marks: a substitute for tokens that needs no tokenizer."""
    return len(re.findall(r"\w+|[^\w\s]", text))


@dataclass(slots=True)
class _Tally:
    count: Callable[[str], int]
    total: int = 0
    inside: int = 0
    blocks: int = 0
    threads: int = 0
    outermost: int = 0
    deepest: int = 0
    unclosed: int = 0


def measure(trajectory: Trajectory, count: Callable[[str], int]) -> Statistics:
    """The statistics of a trajectory.

    Args:
        count: number of tokens in a text.
    """
    tally = _Tally(count)
    critical = _body(trajectory.body, tally, depth=0)
    total = tally.total
    return Statistics(
        total=total,
        critical_path=critical,
        parallel_ratio=tally.inside / total if total else 0.0,
        acceleration_ratio=1 - critical / total if total else 0.0,
        self_parallel_speedup=total / critical if critical else 1.0,
        blocks=tally.blocks,
        threads=tally.threads,
        threads_per_block=tally.threads / tally.blocks if tally.blocks else 0.0,
        tokens_per_block=tally.inside / tally.outermost if tally.outermost else 0.0,
        depth=tally.deepest,
        unclosed=tally.unclosed,
    )


def _body(body: Sequence[str | Block], tally: _Tally, *, depth: int) -> int:
    """Critical path of a body; adds to the tally on the way."""
    critical = 0
    for part in body:
        if isinstance(part, str):
            tokens = tally.count(part)
            tally.total += tokens
            critical += tokens
        else:
            critical += _block(part, tally, depth=depth + 1)
    return critical


def _block(block: Block, tally: _Tally, *, depth: int) -> int:
    before = tally.total
    tally.blocks += 1
    tally.outermost += depth == 1
    tally.deepest = max(tally.deepest, depth)
    tally.unclosed += not block.closed
    own = latest = 0
    for part in block.parts:
        if isinstance(part, str):
            tokens = tally.count(part)
            tally.total += tokens
            own += tokens
        else:
            tally.threads += 1
            tally.unclosed += not part.closed
            length = _body(part.body, tally, depth=depth)
            latest = max(latest, (own if block.overlapping else 0) + length)
    if depth == 1:
        tally.inside += tally.total - before
    return max(own, latest) if block.overlapping else own + latest
