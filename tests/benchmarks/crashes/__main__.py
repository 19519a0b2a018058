"""Kill durable runs at every entry, at random moments, and their viewers; print the crash matrix.

python -m tests.benchmarks.crashes                     # every method at every entry
python -m tests.benchmarks.crashes race toy --random 200 --seed 3
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator

from tests.benchmarks.crashes.methods import methods
from tests.benchmarks.crashes.trials import Baseline, Kill, Outcome, Trials
from tests.benchmarks.crashes.world import CountingModel
from tests.benchmarks.crashes.zygote import Zygote
from weaver.testing import Server


def main() -> int:
    """Returns 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("methods", nargs="*", default=list(methods()))
    parser.add_argument("--random", type=int, default=0, metavar="N", help="kill N runs at random moments")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every N-th entry")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    zygote = Zygote()
    wrong = 0
    with Server(CountingModel(), dialect="vllm").in_thread() as server:
        trials = Trials(zygote, server)
        baselines = {name: trials.baseline(name) for name in arguments.methods}
        if arguments.random:
            wrong += at_random(trials, baselines, arguments.random, arguments.seed)
        else:
            print(
                "| method | entries | kill points | calls lost | wrong |\n|---|---|---|---|---|", flush=True
            )
            for name, baseline in baselines.items():
                wrong += everywhere(trials, name, baseline, arguments.every)
    zygote.close()
    return int(wrong > 0)


def everywhere(trials: Trials, name: str, baseline: Baseline, every: int) -> int:
    """Kill a method at each of its entries; returns how many runs were not as they should."""
    points = [
        Kill(entry, before) for entry in range(1, baseline.entries + 1, every) for before in (True, False)
    ]
    outcomes = [told(name, point, trials.killed(name, [point], baseline)) for point in points]
    wrong = sum(bool(outcome.problems) for outcome in outcomes)
    killed, lost = sum(o.kills for o in outcomes), sum(o.wasted for o in outcomes)
    print(f"| {name} | {baseline.entries} | {killed} | {lost} | {wrong} |", flush=True)
    return wrong


def at_random(trials: Trials, baselines: dict[str, Baseline], runs: int, seed: int) -> int:
    """Kill runs of mixed methods one to three times; returns how many were not as they should."""
    chance, wrong, killed, lost = random.Random(seed), 0, 0, 0
    for _ in range(runs):
        name = chance.choice(list(baselines))
        kills = list(moments(chance, baselines[name]))
        outcome = told(name, " and ".join(map(str, kills)), trials.killed(name, kills, baselines[name]))
        wrong, killed, lost = wrong + bool(outcome.problems), killed + outcome.kills, lost + outcome.wasted
    print(f"{runs} runs killed {killed} times at random moments: {lost} calls lost, {wrong} runs wrong.")
    return wrong


def moments(chance: random.Random, baseline: Baseline) -> Iterator[Kill]:
    for _ in range(chance.randint(1, 3)):
        yield Kill(seconds=chance.uniform(0.02, baseline.seconds))


def told(name: str, kills: object, outcome: Outcome) -> Outcome:
    for problem in outcome.problems:
        print(f"WRONG {name}, killed {kills}: {problem}", file=sys.stderr, flush=True)
    return outcome


if __name__ == "__main__":
    sys.exit(main())
