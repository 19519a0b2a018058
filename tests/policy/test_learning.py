"""Learning in a world whose best policy is known: better than the rules, or refused."""

from __future__ import annotations

import math
import random
from functools import cache

import pytest

from tests.policy.world import DIRECT, FORK, VOTE, WORLD, chance, logs, records, seconds_of, work
from weaver._data.task import Task
from weaver._evals.policies.acceptance import Learned, learn
from weaver._evals.policies.evaluation import (
    calibration_error,
    cross_fitted,
    estimate,
    predict,
    value_of,
)
from weaver._evals.policies.examples import Example, example_of_log, examples_of
from weaver._evals.policies.fitting import fit_arms, speeds_of_results
from weaver._planning.features import features_of
from weaver._planning.learned.fitted import RULES, best
from weaver._planning.learned.linear import cholesky, distance, solve
from weaver._planning.learned.objective import OBJECTIVES
from weaver._planning.learned.regression import fit, sigmoid
from weaver.errors import ConfigurationError

pytestmark = pytest.mark.timeout(300)  # some seconds of arithmetic, on a machine that may be busy
BALANCED = OBJECTIVES["balanced"]
HELD_OUT = ("scores", "languages", "lowering", "harvests", "river")


@cache
def learned(seed: int = 4) -> Learned:
    """A policy that has never seen the kinds that are held out."""
    kinds = tuple(kind for kind in WORLD if kind not in HELD_OUT)
    return learn(examples_of(records(kinds, each=40, seed=seed)), BALANCED, seed=seed)


def true_worth(kind: str, arm: str, text: str) -> float:
    """The utility of an arm that is known in this world and never told to anybody."""
    nature = WORLD[kind][1]
    strategy = {"direct": DIRECT, RULES: "adaptive"}.get(arm, arm)
    lean = next(n for n in ("plan", "direct", "unsure") if n == _lean(text))
    share = {"plan": 1.0, "direct": 0.0, "unsure": 1.0 if strategy == FORK else 0.5}[lean]
    share = 0.0 if strategy in (DIRECT, VOTE) or nature.parts == 1 else share
    worth = 0.0
    for forks, part in ((True, share), (False, 1 - share)):
        steps, path, written, _ = work(nature, strategy, forks=forks)
        quality = chance(nature, strategy, forks=forks)
        worth += part * BALANCED.utility(quality, seconds_of(steps, path, written), None)
    return worth


def _lean(text: str) -> str:
    from weaver._planning.policy import Rules

    return Rules().judge(Task(text)).lean


def test_it_beats_the_rules_on_kinds_that_it_has_never_seen():
    policy = learned()
    assert policy.file.evidence.accepted, policy.file.evidence.reasons
    speeds = speeds_of_results(examples_of(records(each=4)))["sim"]
    gains, lost = [], []
    for kind in HELD_OUT:
        write, nature = WORLD[kind]
        for number in range(40):
            text = write(random.Random(f"new/{kind}/{number}"), nature.parts)
            features = features_of(Task(text))
            fitted = policy.file.fitted
            arm = RULES
            if not fitted.domain.stranger(fitted.inputs, features):
                expected = fitted.expect(features, model="sim", speeds=speeds)
                arm = best(expected, BALANCED, policy.file.threshold)
            worth = {name: true_worth(kind, name, text) for name in fitted.arms}
            gains.append(worth[arm] - worth[RULES])
            lost.append(max(worth.values()) - worth[arm])
    examples = [Example(str(i), "", "", "sim", {}, {}) for i in range(len(gains))]
    gain = estimate(examples, gains)
    assert gain.low > 0, gain
    regret, possible = sum(lost), sum(lost) + sum(gains)
    assert regret <= 0.5 * possible, "it gets at least half of what the best policy gains"


def test_the_evidence_is_of_items_that_it_was_not_fitted_on():
    evidence = learned().file.evidence
    assert evidence.items == 8 * 40
    assert evidence.low > 0
    assert evidence.effective >= 100
    assert evidence.new_kinds is not None
    assert evidence.new_kinds >= 0
    rows = {row.name: row for row in learned().rows}
    assert rows["rules"].gain.mean == 0
    assert {"learned", "always direct", f"always {VOTE}", "oracle"} <= rows.keys()
    assert rows["learned"].utility > max(
        row.utility for name, row in rows.items() if name.startswith("always")
    )
    assert rows["oracle"].utility >= rows["learned"].utility


def test_its_predictions_are_calibrated():
    assert calibration_error(learned().bins) < 0.06


def test_the_same_results_give_the_same_policy():
    examples = examples_of(records(("sums", "adding"), each=20))
    assert learn(examples, BALANCED).file == learn(examples, BALANCED).file


def test_where_the_rules_are_right_it_is_refused():
    runs = records(("capitals", "mountain", "adding", "river"), each=40)
    policy = learn(examples_of(runs), OBJECTIVES["quality"])
    assert not policy.file.evidence.accepted
    assert any("not above 0 for sure" in reason for reason in policy.file.evidence.reasons)


def test_few_items_are_not_enough():
    policy = learn(examples_of(records(("sums", "exports", "adding"), each=12)), BALANCED)
    assert any("items; 100 are needed" in reason for reason in policy.file.evidence.reasons)


def test_doubly_robust_estimates_of_logs_are_right():
    """What logs say of always taking an arm is what taking it comes to."""
    examples = examples_of(records(("sums", "exports", "adding"), each=40))
    speeds = speeds_of_results(examples)
    fitted = fit_arms(examples.full, examples.strategies)
    taken = [
        example
        for kind in ("sums", "exports", "adding")
        for decision, run, model in logs(kind, 200)
        if (example := example_of_log(run, model, [decision])) is not None
    ]
    assert len(taken) == 600
    assert {e.propensity for e in taken} == {0.25}
    for arm in ("direct", FORK, VOTE):
        values, weights = zip(
            *(value_of(e, predict(fitted, e, speeds), arm, BALANCED) for e in taken), strict=True
        )
        found = estimate(taken, values, weights)
        truth = sum(
            true_worth(kind, arm, WORLD[kind][0](random.Random(1), WORLD[kind][1].parts))
            for kind in ("sums", "exports", "adding")
        )
        assert found.low - 0.02 <= truth / 3 <= found.high + 0.02, arm
        assert 100 <= found.effective <= 200, "a quarter of the logs"


def test_weights_are_clipped():
    example = example_of_log("r", "sim", [logs("sums", 1)[0][0]])
    assert example is not None
    rare = Example("r", "log", "", "sim", example.features, example.arms, example.logged, 1e-6)
    examples = examples_of(records(("sums", "exports"), each=10))
    expected = predict(fit_arms(examples.full, examples.strategies), rare, speeds_of_results(examples))
    assert value_of(rare, expected, rare.logged, BALANCED)[1] == 20


def test_logs_add_to_what_is_learned():
    taken = [
        example
        for kind in ("sums", "exports")
        for decision, run, model in logs(kind, 30)
        if (example := example_of_log(run, model, [decision])) is not None
    ]
    examples = examples_of(records(("sums", "exports"), each=10), taken)
    assert len(examples.logs) == 60
    fitted = fit_arms(examples.full, examples.strategies, examples.logs)
    assert sum(arm.quality.rows for arm in fitted.arms.values()) == 4 * 20 + 60
    made = cross_fitted(examples, speeds_of_results(examples))
    assert len(made) == 20 + 60


def test_speeds_are_read_off_the_results():
    speeds = speeds_of_results(examples_of(records(each=10)))["sim"]
    assert speeds.first_token == pytest.approx(0.4, abs=0.02)
    assert speeds.decode == pytest.approx(80, rel=0.02)
    assert speeds.slowdown == 0.03


def test_results_that_nothing_can_be_learned_from():
    known = records(("sums",), each=2)

    def changed(**values):
        from dataclasses import replace

        return [replace(record, **values) for record in known]

    with pytest.raises(ConfigurationError, match="no rewards"):
        examples_of(changed(graded=False))
    with pytest.raises(ConfigurationError, match="no rewards"):
        examples_of([])
    with pytest.raises(ConfigurationError, match=r"another version \(theirs: none; this version reads 1\)"):
        examples_of(changed(features={}, features_version=""))
    with pytest.raises(ConfigurationError, match="no run of `adaptive`"):
        examples_of([record for record in known if record.strategy != "adaptive"])
    with pytest.raises(ConfigurationError, match="one strategy only"):
        examples_of([record for record in known if record.strategy == "adaptive"])
    part = [r for r in known if r.item == "0" or r.strategy == "adaptive"]
    assert examples_of(part).notes == ["1 of 2 items have no result of some strategy, and are left out."]


def test_a_regression_finds_the_weights():
    rng = random.Random(3)
    truth = [0.4, 1.5, -2.0, 0.0]
    rows = [[1.0, rng.gauss(0, 1), float(rng.random() < 0.4), rng.gauss(0, 1)] for _ in range(3000)]
    rewards = [
        float(rng.random() < sigmoid(sum(w * x for w, x in zip(truth, row, strict=True)))) for row in rows
    ]
    posterior = fit(rows, rewards)
    for weight, wanted in zip(posterior.weights, truth, strict=True):
        assert weight == pytest.approx(wanted, abs=0.25)
    near, far = posterior.logit([1, 0, 0, 0])[1], posterior.logit([1, 9, 0, 9])[1]
    assert far > 5 * near, "less sure far from the examples"
    assert abs(posterior.chance([1, 9, 0, 9]) - 0.5) < abs(sigmoid(posterior.logit([1, 9, 0, 9])[0]) - 0.5)


def test_answers_that_are_all_right_do_not_break_it():
    posterior = fit([[1.0, 1.0], [1.0, 0.0]] * 20, [1.0] * 40)
    assert 0.9 < posterior.chance([1.0, 1.0]) < 1
    assert all(map(math.isfinite, posterior.weights))


def test_small_matrices():
    matrix = [[4.0, 2.0], [2.0, 3.0]]
    lower = cholesky(matrix)
    x = solve(lower, [8.0, 7.0])
    assert x == pytest.approx([1.25, 1.5])
    assert distance(lower, [8.0, 7.0]) == pytest.approx(8 * 1.25 + 7 * 1.5)
    with pytest.raises(ValueError, match="positive definite"):
        cholesky([[1.0, 2.0], [2.0, 1.0]])
