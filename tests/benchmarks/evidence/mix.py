"""Which arm a question should take, and which one it took: half of the tasks have parts, half have none."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

from tests.benchmarks.evidence.measuring import Row

DIRECT, FORKED, CHOSEN = "sequential", "fixed:k=3", "adaptive:gate=off"
ARMS = (DIRECT, FORKED, CHOSEN)
PRICE = 0.2
"""What the critical path of a direct answer costs, in right answers."""


def utility(row: Row, direct: Row) -> float:
    """Quality, less the price of the critical path; a task without a known answer counts as right."""
    if row.status == "failed":
        return 0.0
    return row.score - PRICE * row.critical_tokens / max(direct.critical_tokens, 1)


def figures(rows: Sequence[Row]) -> list[str]:
    """Lines of the table: items in the best arm, the regret, and each arm taken always."""
    mixed = [row for row in rows if row.part == "mix" and row.strategy in ARMS]
    items = [
        tuple(by_arm[arm] for arm in ARMS)
        for question in dict.fromkeys(row.question for row in mixed)
        if len(by_arm := {row.strategy: row for row in mixed if row.question == question}) == len(ARMS)
    ]
    if not items:
        return []
    structure = mean(chosen.forked == chosen.should_fork for *_, chosen in items)
    best_arms, chosen_u, direct_u, forked_u, imposed_u, oracle_u = [], [], [], [], [], []
    for direct, forked, chosen in items:
        # Where weaver answered directly, the imposed fork stands for the forked arm.
        taken = utility(chosen, direct)
        arms = {False: utility(direct, direct), True: taken if chosen.forked else utility(forked, direct)}
        best = max(arms.values())
        best_arms.append(arms[chosen.forked] >= best - 0.02)
        chosen_u.append(taken)
        direct_u.append(arms[False])
        forked_u.append(arms[True])
        imposed_u.append(utility(forked, direct))
        oracle_u.append(best)
    oracle, base = mean(oracle_u), max(mean(direct_u), mean(forked_u))
    regret, gain = oracle - mean(chosen_u), oracle - base
    shown = f"{regret:.3f} of {gain:.3f}" + (f" ({regret / gain:.0%})" if gain else "")
    name = f"forks where the task has parts, {len(items)} items"
    best = mean(best_arms)
    utilities = ", ".join(
        f"{mean(values):.2f}" for values in (direct_u, imposed_u, forked_u, chosen_u, oracle_u)
    )
    return [
        _line(name, f"{structure:.0%}", ">= 90 %", structure >= 0.9),
        _line("items in the arm that came out best", f"{best:.0%}", ">= 90 %", best >= 0.9),
        _line("regret, of the oracle's gain", shown, "<= 5 %", regret <= 0.05 * gain),
        f"| utility: direct, imposed fork, forked arm, chosen, oracle | {utilities} | | |",
    ]


def _line(name: str, value: str, goal: str, is_met: bool) -> str:
    return f"| {name} | {value} | {goal} | {'met' if is_met else 'NOT met'} |"
