"""Keep the decisions of a run, and add at its end what each led to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING

from weaver._data.decisions import Arm, LoggedDecision, Outcome, Reward, certain
from weaver._models.clock import current_time

if TYPE_CHECKING:
    from weaver._data.result import Forecast
    from weaver._data.usage import Usage
    from weaver._runtime.limits.accounting import Accounting
    from weaver._runtime.state.thread import Thread

CAPACITY = 500
"""Decisions of one run that are kept; a run with more has a note."""


class DecisionLog:
    """The decisions and rewards of one run.

    Args:
        accounting: of the run; grows while it runs.
        threads: of the run; grows while it runs.
    """

    def __init__(self, accounting: Accounting, threads: Sequence[Thread]) -> None:
        self.rewards: list[Reward] = []
        self.left_out = 0
        self._accounting = accounting
        self._threads = threads
        self._started = current_time()
        self._logged: list[tuple[LoggedDecision, int]] = []  # and how many calls had ended before it

    def now(self) -> float:
        """Return the seconds since the start of the run."""
        return current_time() - self._started

    def add(self, decision: LoggedDecision) -> None:
        """Keep a decision that was made just now."""
        if len(self._logged) < CAPACITY:
            self._logged.append((decision, len(self._accounting.below(decision.thread))))
        else:
            self.left_out += 1

    def finished(self, status: str) -> tuple[LoggedDecision, ...]:
        """Return the decisions with what came of them, for a run that ends now as ``status``."""
        ends = {thread.id: thread for thread in self._threads}
        reward = self.rewards[-1] if self.rewards else None
        sums: dict[str, _Sums] = {}
        decisions: list[LoggedDecision] = []
        for decision, before in self._logged:
            thread = ends.get(decision.thread)
            until = current_time() if thread is None or thread.ended_at is None else thread.ended_at
            if decision.thread not in sums:
                sums[decision.thread] = _Sums(self._accounting.below(decision.thread))
            tokens, usd = sums[decision.thread].since(before)
            seconds = max(0.0, until - self._started - decision.at_seconds)
            outcome = Outcome(tokens, seconds, usd, status if thread is None else thread.state)
            decisions.append(decision.ended(outcome, reward))
        return tuple(decisions)


class _Sums:
    """Running sums over calls in the order they ended, so that each decision takes constant time."""

    def __init__(self, usages: Sequence[Usage]) -> None:
        self._tokens = [0, *accumulate(usage.total_tokens for usage in usages)]
        self._usd = [0.0, *accumulate(usage.cost_usd or 0.0 for usage in usages)]
        self._unknown = any(usage.cost_usd is None for usage in usages)

    def since(self, before: int) -> tuple[int, float | None]:
        """Return tokens and US dollars of all calls but the first ``before``."""
        usd = None if self._unknown else self._usd[-1] - self._usd[before]
        return self._tokens[-1] - self._tokens[before], usd


def both_ways(parallel: bool, forecast: Forecast | None) -> tuple[Arm, ...]:
    """Return the arms of a direct answer and a fork, with what was predicted of them."""
    direct, fork = _BOTH_WAYS[parallel]
    if forecast is not None:
        direct = replace(direct, seconds=forecast.direct_seconds, usd=forecast.direct_usd)
        fork = replace(fork, seconds=forecast.fork_seconds, usd=forecast.fork_usd)
    return direct, fork


_BOTH_WAYS = {
    parallel: (Arm("direct", float(not parallel)), Arm("fork", float(parallel))) for parallel in (False, True)
}


def vote(counts: Sequence[int], share: float) -> LoggedDecision:
    """Return the decision of a vote: ballots for each answer, the winner's first, and its share."""
    names = [f"answer {number}" for number in range(1, len(counts) + 1)]
    ballots = {f"ballots {name}": float(number) for name, number in zip(names, counts, strict=True)}
    return LoggedDecision(
        "vote", names[0], certain(*names), "majority/1", features={**ballots, "share": share}
    )
