"""Examples to learn from: tasks, and what each way to answer them came to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from weaver._data.decisions import LoggedDecision
from weaver._evals.records import Record, read_records
from weaver._planning.features import VERSION
from weaver._planning.learned.fitted import RULES
from weaver._planning.learned.work import Trial
from weaver._strategies.common.registry import find
from weaver.errors import ConfigurationError

ARMS = {"adaptive": RULES, "sequential": "direct"}
"""Strategies whose arms have names of their own."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What one arm came to on one task: means over its repeats.

    Args:
        reward: 0 to 1; ``seconds``, ``usd``: of the whole run.
        trial: its work; None where only sums are known.
    """

    reward: float
    seconds: float
    usd: float | None
    trial: Trial | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """One task, answered by one model.

    Args:
        block: the item; the same item answered by other models belongs to the same block.
        kind: of the task, as comparisons name it.
        structure: ``chain``, ``independent``, ... or "".
        arms: what is known, by arm: of every arm in a comparison, of one in a log.
        logged: the arm that a log is about, "" in a comparison; ``propensity`` is the chance it had.
    """

    block: str
    kind: str
    structure: str
    model: str
    features: Mapping[str, float]
    arms: Mapping[str, Observed]
    logged: str = ""
    propensity: float = 1.0


@dataclass(frozen=True, slots=True)
class Examples:
    """All examples.

    Args:
        full: with every arm; ``logs``: with one.
        strategies: what each arm runs.
        notes: what was left out, and why.
    """

    full: Sequence[Example]
    logs: Sequence[Example]
    strategies: Mapping[str, str]
    notes: Sequence[str] = ()

    @property
    def kinds(self) -> list[str]:
        """The kinds, in order."""
        return sorted({example.kind for example in self.full})


def read_examples(paths: Sequence[Path], logs: Sequence[Example] = ()) -> Examples:
    """Read the results of ``weaver compare``: files, or the folders they are in.

    Raises:
        ConfigurationError: a file cannot be read, or its results cannot be learned from; says why.
    """
    records: list[Record] = []
    for path in paths:
        _, more = read_records(path / "runs.jsonl" if path.is_dir() else path)
        records += more
    return examples_of(records, logs)


def examples_of(records: Sequence[Record], logs: Sequence[Example] = ()) -> Examples:
    """Return the examples of a comparison's runs.

    Raises:
        ConfigurationError: there is nothing to learn from: no grade, no features, no rules to compare with,
            or a single arm.
    """
    graded = [record for record in records if record.graded]
    if not graded:
        raise ConfigurationError(
            "The results have no rewards: no run has been graded.",
            hint="Grade them: run the same `weaver compare` again.",
        )
    if other := sorted({record.features_version for record in graded} - {VERSION}):
        was = "none" if other == [""] else ", ".join(filter(None, other))
        raise ConfigurationError(
            f"The results have features of another version (theirs: {was}; this version reads {VERSION}).",
            hint="Make them again with `weaver compare` of this version.",
        )
    strategies = {ARMS.get(name, name): name for name in dict.fromkeys(r.strategy for r in graded)}
    _check_arms(strategies)
    groups: dict[tuple[str, str, str], dict[str, list[Record]]] = {}
    for record in graded:
        arm = ARMS.get(record.strategy, record.strategy)
        groups.setdefault((record.task, record.item, record.model), {}).setdefault(arm, []).append(record)
    full = [_example(key, runs) for key, runs in sorted(groups.items()) if runs.keys() == strategies.keys()]
    if not full:
        raise ConfigurationError(
            "No item has been answered by all strategies.", hint="Let the comparison come to its end."
        )
    notes: list[str] = []
    if short := len(groups) - len(full):
        notes.append(f"{short} of {len(groups)} items have no result of some strategy, and are left out.")
    if ungraded := len(records) - len(graded):
        notes.append(f"{ungraded} runs have no grade, and are left out.")
    usable = [log for log in logs if log.logged in strategies]
    return Examples(full, usable, strategies, notes)


def _check_arms(strategies: Mapping[str, str]) -> None:
    if RULES not in strategies:
        raise ConfigurationError(
            "The results have no run of `adaptive`, so there are no rules to compare with.",
            hint="Compare with --strategies adaptive,sequential,... on the same items.",
        )
    if len(strategies) < 2:
        raise ConfigurationError(
            "The results have one strategy only, so there is nothing to choose between.",
            hint="Compare with --strategies adaptive,sequential,... on the same items.",
        )
    for name in strategies.values():
        _, options = find(name)
        if options.get("policy", "rules") != "rules":
            raise ConfigurationError(f"{name}: an arm may not have a policy itself.")


def _example(key: tuple[str, str, str], runs: Mapping[str, Sequence[Record]]) -> Example:
    task, item, model = key
    first = next(iter(runs.values()))[0]
    arms = {arm: _mean(records) for arm, records in runs.items()}
    return Example(f"{task}/{item}", task, first.structure, model, first.features, arms)


def _mean(records: Sequence[Record]) -> Observed:
    costs = [record.cost_usd for record in records]
    return Observed(
        fmean(record.score if record.status != "failed" else 0.0 for record in records),
        fmean(record.wall_seconds for record in records),
        None if None in costs else fmean(cost for cost in costs if cost is not None),
        Trial(
            max(1.0, fmean(record.critical_steps for record in records)),
            fmean(record.critical_path_tokens for record in records),
            fmean(record.total_output_tokens for record in records),
            fmean(record.input_tokens for record in records),
        ),
    )


def example_of_log(run_id: str, model: str, decisions: Iterable[LoggedDecision]) -> Example | None:
    """Return the example of a kept run: its first decision whether to fork, and its reward; None without."""
    for decision in decisions:
        if decision.kind != "fork" or decision.thread or not decision.features:
            continue
        outcome, reward = decision.outcome, decision.reward
        if outcome is None or reward is None:
            return None
        by_rules = decision.policy.startswith("rules/")
        arm = RULES if by_rules else decision.chosen
        chance = 1.0 if by_rules else decision.propensity
        observed = Observed(reward.value, outcome.seconds, outcome.usd)
        return Example(run_id, "log", "", model, decision.features, {arm: observed}, arm, chance)
    return None


def without(examples: Examples, kind: str) -> Examples:
    """Return the examples without those of a kind."""
    return replace(examples, full=[example for example in examples.full if example.kind != kind])
