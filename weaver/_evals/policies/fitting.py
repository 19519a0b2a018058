"""Fit what a policy needs to know: quality and work of every arm, speeds of the endpoints of the results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, median

from weaver._evals.policies.examples import Example, Examples
from weaver._planning.gate.speeds import Speeds
from weaver._planning.learned.fitted import ArmModel, Fitted
from weaver._planning.learned.inputs import Domain, Inputs
from weaver._planning.learned.regression import fit
from weaver._planning.learned.work import works_of

POOLED_STRENGTHS = (1.0,)
OWN_STRENGTHS = (0.3, 3.0, 30.0, 300.0)
"""Of the prior that holds an arm's weights to those of all arms together."""
SLOWDOWNS = (0.0, 0.03, 0.08, 0.15, 0.3, 0.57, 1.0)


def strength_of(examples: Examples) -> float:
    """Return the strength of the arms' priors that has the most evidence, on all examples."""
    fitted = fit_arms(examples.full, examples.strategies, examples.logs)
    return next(iter(fitted.arms.values())).quality.strength


def fit_arms(
    full: Sequence[Example],
    strategies: Mapping[str, str],
    logs: Sequence[Example] = (),
    *,
    strength: float | None = None,
) -> Fitted:
    """Fit every arm on the examples that have it.

    Args:
        logs: they add to the quality of arms only.
        strength: of the arms' priors, where it is known; that is six times as fast. One for all arms: how
            much arms differ in what is hard for them is a question about all of them.
    """
    every = [*full, *logs]
    models = [example.model for example in every]
    inputs = Inputs.of([example.features for example in every], models)
    domain = Domain.of(inputs, [example.features for example in full])
    centres = _centres(every, inputs, list(strategies))
    data: dict[str, tuple[list[list[float]], list[float]]] = {}
    for name in strategies:
        examples = [example for example in every if name in example.arms]
        rows = [inputs.row(example.features, example.model) for example in examples]
        data[name] = (rows, [example.arms[name].reward for example in examples])
    choices = [
        {name: fit(data[name][0], data[name][1], (choice,), centre=centres[name]) for name in strategies}
        for choice in (OWN_STRENGTHS if strength is None else (strength,))
    ]
    qualities = max(choices, key=lambda choice: sum(posterior.evidence for posterior in choice.values()))
    arms: dict[str, ArmModel] = {}
    for name, strategy in strategies.items():
        runs = [
            (trial, example.features) for example in full if (trial := example.arms[name].trial) is not None
        ]
        arms[name] = ArmModel(strategy, qualities[name], works_of(runs))
    return Fitted(inputs, domain, arms, tuple(sorted(set(models))))


def _centres(
    examples: Sequence[Example], inputs: Inputs, arms: Sequence[str]
) -> dict[str, tuple[float, ...]]:
    """Fit all arms together, as if they differed by a constant only: what each arm's own fit departs from.

    Arms answer the same questions, and most of what makes a question hard makes it hard for all. So little
    data is not enough for one arm to look better here and another one there by chance.
    """
    rows: list[list[float]] = []
    rewards: list[float] = []
    for example in examples:
        row = inputs.row(example.features, example.model)
        for name, observed in example.arms.items():
            rows.append([*row, *(float(name == arm) for arm in arms)])
            rewards.append(observed.reward)
    weights = fit(rows, rewards, POOLED_STRENGTHS).weights
    size = len(weights) - len(arms)
    own = dict(zip(arms, weights[size:], strict=True))
    return {name: (weights[0] + own[name], *weights[1:size]) for name in arms}


def speeds_of_results(examples: Examples) -> dict[str, Speeds]:
    """Estimate the speeds of the endpoint of each model from the seconds of the results."""
    return {
        model: _speeds([example for example in examples.full if example.model == model])
        for model in sorted({example.model for example in examples.full})
    }


def _speeds(full: Sequence[Example]) -> Speeds:
    """Seconds a call and a token by least squares on direct answers; the slowdown that explains the rest."""
    direct = [
        (trial.steps, trial.path, observed.seconds)
        for example in full
        for name, observed in example.arms.items()
        if (name == "direct" or "direct" not in example.arms) and (trial := observed.trial) is not None
    ]
    first_token, token = _two_costs(direct)

    def error(slowdown: float) -> float:
        return median(
            abs(
                observed.seconds
                - trial.steps * first_token
                - trial.path * token * (1 + slowdown * max(0.0, trial.written / (trial.path or 1.0) - 1))
            )
            for example in full
            for observed in example.arms.values()
            if (trial := observed.trial) is not None
        )

    slowdown = min(SLOWDOWNS, key=error)
    return Speeds(first_token, 1e9, 1 / token, slowdown, basis="measured")


def _two_costs(rows: Iterable[tuple[float, float, float]]) -> tuple[float, float]:
    """A and b of seconds = a x steps + b x tokens, both at least nearly 0."""
    costs = list(rows)
    aa = sum(a * a for a, _, _ in costs)
    bb = sum(b * b for _, b, _ in costs)
    ab = sum(a * b for a, b, _ in costs)
    at = sum(a * t for a, _, t in costs)
    bt = sum(b * t for _, b, t in costs)
    singular = aa * bb - ab * ab
    if singular > 1e-9 * aa * bb:
        first, token = (at * bb - bt * ab) / singular, (aa * bt - ab * at) / singular
        if first >= 0 and token > 0:
            return first, token
    seconds = fmean(t for _, _, t in costs)
    tokens = fmean(b for _, b, _ in costs)
    return 0.0, max(1e-6, seconds / tokens if tokens else 1e-6)
