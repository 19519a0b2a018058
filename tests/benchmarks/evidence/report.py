"""Tables of the rows, and the figures with their goals."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

from tests.benchmarks.evidence import mix
from tests.benchmarks.evidence.measuring import CODE, Row

LONG_FROM = 20
"""Windows from which on the goals for long inputs hold."""

LEAST_TASKS = 5
"""Fewer tasks than these meet no goal."""


def markdown(rows: Sequence[Row]) -> str:
    """The runs by kind and strategy, and the figures with their goals."""
    return f"{runs(rows)}\n\n{figures(rows)}"


def runs(rows: Sequence[Row]) -> str:
    """One line for each kind, size and strategy."""
    lines = ["| part | kind | size | strategy | runs | right | score | seconds | calls | input | output |"]
    lines.append("|" + "---|" * 11)
    for part, kind, size in dict.fromkeys((r.part, r.kind, r.size) for r in rows):
        for strategy in dict.fromkeys(r.strategy for r in rows if r.part == part):
            some = [r for r in rows if (r.part, r.kind, r.size, r.strategy) == (part, kind, size, strategy)]
            if some:
                lines.append(_line(part, kind, size, strategy, some))
    return "\n".join(lines)


def figures(rows: Sequence[Row]) -> str:
    """One line for each figure with a goal."""
    lines = [*mix.figures(rows), *_code_figures(rows), *_long_figures(rows)]
    return "\n".join(["| figure | measured | goal | |", "|---|---|---|---|", *lines])


def _line(part: str, kind: str, size: int, strategy: str, rows: Sequence[Row]) -> str:
    right = sum(row.is_right for row in rows)
    values = [
        *(part, kind, f"{size} x" if size else "-", strategy, len(rows), right),
        f"{mean(row.score for row in rows):.2f}",
        f"{mean(row.seconds for row in rows):.1f}",
        *(round(mean(getattr(r, name) for r in rows)) for name in ("calls", "input_tokens", "output_tokens")),
    ]
    return f"| {' | '.join(map(str, values))} |"


def _long_figures(rows: Sequence[Row]) -> list[str]:
    long = [r for r in rows if r.part == "long" and r.kind in {"count", "needle"}]
    lines = []
    for size in dict.fromkeys(r.size for r in long):
        right = {
            name: sum(r.is_right for r in long if (r.size, r.strategy) == (size, name))
            for name in dict.fromkeys(r.strategy for r in long)
        }
        for other, goal in (("truncation", 3), ("part_by_part", 2)):
            if other in right and "map_reduce" in right:
                ours, theirs = right["map_reduce"], right[other]
                tasks = sum((r.size, r.strategy) == (size, "map_reduce") for r in long)
                met = "met" if ours and ours >= goal * theirs else "NOT met"
                if tasks < LEAST_TASKS:
                    met = "too few tasks to say"
                name = f"right answers at {size} x the window, map_reduce against {other}"
                with_goal = f">= {goal} x | {met}" if size >= LONG_FROM else "|"
                lines.append(f"| {name} | {ours} of {tasks} against {theirs} | {with_goal} |")
    return lines


def _code_figures(rows: Sequence[Row]) -> list[str]:
    one, best = ([r for r in rows if r.part == "code" and r.strategy == name] for name in CODE)
    if not one or not best:
        return []
    shares = [sum(r.is_right for r in some) / len(some) for some in (one, best)]
    gain = 100 * (shares[1] - shares[0])
    met = "met" if gain >= 10 else "NOT met"
    cancelled = sum(r.cancelled for r in best)
    shown = f"{shares[1]:.0%} against {shares[0]:.0%}"
    stopped = "met" if cancelled else "NOT met"
    return [
        f"| HumanEval, best of 4 by tests against one answer | {shown} | >= +10 points | {met} |",
        f"| samples that a pass cancelled | {cancelled} | > 0 | {stopped} |",
    ]
