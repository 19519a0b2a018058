"""From rows to the figures of the table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Any

from tests.benchmarks.forking.measuring import Row
from tests.benchmarks.forking.tasks import SIMPLE, WRITTEN

DIRECT, FORKING, GATED = "sequential", "adaptive:gate=off", "adaptive"


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table; ``value`` is None where too little was measured."""

    name: str
    value: float | None
    goal: str
    is_met: bool | None
    unit: str = ""

    def __str__(self) -> str:
        met = {True: "met", False: "NOT met", None: ""}[self.is_met]
        return f"| {self.name} | {_shown(self.value, self.unit)} | {self.goal} | {met} |"


def figures(rows: Sequence[Row], *, routing_goal: float) -> list[Figure]:
    """The figures of docs/adaptive.md, from rows of the three strategies; ratios are to `sequential`."""
    forking = [r for r in rows if r.strategy == FORKING]
    forked = [r for r in forking if r.forked]
    written = [(a, b) for a, b in _pairs(rows, FORKING) if a.kind in WRITTEN and a.forked]
    graded = [(a, b) for a, b in _pairs(rows, FORKING) if a.should_fork]
    simple = [(a, b) for a, b in _pairs(rows, GATED) if a.kind in SIMPLE]
    gated = [r for r in rows if r.strategy == GATED and r.predicted_seconds]
    routed = _share(r.forked == r.should_fork for r in forking)
    return [
        _least("forks where it should (gate off)", routed, routing_goal, "%"),
        _most("plan tokens, forked tasks", _mean(r.plan_tokens for r in forked), 45),
        _most("critical-path tokens, written tasks", _ratio(written, lambda r: r.critical_tokens), 0.5, "x"),
        _most(
            "the same at equal length", _ratio(written, lambda r: r.critical_tokens, by_words=True), 0.5, "x"
        ),
        _most(
            "all tokens, at equal length", _ratio(written, lambda r: r.total_tokens, by_words=True), 1.25, "x"
        ),
        _least("quality, forkable tasks, gained", _gain(graded, lambda r: r.quality), -0.02, "%"),
        _least("lengths kept, gained", _gain(graded, lambda r: r.length), 0.0, "%"),
        _most("calls, simple tasks, gate on", _ratio(simple, lambda r: r.calls), 1.0, "x"),
        _most("prompt tokens, simple tasks, gate on", _ratio(simple, lambda r: r.input_tokens), 1.0, "x"),
        _most("seconds, simple tasks, gate on", _median_ratio(simple, lambda r: r.seconds), 1.05, "x"),
        _most("error of predicted seconds, median after 20 runs", _error(gated[20:]), 0.25, "%"),
    ]


def by_kind(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """For each kind and strategy: how often it forked, tokens, quality, lengths kept."""
    table = []
    for kind in dict.fromkeys(r.kind for r in rows):
        for strategy in dict.fromkeys(r.strategy for r in rows):
            some = [r for r in rows if (r.kind, r.strategy) == (kind, strategy)]
            if not some:
                continue
            table.append(
                {
                    "kind": kind,
                    "strategy": strategy,
                    "runs": len(some),
                    "forked": _share(r.forked for r in some),
                    "plan": _mean(r.plan_tokens for r in some if r.forked),
                    "critical": _mean(r.critical_tokens for r in some),
                    "total": _mean(r.total_tokens for r in some),
                    "words": _mean(r.words for r in some),
                    "quality": _mean(r.quality for r in some if r.quality is not None),
                    "length": _mean(r.length for r in some if r.length is not None),
                    "seconds": _mean(r.seconds for r in some),
                    "complete": _share(r.status == "complete" for r in some),
                }
            )
    return table


def markdown(rows: Sequence[Row], *, routing_goal: float) -> str:
    """Both tables."""
    lines = ["| figure | measured | goal | |", "|---|---|---|---|"]
    lines += [str(figure) for figure in figures(rows, routing_goal=routing_goal)]
    table = by_kind(rows)
    if table:
        lines += ["", f"| {' | '.join(table[0])} |", f"|{'---|' * len(table[0])}"]
        lines += [f"| {' | '.join(_cell(value) for value in line.values())} |" for line in table]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    return "-" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)


def _most(name: str, value: float | None, goal: float, unit: str = "") -> Figure:
    return Figure(name, value, f"<= {_shown(goal, unit)}", None if value is None else value <= goal, unit)


def _least(name: str, value: float | None, goal: float, unit: str = "") -> Figure:
    return Figure(name, value, f">= {_shown(goal, unit)}", None if value is None else value >= goal, unit)


def _shown(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    return f"{value:.0%}" if unit == "%" else f"{value:.2f} {unit}".strip()


def _pairs(rows: Sequence[Row], strategy: str) -> list[tuple[Row, Row]]:
    """Runs of ``strategy`` with the direct run of the same question."""
    direct = {r.question: r for r in rows if r.strategy == DIRECT}
    return [(r, direct[r.question]) for r in rows if r.strategy == strategy and r.question in direct]


def _ratio(
    pairs: Sequence[tuple[Row, Row]], of: Callable[[Row], float], *, by_words: bool = False
) -> float | None:
    """Sum over sum."""
    ours, theirs = sum(of(a) for a, _ in pairs), sum(of(b) for _, b in pairs)
    if by_words:
        ours /= max(1, sum(a.words for a, _ in pairs))
        theirs /= max(1, sum(b.words for _, b in pairs))
    return ours / theirs if theirs else None


def _median_ratio(pairs: Sequence[tuple[Row, Row]], of: Callable[[Row], float]) -> float | None:
    ratios = [of(a) / of(b) for a, b in pairs if of(b)]
    return median(ratios) if ratios else None


def _gain(pairs: Sequence[tuple[Row, Row]], of: Callable[[Row], float | None]) -> float | None:
    gains = [x - y for a, b in pairs if (x := of(a)) is not None and (y := of(b)) is not None]
    return mean(gains) if gains else None


def _error(rows: Sequence[Row]) -> float | None:
    errors = [abs((r.predicted_seconds or 0) - r.seconds) / r.seconds for r in rows if r.seconds]
    return median(errors) if errors else None


def _share(values: Iterable[bool]) -> float | None:
    return _mean(map(float, values))


def _mean(values: Iterable[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return mean(known) if known else None
