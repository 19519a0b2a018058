"""Statistics and summaries, against numbers worked out by hand or published."""

from __future__ import annotations

import pytest

from weaver._evals.records import Record, overlap
from weaver._evals.statistics import bootstrap, longest_chain, mcnemar, pareto, quantile, wilson
from weaver._evals.summary import EVERYTHING, Budgets, summarize


def record(strategy: str, item: int, *, correct: bool = True, **changes: object) -> Record:
    values: dict[str, object] = {
        "task": "t", "item": str(item), "strategy": strategy, "model": "m", "correct": correct,
        "critical_path_tokens": 100, "total_output_tokens": 100, "wall_seconds": 1.0, "calls": 1,
    }  # fmt: skip
    return Record(**{**values, **changes})  # type: ignore[arg-type]


def test_wilsons_interval() -> None:
    low, high = wilson(81, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    assert wilson(0, 10)[0] == 0.0
    assert wilson(10, 10)[1] == 1.0
    assert wilson(0, 10)[1] == pytest.approx(0.2775, abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)


def test_mcnemars_exact_p_value() -> None:
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(5, 5) == 1.0
    assert mcnemar(1, 9) == pytest.approx(2 * (1 + 10) / 2**10)
    assert mcnemar(9, 1) == mcnemar(1, 9)
    assert mcnemar(0, 2000) < 1e-300


def test_quantiles_and_bootstrap() -> None:
    assert quantile([3, 1, 2], 0.5) == 2
    assert quantile([1, 2], 0.9) == pytest.approx(1.9)
    low, high = bootstrap([0.0] * 50 + [1.0] * 50, seed=1)
    assert 0.38 < low < 0.44 < 0.56 < high < 0.62
    assert bootstrap([0.0] * 50 + [1.0] * 50, seed=1) == (low, high)
    assert bootstrap([3.0]) == (3.0, 3.0)


def test_the_pareto_front_has_no_dominated_point() -> None:
    points = [(10, 0.5), (20, 0.5), (20, 0.9), (30, 0.8), (5, 0.1), (10, 0.6)]
    assert pareto(points) == [4, 5, 2]


def test_the_longest_chain_of_calls() -> None:
    assert longest_chain([]) == 0
    assert longest_chain([(0, 1), (0, 5), (1, 2), (2, 3), (5, 6)]) == 4


def test_overlap_of_threads_answers() -> None:
    assert overlap(["a b", "a b"]) == 1
    assert overlap(["a b", "b c", "a b"]) == pytest.approx((1 / 3 + 1 + 1 / 3) / 3)
    assert overlap(["a"]) is None


def test_speedups_are_per_item_against_the_baseline_on_the_same_items() -> None:
    runs = []
    for i, (before, critical, total) in enumerate([(100, 50, 200), (300, 100, 150), (90, 90, 90)]):
        runs.append(record("sequential", i, critical_path_tokens=before, total_output_tokens=before))
        runs.append(
            record(
                "fork",
                i,
                correct=i != 0,
                critical_path_tokens=critical,
                total_output_tokens=total,
                threads=2 if i < 2 else 0,
                thread_tokens=100 if i < 2 else 0,
                wall_seconds=0.5,
            )
        )
    runs.append(record("fork", 99, critical_path_tokens=1, total_output_tokens=1000))
    base, fork = summarize(runs)
    assert base.against is None
    assert fork.against is not None
    assert fork.against.items == 3
    assert fork.against.token_latency_speedup == pytest.approx((2 + 3 + 1) / 3)
    assert fork.against.best_speedup == 3
    assert fork.against.wall_speedup == 2
    assert fork.against.token_overhead == pytest.approx(440 / 490 - 1)
    assert fork.against.accuracy_gain == pytest.approx(-1 / 3)
    assert fork.against.p_value == 1.0
    assert fork.against.error_amplification is None
    assert fork.self_parallel_speedup == pytest.approx((4 + 1.5 + 1 + 1000) / 4)
    assert fork.acceleration_ratio == pytest.approx((0.75 + 1 / 3 + 0 + 0.999) / 4)
    assert fork.activation_ratio == 0.5
    assert fork.token_parallel_ratio == pytest.approx(200 / 1440)
    assert (fork.accuracy, fork.failed) == (0.75, 0)


def test_an_answer_counts_only_within_an_equal_budget() -> None:
    runs = [
        record("sequential", i, total_output_tokens=10 * (i + 1), critical_path_tokens=10) for i in range(10)
    ]
    runs += [record("fork", i, total_output_tokens=85, critical_path_tokens=5) for i in range(9)]
    runs.append(record("fork", 9, total_output_tokens=500, critical_path_tokens=500))
    base, fork = summarize(runs)
    assert base.budgets.tokens == pytest.approx(91)
    assert base.at_equal_tokens == 0.9
    assert (fork.at_equal_tokens, fork.at_equal_token_latency) == (0.9, 0.9)
    tight = Budgets(tokens=50, latency_tokens=5, seconds=9, context=9)
    base, fork = summarize(runs, budgets=tight)
    assert (base.at_equal_tokens, fork.at_equal_tokens) == (0.5, 0.0)
    assert (base.at_equal_token_latency, fork.at_equal_token_latency) == (0.0, 0.9)


def test_repeats_give_pass_and_majority_at_k() -> None:
    answers = {0: ["1", "1", "2"], 1: ["3", "4", "4"]}
    right = {0: "1", 1: "3"}
    runs = [
        record("s", item, repeat=i, correct=a == right[item], answer=f"Answer: {a}")
        for item, given in answers.items()
        for i, a in enumerate(given)
    ]
    [found] = summarize(runs)
    assert found.accuracy == pytest.approx((2 / 3 + 1 / 3) / 2)
    assert (found.pass_at_k, found.majority_at_k) == (1.0, 0.5)
    assert (found.items, found.runs) == (2, 6)


def test_failed_runs_count_as_wrong_and_unknown_cost_stays_unknown() -> None:
    runs = [record("s", 0, cost_usd=0.5), record("s", 1, correct=False, status="failed", cost_usd=None)]
    [found] = summarize(runs)
    assert (found.accuracy, found.failed, found.cost_usd) == (0.5, 1, None)


def test_several_tasks_are_also_summed_up_together() -> None:
    runs = [record("s", 0), record("s", 0, task="u", correct=False)]
    assert [(s.task, s.accuracy) for s in summarize(runs)] == [("t", 1.0), ("u", 0.0), (EVERYTHING, 0.5)]


def test_the_front_is_marked() -> None:
    runs = [
        record("never right", 0, correct=False, total_output_tokens=1, critical_path_tokens=1),
        record("good", 0, total_output_tokens=9, critical_path_tokens=9),
        record("worse", 0, total_output_tokens=15, critical_path_tokens=10),
        record("shorter", 0, total_output_tokens=15, critical_path_tokens=5),
    ]
    assert [(s.on_front_of_tokens, s.on_front_of_latency) for s in summarize(runs)] == [
        (False, False), (True, False), (False, False), (False, True),
    ]  # fmt: skip
