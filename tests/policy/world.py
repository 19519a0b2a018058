"""A world made by a seed: kinds of questions, what each arm comes to, and so the best arm, which is known.

Questions are real text, so that their features are those that weaver reads. How good an arm is follows from
what a question is: lists of sums want a fork, choices want votes, chains and small questions a direct answer.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from weaver._data.decisions import Arm, LoggedDecision, Outcome, Reward
from weaver._data.task import Task
from weaver._evals.records import Record
from weaver._planning.features import VERSION, features_of
from weaver._planning.policy import Rules

DIRECT, FORK, VOTE = "sequential", "adaptive:gate=off", "self_consistency:samples=3"
CALL_SECONDS, TOKEN_SECONDS, SLOWDOWN = 0.4, 0.0125, 0.03


@dataclass(frozen=True)
class Nature:
    """What a kind of question is: how many parts, how much they are mixed up, and what else."""

    parts: int
    mixed_up: float = 0.0
    chained: bool = False
    choice: bool = False
    tokens: int = 40


def _names(rng: random.Random, number: int) -> list[str]:
    known = "Peru Chad Oman Laos Mali Cuba Fiji Togo Iran Iraq Niue Guam Spain Japan Kenya Ghana"
    return rng.sample(known.split(), number)


def _sums(start: str) -> Callable[[random.Random, int], str]:
    def write(rng: random.Random, number: int) -> str:
        lines = [
            f"{i}. {rng.randrange(10, 99)} + {rng.randrange(10, 99)} * {rng.randrange(2, 9)}"
            for i in range(1, number + 1)
        ]
        return start + "\n" + "\n".join(lines)

    return write


def _facts(what: str) -> Callable[[random.Random, int], str]:
    def write(rng: random.Random, number: int) -> str:
        lines = [f"{i}. {name}" for i, name in enumerate(_names(rng, number), 1)]
        return f"Give the {what} of each country:\n" + "\n".join(lines)

    return write


def _chain(verb: str) -> Callable[[random.Random, int], str]:
    def write(rng: random.Random, number: int) -> str:
        steps = ", then ".join(f"{verb} {rng.randrange(2, 30)}" for _ in range(number))
        return f"Start with {rng.randrange(10, 99)}, then {steps}. What is the result?"

    return write


def _choice(about: str) -> Callable[[random.Random, int], str]:
    def write(rng: random.Random, number: int) -> str:
        names = _names(rng, 4)
        options = "\n".join(f"{letter}) {name}" for letter, name in zip("ABCD", names, strict=True))
        return f"Which of these has the {about} in {rng.randrange(1900, 2020)}?\n{options}"

    return write


def _small(what: str) -> Callable[[random.Random, int], str]:
    def write(rng: random.Random, number: int) -> str:
        return f"What is the {what} of {_names(rng, 1)[0]}?"

    return write


WORLD: dict[str, tuple[Callable[[random.Random, int], str], Nature]] = {
    "sums": (_sums("Compute each of these:"), Nature(4, mixed_up=1.0, tokens=60)),
    "bills": (_sums("Work out every bill below:"), Nature(5, mixed_up=1.0, tokens=70)),
    "scores": (_sums("Calculate each score:"), Nature(6, mixed_up=1.0, tokens=60)),
    "capitals": (_facts("capital"), Nature(4, tokens=12)),
    "currencies": (_facts("currency"), Nature(5, tokens=12)),
    "languages": (_facts("language"), Nature(6, tokens=12)),
    "adding": (_chain("add"), Nature(4, chained=True, tokens=30)),
    "doubling": (_chain("multiply by"), Nature(5, chained=True, tokens=30)),
    "lowering": (_chain("subtract"), Nature(6, chained=True, tokens=30)),
    "exports": (_choice("largest exports"), Nature(1, choice=True, tokens=120)),
    "harvests": (_choice("best harvest"), Nature(1, choice=True, tokens=120)),
    "mountain": (_small("highest mountain"), Nature(1, tokens=30)),
    "river": (_small("longest river"), Nature(1, tokens=30)),
}


def chance(nature: Nature, strategy: str, *, forks: bool) -> float:
    """The true chance that an arm's answer is right."""
    direct = 2.0 - 0.75 * nature.parts * nature.mixed_up - (1.6 if nature.choice else 0.0)
    if strategy == VOTE:
        direct += 1.6 if nature.choice else 0.2
    elif forks:
        direct = 1.8 - (3.0 if nature.chained else 0.0)
    return 1 / (1 + math.exp(-direct))


def work(nature: Nature, strategy: str, *, forks: bool) -> tuple[int, int, int, int]:
    """Calls one after another, tokens on the path, tokens in all, tokens read."""
    whole = nature.parts * nature.tokens
    if strategy == VOTE:
        return 1, whole, 3 * whole, 300
    if forks:
        path = 35 + math.ceil(1.25 * whole / nature.parts)
        return 2, path, 35 + math.ceil(1.1 * whole), 700 + 150 * nature.parts
    return 1, whole, whole, 100


def forks(text: str, strategy: str, rng: random.Random) -> bool:
    """Whether a run forks: as the rules say, and where they are unsure, by the planner's toss."""
    if strategy in (DIRECT, VOTE):
        return False
    lean = Rules().judge(Task(text)).lean
    return (
        lean == "plan" or (strategy == FORK and lean != "direct") or (lean == "unsure" and rng.random() < 0.5)
    )


def seconds_of(steps: int, path: int, written: int) -> float:
    """Seconds at the endpoint of this world."""
    width = max(1.0, written / path)
    return steps * CALL_SECONDS + path * TOKEN_SECONDS * (1 + SLOWDOWN * (width - 1))


def records(
    kinds: Sequence[str] = tuple(WORLD),
    *,
    each: int = 30,
    strategies: Sequence[str] = ("adaptive", DIRECT, FORK, VOTE),
    model: str = "sim",
    seed: int = 0,
) -> list[Record]:
    """What `weaver compare` would have kept."""
    made = []
    for kind in kinds:
        write, nature = WORLD[kind]
        for item in range(each):
            rng = random.Random(f"{seed}/{kind}/{item}")
            text = write(rng, nature.parts)
            features = features_of(Task(text))
            for strategy in strategies:
                split = forks(text, strategy, rng) and nature.parts > 1
                right = rng.random() < chance(nature, strategy, forks=split)
                steps, path, written, read = work(nature, strategy, forks=split)
                path, written = (max(1, round(n * rng.uniform(0.8, 1.25))) for n in (path, written))
                written = max(path, written)
                made.append(
                    Record(
                        task=kind,
                        item=str(item),
                        strategy=strategy,
                        model=model,
                        correct=right,
                        score=float(right),
                        critical_path_tokens=path,
                        total_output_tokens=written,
                        input_tokens=read,
                        critical_steps=steps,
                        wall_seconds=seconds_of(steps, path, written),
                        structure="chain" if nature.chained else "independent",
                        features=features,
                        features_version=VERSION,
                    )
                )
    return made


def logs(kind: str, number: int, *, seed: int = 1) -> list[tuple[LoggedDecision, str, str]]:
    """Logs of a policy that takes each arm with the same chance: one arm each, with its reward."""
    made = []
    strategies = ["adaptive", DIRECT, FORK, VOTE]
    names = ["rules", "direct", FORK, VOTE]
    write, nature = WORLD[kind]
    for item in range(number):
        rng = random.Random(f"log/{seed}/{kind}/{item}")
        text = write(rng, nature.parts)
        at = rng.randrange(4)
        split = forks(text, strategies[at], rng) and nature.parts > 1
        right = rng.random() < chance(nature, strategies[at], forks=split)
        steps, path, written, read = work(nature, strategies[at], forks=split)
        outcome = Outcome(written + read, seconds_of(steps, path, written), 0.0, "complete")
        made.append(
            (
                LoggedDecision(
                    "fork",
                    names[at],
                    tuple(Arm(name, 0.25) for name in names),
                    "explore/1",
                    features=features_of(Task(text)),
                    outcome=outcome,
                    reward=Reward(float(right), "user"),
                ),
                f"{kind}-{item}",
                "sim",
            )
        )
    return made
