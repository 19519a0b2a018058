"""Which arm a question should take, and which one it took: half of the tasks have parts, half have none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean

from tests.benchmarks.evidence.measuring import Row

DIRECT, FORKED, CHOSEN = "sequential", "fixed:k=3", "adaptive:gate=off"
ARMS = (DIRECT, FORKED, CHOSEN)
PRICE = 0.2
"""What the critical path of a direct answer costs, in right answers."""
SECONDS = 60.0
"""Seconds that a right answer is worth by the objective `balanced`."""
TIE = 0.02
"""Arms whose utilities differ by less are equally good."""

Utility = Callable[[Row, Row], float]
"""The utility of a run, beside that of the direct answer to the same question."""


def utility(row: Row, direct: Row) -> float:
    """Quality, less the price of the critical path; a task without a known answer counts as right."""
    if row.status == "failed":
        return 0.0
    return row.score - PRICE * row.critical_tokens / max(direct.critical_tokens, 1)


def balanced(row: Row, direct: Row) -> float:
    """Quality, less the seconds that it took: the objective of the gate and of learned policies."""
    return 0.0 if row.status == "failed" else row.score - row.seconds / SECONDS


OBJECTIVES: dict[str, Utility] = {"by length": utility, "by seconds": balanced}


@dataclass(frozen=True, slots=True)
class _Item:
    """One question: what its arms were worth, and which one was taken.

    Attributes:
        forked: of the forked arm: weaver's own fork where it forked, else the imposed one.
        chosen: of weaver's run itself.
    """

    kind: str
    direct: float
    imposed: float
    forked: float
    chosen: float
    has_forked: bool

    @property
    def taken(self) -> float:
        return self.forked if self.has_forked else self.direct

    @property
    def best(self) -> float:
        return max(self.direct, self.forked)


def figures(rows: Sequence[Row]) -> list[str]:
    """Lines of the table: forks as they should be, items in the best arm, the regret, each arm's utility."""
    by_question: dict[str, dict[str, Row]] = {}
    for row in rows:
        if row.part == "mix" and row.strategy in ARMS:
            by_question.setdefault(row.question, {})[row.strategy] = row
    questions = [tuple(by_arm[arm] for arm in ARMS) for by_arm in by_question.values() if len(by_arm) == 3]
    if not questions:
        return []
    structure = mean(chosen.forked == chosen.should_fork for *_, chosen in questions)
    name = f"forks where the task has parts, {len(questions)} items"
    lines = [_line(name, f"{structure:.0%}", ">= 90 %", structure >= 0.9)]
    for objective, worth in OBJECTIVES.items():
        items = [_item(direct, forked, chosen, worth) for direct, forked, chosen in questions]
        lines += _routing(objective, items)
    return lines


def _item(direct: Row, imposed: Row, chosen: Row, worth: Utility) -> _Item:
    own, other = worth(chosen, direct), worth(imposed, direct)
    forked = own if chosen.forked else other
    return _Item(direct.kind, worth(direct, direct), other, forked, own, chosen.forked)


def _routing(objective: str, items: Sequence[_Item]) -> list[str]:
    """How well the arms were chosen, beside an oracle that knows each question, and one that knows kinds."""
    direct, forked = mean(item.direct for item in items), mean(item.forked for item in items)
    always = max(direct, forked)
    chosen = mean(item.chosen for item in items)
    best, by_kind, right_kind = mean(item.best for item in items), 0.0, 0
    for kind in dict.fromkeys(item.kind for item in items):
        some = [item for item in items if item.kind == kind]
        sums = [sum(item.direct for item in some), sum(item.forked for item in some)]
        by_kind += max(sums) / len(items)
        right_kind += sum(sums[item.has_forked] >= max(sums) - TIE * len(some) for item in some)
    in_best = mean(item.taken >= item.best - TIE for item in items)
    in_kind = right_kind / len(items)
    arms = [direct, mean(item.imposed for item in items), forked, chosen, by_kind, best]
    utilities = ", ".join(f"{value:.2f}" for value in arms)
    return [
        _line(
            f"{objective}: items in the arm that came out best", f"{in_best:.0%}", ">= 90 %", in_best >= 0.9
        ),
        _line(
            f"{objective}: items in the best arm of their kind", f"{in_kind:.0%}", ">= 90 %", in_kind >= 0.9
        ),
        _regret(f"{objective}: regret to the best arm of each question", best, chosen, always),
        _regret(f"{objective}: regret to the best arm of each kind", by_kind, chosen, always),
        f"| {objective}: direct, imposed fork, forked arm, chosen, both oracles | {utilities} | | |",
    ]


def _regret(name: str, oracle: float, chosen: float, always: float) -> str:
    """A line: what the choice loses to an oracle, of what that gains over the best arm taken always."""
    regret, gain = oracle - chosen, oracle - always
    shown = f"{regret:.3f} of {gain:.3f}" + (f" ({regret / gain:.0%})" if gain > 0 else "")
    return _line(name, shown, "<= 5 %", regret <= 0.05 * gain)


def _line(name: str, value: str, goal: str, is_met: bool) -> str:
    return f"| {name} | {value} | {goal} | {'met' if is_met else 'NOT met'} |"
