"""The gate's arithmetic: seconds of a direct answer and of a fork.

No I/O and no model. ``s(b)`` are the seconds a token takes beside ``b - 1`` streams.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil

from weaver._planning.gate.speeds import Speeds

UNEVEN = 1.25
"""The longest part against the mean of the parts."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Tokens of a fork.

    Args:
        parts: threads.
        prompt: tokens of the task.
        plan: tokens that the planner writes; 0 for a plan without a call, or one that is written already.
        planner_prompt: tokens that the planner reads; not counted where ``plan`` is 0.
        longest: tokens of the longest thread, or of the longest chain of threads.
        written: tokens of all threads.
        merge: tokens that the merge writes; 0 where it makes no call.
    """

    parts: int
    prompt: int
    plan: int
    planner_prompt: int
    longest: float
    written: float
    merge: int


def shape(
    parts: int, prompt: int, written: float, *, plan: int, planner_prompt: int = 600, merge: int = 0
) -> Shape:
    """A fork of ``parts`` independent threads that write so many tokens in all."""
    longest = written if parts <= 1 else written / parts * UNEVEN
    return Shape(parts, prompt, plan, planner_prompt, longest, written, merge)


def token_seconds(speeds: Speeds, streams: float) -> float:
    """s(b): seconds a token takes beside ``streams - 1`` others."""
    return (1 + speeds.slowdown * max(0.0, streams - 1)) / speeds.decode


def direct_seconds(speeds: Speeds, prompt: int, answer: float, *, busy: int = 0) -> float:
    """Seconds of one call that writes ``answer`` tokens, beside ``busy`` streams of others."""
    read = prompt / speeds.prefill
    return speeds.wait + speeds.first_token + read + answer * token_seconds(speeds, busy + 1)


def fork_seconds(speeds: Speeds, fork: Shape, *, width: int, busy: int = 0) -> float:
    """Seconds of a plan, its threads, ``width`` of them at a time, and their merge."""
    alone = token_seconds(speeds, busy + 1)
    seconds = 0.0
    if fork.plan:
        seconds += speeds.first_token + fork.planner_prompt / speeds.prefill + fork.plan * alone
    read = (1 - speeds.cached) * fork.prompt / speeds.prefill
    read *= width if speeds.prefills_queue else 1
    rounds = ceil(fork.parts / width)
    beside = token_seconds(speeds, busy + width)
    seconds += rounds * (speeds.wait + speeds.first_token + read + fork.longest * beside)
    if fork.merge:
        reading = (fork.prompt + fork.written) / speeds.prefill
        seconds += speeds.first_token + reading + fork.merge * alone
    return seconds


def widest(speeds: Speeds, fork: Shape, limit: int | None = None) -> int:
    """Return how many threads at a time are fastest, within the endpoint's slots and ``limit``.

    A wider fork must be 2 % faster than a narrower one: threads that gain nothing are not started.
    """
    broadest = max(1, min(fork.parts, speeds.slots or fork.parts, limit or fork.parts))
    best, seconds = 1, fork_seconds(speeds, in_threads(fork, 1), width=1)
    for width in range(2, broadest + 1):
        if (wider := fork_seconds(speeds, in_threads(fork, width), width=width)) < 0.98 * seconds:
            best, seconds = width, wider
    return best


def in_threads(fork: Shape, threads: int) -> Shape:
    """The same fork with its parts put together into so many threads."""
    if threads >= fork.parts:
        return fork
    longest = min(fork.written, fork.longest * ceil(fork.parts / threads))
    return replace(fork, parts=threads, longest=longest)
