"""Keep the decisions of a run, and add at its end what each led to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from weaver._data.decisions import Arm, LoggedDecision, Outcome, Reward, certain
from weaver._data.usage import Usage, total
from weaver._models.clock import current_time

if TYPE_CHECKING:
    from weaver._data.result import Forecast
    from weaver._runtime.state.thread import Thread

CAPACITY = 500
"""Decisions of one run that are kept; a run with more has a note."""


class DecisionLog:
    """The decisions and rewards of one run.

    Args:
        usages: of all calls of the run; grows while it runs.
        threads: of the run; grows while it runs.
    """

    def __init__(self, usages: Sequence[Usage], threads: Sequence[Thread]) -> None:
        self.rewards: list[Reward] = []
        self.left_out = 0
        self._usages = usages
        self._threads = threads
        self._started = current_time()
        self._logged: list[tuple[LoggedDecision, Usage]] = []

    def add(self, decision: LoggedDecision) -> LoggedDecision:
        """Keep a decision, with the time at which it was made; return it with that time."""
        timed = replace(decision, at_seconds=current_time() - self._started)
        if len(self._logged) < CAPACITY:
            self._logged.append((timed, self._spent(decision.thread)))
        else:
            self.left_out += 1
        return timed

    def finished(self, status: str) -> tuple[LoggedDecision, ...]:
        """Return the decisions with what came of them, for a run that ends now as ``status``."""
        ends = {thread.id: thread for thread in self._threads}
        reward = self.rewards[-1] if self.rewards else None
        decisions = []
        for decision, before in self._logged:
            thread = ends.get(decision.thread)
            until = current_time() if thread is None or thread.ended_at is None else thread.ended_at
            spent = self._spent(decision.thread)
            is_priced = spent.cost_usd is not None and before.cost_usd is not None
            outcome = Outcome(
                spent.total_tokens - before.total_tokens,
                max(0.0, until - self._started - decision.at_seconds),
                (spent.cost_usd or 0.0) - (before.cost_usd or 0.0) if is_priced else None,
                status if thread is None else thread.state,
            )
            decisions.append(replace(decision, outcome=outcome, reward=reward))
        return tuple(decisions)

    def _spent(self, thread: str) -> Usage:
        """Usage so far of a thread and those below it; of the whole run for the root."""
        return total(self._usages if not thread else self._of_thread(thread))

    def _of_thread(self, path: str) -> Iterable[Usage]:
        for thread in self._threads:
            if thread.id == path or thread.id.startswith(f"{path}/"):
                yield from thread.usages


def both_ways(parallel: bool, forecast: Forecast | None) -> tuple[Arm, ...]:
    """Return the arms of a direct answer and a fork, with what was predicted of them."""
    direct, fork = Arm("direct", float(not parallel)), Arm("fork", float(parallel))
    if forecast is not None:
        direct = replace(direct, seconds=forecast.direct_seconds, usd=forecast.direct_usd)
        fork = replace(fork, seconds=forecast.fork_seconds, usd=forecast.fork_usd)
    return direct, fork


def vote(counts: Sequence[int], share: float) -> LoggedDecision:
    """Return the decision of a vote: ballots for each answer, the winner's first, and its share."""
    names = [f"answer {number}" for number in range(1, len(counts) + 1)]
    ballots = {f"ballots {name}": float(number) for name, number in zip(names, counts, strict=True)}
    return LoggedDecision(
        "vote", names[0], certain(*names), "majority/1", features={**ballots, "share": share}
    )
