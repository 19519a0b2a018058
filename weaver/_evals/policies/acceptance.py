"""Learn a policy from results, and accept it only if it is better than the rules for sure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from weaver._evals.policies.evaluation import (
    Bin,
    Row,
    calibration,
    certified_threshold,
    chain_gain,
    cross_fitted,
    kind_by_kind,
    learned_row,
    loses_on_chains,
    predictions,
    table,
)
from weaver._evals.policies.examples import Examples
from weaver._evals.policies.fitting import fit_arms, speeds_of_results
from weaver._planning.learned.file import Evidence, PolicyFile, policy_file
from weaver._planning.learned.objective import Objective

LEAST_EFFECTIVE = 100
MOST_NEW_KIND_LOSS = 0.005


@dataclass(frozen=True, slots=True)
class Learned:
    """A policy with what speaks for and against it.

    Args:
        rows: of items that it was not fitted on.
        new_kinds: of the policy on kinds that it was not fitted on; None where there is one kind.
        bins: its calibration.
        decided: share of the items of new kinds that it decides itself, and does not leave to the rules.
    """

    file: PolicyFile
    rows: Sequence[Row]
    new_kinds: Row | None
    bins: Sequence[Bin]
    decided: float


def learn(examples: Examples, objective: Objective, *, seed: int = 0) -> Learned:
    """Fit a policy and judge it. The same examples and seed give the same policy."""
    speeds = speeds_of_results(examples)
    predicted = cross_fitted(examples, speeds, seed)
    threshold = certified_threshold(predicted, objective)
    rows = table(predicted, objective, lambda _: threshold)
    apart = kind_by_kind(examples, speeds)
    new_kinds = learned_row(apart, objective, lambda _: threshold) if apart else None
    chains = chain_gain(predicted, objective, lambda _: threshold)
    evidence = _evidence(examples, rows, new_kinds, chains)
    fitted = fit_arms(examples.full, examples.strategies, examples.logs)
    file = policy_file(fitted, objective, threshold, evidence)
    decided = fmean(not stranger for _, _, stranger in apart) if apart else 0.0
    return Learned(file, rows, new_kinds, calibration(predicted), decided)


def judge(file: PolicyFile, examples: Examples, objective: Objective | None = None) -> Learned:
    """Judge a policy on results; if it was fitted on them, it looks better than it is."""
    objective = objective or file.objective
    predicted = predictions(file.fitted, [*examples.full, *examples.logs], speeds_of_results(examples))
    rows = table(predicted, objective, lambda _: file.threshold)
    chains = chain_gain(predicted, objective, lambda _: file.threshold)
    evidence = _evidence(examples, rows, None, chains)
    decided = fmean(not stranger for _, _, stranger in predicted)
    judged = replace(file, objective=objective, evidence=evidence)
    return Learned(judged, rows, None, calibration(predicted), decided)


def _evidence(
    examples: Examples, rows: Sequence[Row], new_kinds: Row | None, chains: tuple[float, float] | None
) -> Evidence:
    gain = rows[0].gain
    apart = new_kinds.gain if new_kinds is not None else None
    reasons: list[str] = []
    if gain.low <= 0:
        reasons.append(
            f"its gain over the rules is not above 0 for sure ({gain.mean:+.3f}, 95 % interval "
            f"{gain.low:+.3f} to {gain.high:+.3f})"
        )
    if gain.effective < LEAST_EFFECTIVE:
        reasons.append(f"it rests on {gain.effective:.0f} items; {LEAST_EFFECTIVE} are needed")
    if chains is not None and loses_on_chains(chains):
        reasons.append(f"on chains it is {-100 * chains[0]:.1f} points worse than the rules")
    if apart is not None and apart.mean < -MOST_NEW_KIND_LOSS:
        reasons.append(f"on kinds that it has not seen it is worse than the rules ({apart.mean:+.3f})")
    return Evidence(
        not reasons,
        tuple(reasons),
        len({example.block for example in examples.full}),
        tuple(examples.kinds),
        gain.mean,
        gain.low,
        gain.high,
        gain.effective,
        None if chains is None else chains[0],
        None if apart is None else apart.mean,
        None if apart is None else apart.low,
        None if apart is None else apart.high,
    )
