"""What was learned, and what speaks for and against it, as text, JSON and a picture."""

# matplotlib has types for a part of its arguments only.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from weaver._evals.figure import figure_of, save
from weaver._evals.policies.acceptance import Learned
from weaver._evals.policies.evaluation import Bin, Row, calibration_error
from weaver._evals.policies.examples import Examples
from weaver.errors import ConfigurationError


def lines_of(learned: Learned, examples: Examples) -> list[str]:
    """Return the report as Markdown."""
    file, evidence = learned.file, learned.file.evidence
    objective = file.objective
    lines = [
        f"# Policy {file.name}",
        "",
        f"{evidence.items} items of {len(evidence.kinds)} kinds, {len(examples.logs)} logs. Objective:",
        f"quality - {objective.per_second:.4g} x seconds - {objective.per_usd:.4g} x USD ({objective.name}).",
        "",
        "| policy | utility | over the rules, 95 % interval | right % | seconds | USD |",
        "|---|---:|---:|---:|---:|---:|",
        *map(_line, learned.rows),
        "",
    ]
    by_name = {row.name: row for row in learned.rows}
    policy, oracle = by_name["learned"], by_name["oracle"]
    lines.append(
        f"Regret to the oracle, which knows the outcome: {oracle.utility - policy.utility:.3f} of "
        f"{oracle.gain.mean:.3f}. The interval rests on {policy.gain.effective:.0f} items. An arm must be "
        f"expected to be {file.threshold:g} better than the rules."
    )
    if evidence.chains is not None:
        lines.append(f"On chains: {100 * evidence.chains:+.1f} points right against the rules.")
    if learned.new_kinds is not None:
        gain = learned.new_kinds.gain
        lines.append(
            f"On kinds that it was not fitted on: {gain.mean:+.3f} over the rules (95 % interval "
            f"{gain.low:+.3f} to {gain.high:+.3f}); it decides {100 * learned.decided:.0f} % of "
            "them itself, the rules the others."
        )
    lines += [
        "",
        f"Calibration error {100 * calibration_error(learned.bins):.1f} points:",
        "",
        "| answers | predicted right % | right % |",
        "|---:|---:|---:|",
    ]
    lines += [
        f"| {each.number} | {100 * each.predicted:.0f} | {100 * each.actual:.0f} |" for each in learned.bins
    ]
    lines.append("")
    if evidence.accepted:
        lines.append("Accepted: it is better than the rules for sure.")
    else:
        lines += ["Refused:", *(f"- {reason}" for reason in evidence.reasons)]
    return lines


def _line(row: Row) -> str:
    gain = row.gain
    over = "" if row.name == "rules" else f"{gain.mean:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})"
    usd = "" if row.usd is None else f"{row.usd:.5f}"
    name = row.name.replace("|", "\\|")
    return f"| {name} | {row.utility:.3f} | {over} | {100 * row.quality:.1f} | {row.seconds:.2f} | {usd} |"


def as_dict(learned: Learned) -> dict[str, Any]:
    """Return the same as JSON values."""
    return {
        "policy": learned.file.name,
        "objective": asdict(learned.file.objective),
        "threshold": learned.file.threshold,
        "evidence": asdict(learned.file.evidence),
        "rows": [asdict(row) for row in learned.rows],
        "new_kinds": None if learned.new_kinds is None else asdict(learned.new_kinds),
        "decided_share": learned.decided,
        "calibration": [asdict(each) for each in learned.bins],
        "calibration_error": calibration_error(learned.bins),
    }


def draw_calibration(bins: Sequence[Bin], path: Path) -> None:
    """Draw predicted against actual quality; the ending (``.svg``, ``.png``) decides the kind.

    Raises:
        ConfigurationError: matplotlib is not installed, or the file cannot be written.
    """
    with figure_of(4.6, 4.6) as figure:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
        largest = max((each.number for each in bins), default=1)
        axes.scatter(
            [each.predicted for each in bins],
            [each.actual for each in bins],
            s=[20 + 180 * each.number / largest for each in bins],
        )
        axes.set_xlabel("predicted share of right answers")
        axes.set_ylabel("share of right answers")
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.02, 1.02)
        axes.grid(visible=True, color="0.92", linewidth=0.6)
        try:
            save(figure, path)
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"{path} cannot be written: {error}.") from error
