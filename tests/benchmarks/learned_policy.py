"""What a learned policy gains in a world whose best policy is known, on kinds that it has never seen.

Run: python -m tests.benchmarks.learned_policy [SEEDS]. The table in docs/policy.md comes from here.
"""

from __future__ import annotations

import random
import sys
import time
from statistics import fmean

from tests.policy.test_learning import HELD_OUT, true_worth
from tests.policy.world import WORLD, records
from weaver._data.task import Task
from weaver._evals.policies.acceptance import learn
from weaver._evals.policies.evaluation import calibration_error, estimate
from weaver._evals.policies.examples import Example, examples_of
from weaver._evals.policies.fitting import speeds_of_results
from weaver._planning.features import features_of
from weaver._planning.learned.fitted import RULES, best
from weaver._planning.learned.objective import OBJECTIVES

BALANCED = OBJECTIVES["balanced"]


def main(seeds: int) -> None:
    """Print a row for each seed."""
    speeds = speeds_of_results(examples_of(records(each=4)))["sim"]
    print("| seed | accepted | gain, cross-fitted | gain, new kinds | of the best gain | calibration | fit |")
    print("|---:|---|---:|---:|---:|---:|---:|")
    for seed in range(seeds):
        kinds = tuple(kind for kind in WORLD if kind not in HELD_OUT)
        begun = time.perf_counter()
        learned = learn(examples_of(records(kinds, each=40, seed=seed)), BALANCED, seed=seed)
        took = time.perf_counter() - begun
        fitted, gains, most = learned.file.fitted, [], []
        for kind in HELD_OUT:
            write, nature = WORLD[kind]
            for number in range(60):
                text = write(random.Random(f"held out/{seed}/{kind}/{number}"), nature.parts)
                features = features_of(Task(text))
                arm = RULES
                if not fitted.domain.stranger(fitted.inputs, features):
                    expected = fitted.expect(features, model="sim", speeds=speeds)
                    arm = best(expected, BALANCED, learned.file.threshold)
                worth = {name: true_worth(kind, name, text) for name in fitted.arms}
                gains.append(worth[arm] - worth[RULES])
                most.append(max(worth.values()) - worth[RULES])
        new = estimate([Example(str(i), "", "", "sim", {}, {}) for i in range(len(gains))], gains)
        gain = learned.rows[0].gain
        share = fmean(gains) / fmean(most)
        print(
            f"| {seed} | {'yes' if learned.file.evidence.accepted else 'no'} "
            f"| {gain.mean:+.3f} ({gain.low:+.3f} to {gain.high:+.3f}) "
            f"| {new.mean:+.3f} ({new.low:+.3f} to {new.high:+.3f}) | {100 * share:.0f} % "
            f"| {100 * calibration_error(learned.bins):.1f} points | {took:.1f} s |"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
