"""Say what a learned policy would do with a question, and which features count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from weaver._data.task import as_task
from weaver._planning.features import features_of
from weaver._planning.gate.speeds import PRIORS
from weaver._planning.learned.file import PolicyFile
from weaver._planning.learned.fitted import RULES, Expected, best


@dataclass(frozen=True, slots=True)
class Account:
    """What the policy would do.

    Args:
        arm: that it would take.
        why_rules: why it leaves the decision to the rules; "" where it decides.
        expected: of every arm.
        utility: of every arm.
        counted: of every arm, features by how much they move the logit of a right answer.
    """

    policy: str
    arm: str
    why_rules: str
    expected: Mapping[str, Expected]
    utility: Mapping[str, float]
    counted: Mapping[str, tuple[tuple[str, float], ...]]

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


def explained(file: PolicyFile, question: str, *, model: str = "", top: int = 8) -> Account:
    """Return what a policy would do with a question at a typical hosted endpoint.

    Raises:
        InvalidTaskError: the question is empty.
    """
    fitted = file.fitted
    features = features_of(as_task(question))
    stranger = fitted.domain.stranger(fitted.inputs, features)
    why = f"it was fitted for other versions ({file.other_version})" if file.other_version else ""
    why = why or (f"this kind of task is unknown to it: {stranger}" if stranger else "")
    why = why or ("" if file.evidence.accepted else f"it was refused: {'; '.join(file.evidence.reasons)}")
    expected = fitted.expect(features, model=model, speeds=PRIORS["hosted"])
    row = fitted.inputs.row(features, model)
    counted: dict[str, tuple[tuple[str, float], ...]] = {}
    for name, arm in fitted.arms.items():
        parts = zip(fitted.inputs.columns, arm.quality.weights[1:], row[1:], strict=True)
        moves = [(column, weight * value) for column, weight, value in parts if value]
        moves.sort(key=lambda move: -abs(move[1]))
        counted[name] = (("(always)", arm.quality.weights[0]), *moves[:top])
    return Account(
        file.name,
        RULES if why else best(expected, file.objective, file.threshold),
        why,
        expected,
        {name: file.objective.utility(e.quality, e.seconds, e.usd) for name, e in expected.items()},
        counted,
    )


def in_words(account: Account) -> str:
    """Return the account as text."""
    lines = [f"{account.policy}: {account.arm}"]
    if account.why_rules:
        lines.append(f"The rules decide: {account.why_rules}.")
    for name, expected in sorted(account.expected.items(), key=lambda item: -account.utility[item[0]]):
        lines.append(
            f"\n{name}: {100 * expected.quality:.0f} % right, {expected.seconds:.1f} s, utility "
            f"{account.utility[name]:.3f}"
        )
        lines += [f"  {move:+.2f}  {column}" for column, move in account.counted[name]]
    return "\n".join(lines)
