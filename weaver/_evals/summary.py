"""The field's metrics of a comparison (definitions: docs/compare.md), per task, model and strategy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from weaver._coordination.answers.equivalence import AUTO
from weaver._evals.records import Record
from weaver._evals.statistics import Interval, bootstrap, mcnemar, mean, pareto, quantile, wilson

BUDGET_SHARE = 0.9
"""Equal budgets are, by default, what the baseline needs for this share of the items."""
EVERYTHING = "all tasks"


@dataclass(frozen=True, slots=True)
class Budgets:
    """What a run may use for its answer to count. ``context`` is the largest prompt with its output."""

    tokens: float
    latency_tokens: float
    seconds: float
    context: float


@dataclass(frozen=True, slots=True)
class Against:
    """A strategy next to the baseline, on the items that both have finished.

    Attributes:
        items: how many those are.
        accuracy_gain: difference in accuracy, with a paired bootstrap interval; None where no item was graded
            for both. ``p_value`` is McNemar's, exact; only for one run per item, else None.
        token_latency_speedup: mean over items of the baseline's total generated tokens over this strategy's
            critical path; ``best`` is the largest among items that both got right.
        wall_speedup: mean over items of the baseline's seconds over this strategy's.
        token_overhead: generated tokens over the baseline's, minus 1.
        efficiency: accuracy over generated tokens, as a multiple of the baseline's.
        error_amplification: share of wrong answers over the baseline's; None if it made no errors.
    """

    baseline: str
    items: int
    accuracy_gain: float | None
    accuracy_gain_interval: Interval
    p_value: float | None
    token_latency_speedup: float
    token_latency_speedup_interval: Interval
    best_speedup: float
    wall_speedup: float
    wall_speedup_interval: Interval
    token_overhead: float
    efficiency: float | None
    error_amplification: float | None


@dataclass(frozen=True, slots=True)
class Summary:
    """One strategy on one task. Token counts are generated tokens unless they say input; means over runs.

    Attributes:
        runs, failed, partial, ungraded: how many; ``failed`` ones count as wrong. ``ungraded`` ones, whose
            grader failed, count in tokens and seconds, and not in anything about right and wrong.
        accuracy: pass@1, the mean over items of the share of correct runs; None when none was graded. Its
            interval is Wilson's for one run per item, else a bootstrap over items.
        pass_at_k, majority_at_k: with several runs per item, else None.
        acceleration_ratio: 1 - critical path / total, mean over runs.
        self_parallel_speedup: total / critical path, mean over runs.
        activation_ratio: share of runs with at least two threads.
        token_parallel_ratio: share of all generated tokens that threads wrote.
        at_equal_tokens, at_equal_token_latency, at_equal_seconds, at_equal_context: accuracy when an answer
            counts only if its run stayed within the budget; None when none was graded.
        cost_usd: mean per run; None when unknown for any.
        against: next to the baseline; None for the baseline itself and where there is none.
    """

    task: str
    model: str
    strategy: str
    items: int
    runs: int
    failed: int
    partial: int
    ungraded: int
    accuracy: float | None
    accuracy_interval: Interval
    pass_at_k: float | None
    majority_at_k: float | None
    critical_path_tokens: float
    critical_path_tokens_interval: Interval
    total_output_tokens: float
    total_output_tokens_interval: Interval
    input_tokens: float
    calls: float
    critical_steps: float
    threads: float
    cancelled_threads: float
    acceleration_ratio: float
    self_parallel_speedup: float
    activation_ratio: float
    token_parallel_ratio: float
    wall_seconds: float
    wall_seconds_interval: Interval
    wall_seconds_median: float
    wall_seconds_p90: float
    queue_seconds: float
    tokens_per_second: float
    cost_usd: float | None
    redundancy: float | None
    estimated: bool
    budgets: Budgets
    at_equal_tokens: float | None
    at_equal_token_latency: float | None
    at_equal_seconds: float | None
    at_equal_context: float | None
    on_front_of_latency: bool = False
    on_front_of_tokens: bool = False
    on_front_of_seconds: bool = False
    against: Against | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def summarize(
    records: Sequence[Record], *, baseline: str = "sequential", budgets: Budgets | None = None, seed: int = 0
) -> list[Summary]:
    """Summaries in the order of first appearance; with several tasks, one for all of them comes last.

    Args:
        baseline: the strategy that others are measured against, if it was run.
        budgets: for accuracy at equal budget; by default what the baseline (else the cheapest strategy)
            needs for 90 % of the items of that task.
        seed: of the bootstrap.
    """
    groups = list(_grouped(records, lambda r: r.task).items())
    if len(groups) > 1:
        groups.append((EVERYTHING, list(records)))
    summaries: list[Summary] = []
    for task, of_task in groups:
        for model, of_model in _grouped(of_task, lambda r: r.model).items():
            by_strategy = _grouped(of_model, lambda r: r.strategy)
            cheapest = min(by_strategy.values(), key=_mean_total)
            measured = budgets or _budgets(by_strategy.get(baseline, cheapest))
            summaries += _of_one(_Scope(task, model, baseline, measured, seed), by_strategy)
    return summaries


@dataclass(frozen=True, slots=True)
class _Scope:
    task: str
    model: str
    baseline: str
    budgets: Budgets
    seed: int


def _of_one(scope: _Scope, by_strategy: dict[str, list[Record]]) -> list[Summary]:
    base = by_strategy.get(scope.baseline)
    rows: list[Summary] = []
    for strategy, runs in by_strategy.items():
        against = None
        if base is not None and strategy != scope.baseline:
            against = _against(scope, base, runs)
        rows.append(_row(scope, strategy, runs, against))
    latency = pareto([(r.critical_path_tokens, r.accuracy or 0.0) for r in rows])
    tokens = pareto([(r.total_output_tokens, r.accuracy or 0.0) for r in rows])
    seconds = pareto([(r.wall_seconds, r.accuracy or 0.0) for r in rows])
    return [
        replace(
            row,
            on_front_of_latency=i in latency and bool(row.accuracy),
            on_front_of_tokens=i in tokens and bool(row.accuracy),
            on_front_of_seconds=i in seconds and bool(row.accuracy),
        )
        for i, row in enumerate(rows)
    ]


def _row(scope: _Scope, strategy: str, runs: Sequence[Record], against: Against | None) -> Summary:
    items, seed, budgets = _by_item(runs), scope.seed, scope.budgets
    graded = _by_item(r for r in runs if r.graded)
    shares = [_share(tries) for tries in graded.values()]
    repeated = len(runs) > len(items)
    critical = [float(r.critical_path_tokens) for r in runs]
    total = [float(r.total_output_tokens) for r in runs]
    seconds = [r.wall_seconds for r in runs]
    generated = sum(total)
    redundancy = [r.redundancy for r in runs if r.redundancy is not None]
    right, judged = sum(r.correct for r in runs), sum(r.graded for r in runs)
    return Summary(
        task=scope.task,
        model=scope.model,
        strategy=strategy,
        items=len(items),
        runs=len(runs),
        failed=sum(r.status == "failed" for r in runs),
        partial=sum(r.status == "partial" for r in runs),
        ungraded=len(runs) - judged,
        accuracy=_mean(shares),
        accuracy_interval=bootstrap(shares, seed=seed) if repeated and shares else wilson(right, judged),
        pass_at_k=_mean([float(any(r.correct for r in t)) for t in graded.values()]) if repeated else None,
        majority_at_k=_mean([float(_majority(t)) for t in graded.values()]) if repeated else None,
        critical_path_tokens=mean(critical),
        critical_path_tokens_interval=bootstrap(critical, seed=seed),
        total_output_tokens=mean(total),
        total_output_tokens_interval=bootstrap(total, seed=seed),
        input_tokens=mean([r.input_tokens for r in runs]),
        calls=mean([r.calls for r in runs]),
        critical_steps=mean([r.critical_steps for r in runs]),
        threads=mean([r.threads for r in runs]),
        cancelled_threads=mean([r.cancelled_threads for r in runs]),
        acceleration_ratio=mean([1 - c / t for c, t in zip(critical, total, strict=True) if t]),
        self_parallel_speedup=mean([t / c for c, t in zip(critical, total, strict=True) if c]) or 1.0,
        activation_ratio=mean([float(r.forked) for r in runs]),
        token_parallel_ratio=sum(r.thread_tokens for r in runs) / generated if generated else 0.0,
        wall_seconds=mean(seconds),
        wall_seconds_interval=bootstrap(seconds, seed=seed),
        wall_seconds_median=quantile(seconds, 0.5),
        wall_seconds_p90=quantile(seconds, 0.9),
        queue_seconds=mean([r.queue_seconds for r in runs]),
        tokens_per_second=generated / sum(seconds) if sum(seconds) else 0.0,
        cost_usd=_mean_cost(runs),
        redundancy=mean(redundancy) if redundancy else None,
        estimated=any(r.estimated for r in runs),
        budgets=budgets,
        at_equal_tokens=_within(graded, lambda r: r.total_output_tokens, budgets.tokens),
        at_equal_token_latency=_within(graded, lambda r: r.critical_path_tokens, budgets.latency_tokens),
        at_equal_seconds=_within(graded, lambda r: r.wall_seconds, budgets.seconds),
        at_equal_context=_within(graded, lambda r: r.longest_context, budgets.context),
        against=against,
    )


def _against(scope: _Scope, base: Sequence[Record], runs: Sequence[Record]) -> Against | None:
    theirs, ours, seed = _by_item(base), _by_item(runs), scope.seed
    shared = [key for key in ours if key in theirs]
    if not shared:
        return None
    graded = [k for k in shared if all(r.graded for r in (*theirs[k], *ours[k]))]
    one_each = all(len(ours[k]) == 1 == len(theirs[k]) for k in shared)
    gains = [_share(ours[k]) - _share(theirs[k]) for k in graded]
    speedups: list[float] = []
    faster: list[float] = []
    best = 0.0
    for key in shared:
        a, b = theirs[key], ours[key]
        critical = mean([r.critical_path_tokens for r in b])
        before = mean([r.total_output_tokens for r in a])
        if critical and before:
            speedups.append(before / critical)
            if all(r.correct for r in (*a, *b)):
                best = max(best, speedups[-1])
        if (wall := mean([r.wall_seconds for r in b])) > 0:
            faster.append(mean([r.wall_seconds for r in a]) / wall)
    their_tokens, our_tokens = (
        _mean_total([r for k in shared for r in theirs[k]]),
        _mean_total([r for k in shared for r in ours[k]]),
    )
    their_share, our_share = (
        mean([_share(theirs[k]) for k in graded]),
        mean([_share(ours[k]) for k in graded]),
    )
    ratio = our_tokens / their_tokens if their_tokens else 0.0
    return Against(
        baseline=scope.baseline,
        items=len(shared),
        accuracy_gain=_mean(gains),
        accuracy_gain_interval=bootstrap(gains, seed=seed),
        p_value=mcnemar(sum(g > 0 for g in gains), sum(g < 0 for g in gains)) if one_each and gains else None,
        token_latency_speedup=mean(speedups),
        token_latency_speedup_interval=bootstrap(speedups, seed=seed),
        best_speedup=best,
        wall_speedup=mean(faster),
        wall_speedup_interval=bootstrap(faster, seed=seed),
        token_overhead=ratio - 1,
        efficiency=our_share / ratio / their_share if ratio and their_share else None,
        error_amplification=(1 - our_share) / (1 - their_share) if graded and their_share < 1 else None,
    )


def _budgets(base: Sequence[Record]) -> Budgets:
    return Budgets(
        tokens=quantile([r.total_output_tokens for r in base], BUDGET_SHARE),
        latency_tokens=quantile([r.critical_path_tokens for r in base], BUDGET_SHARE),
        seconds=quantile([r.wall_seconds for r in base], BUDGET_SHARE),
        context=quantile([r.longest_context for r in base], BUDGET_SHARE),
    )


def _majority(tries: Sequence[Record]) -> bool:
    """True if the most frequent answer of several runs is right; of equally frequent ones the first."""
    groups: list[tuple[Any, list[Record]]] = []
    for record in tries:
        value = AUTO.read(record.answer)
        for answer, members in groups:
            if value is not None and answer is not None and AUTO.same(answer, value):
                members.append(record)
                break
        else:
            groups.append((value, [record]))
    return max(groups, key=lambda g: (g[0] is not None, len(g[1])))[1][0].correct


def _within(items: dict[Any, list[Record]], used: Callable[[Record], float], budget: float) -> float | None:
    return _mean(
        [
            mean([float(r.correct and used(r) <= budget * (1 + 1e-9)) for r in tries])
            for tries in items.values()
        ]
    )


def _mean(values: Sequence[float]) -> float | None:
    return mean(values) if values else None


def _share(runs: Sequence[Record]) -> float:
    return mean([float(r.correct) for r in runs])


def _mean_total(runs: Sequence[Record]) -> float:
    return mean([r.total_output_tokens for r in runs])


def _mean_cost(runs: Sequence[Record]) -> float | None:
    costs = [r.cost_usd for r in runs if r.cost_usd is not None]
    return mean(costs) if len(costs) == len(runs) else None


def _by_item(runs: Iterable[Record]) -> dict[tuple[str, str], list[Record]]:
    return _grouped(runs, lambda r: (r.task, r.item))


def _grouped(records: Iterable[Record], key: Callable[[Record], Any]) -> dict[Any, list[Record]]:
    groups: dict[Any, list[Record]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    return groups
