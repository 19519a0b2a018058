"""Predicted against actual seconds and dollars of the runs of a comparison."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from weaver._evals.records import Record


@dataclass(frozen=True, slots=True)
class Calibration:
    """How well the gate predicted the runs of one strategy, forked or direct.

    Attributes:
        runs: runs with a prediction.
        predicted_seconds, actual_seconds: medians.
        error: median of the difference over the actual seconds.
        predicted_usd, actual_usd: medians; None where a price is unknown.
    """

    strategy: str
    forked: bool
    runs: int
    predicted_seconds: float
    actual_seconds: float
    error: float
    predicted_usd: float | None
    actual_usd: float | None


def calibrations(records: Iterable[Record]) -> list[Calibration]:
    """Compare predictions with what came, by strategy and decision; failed runs are left out."""
    groups: dict[tuple[str, bool], list[Record]] = {}
    for record in records:
        if record.predicted_seconds is not None and record.status == "complete" and record.wall_seconds > 0:
            groups.setdefault((record.strategy, record.decided_fork), []).append(record)
    return [_of(*key, runs) for key, runs in sorted(groups.items())]


def calibration_lines(records: Iterable[Record]) -> list[str]:
    """A Markdown section; empty where nothing was predicted."""
    rows = calibrations(records)
    if not rows:
        return []
    lines = ["## Predictions", "", "Medians of runs for which the gate predicted something.", ""]
    lines += [
        "| strategy | decision | runs | predicted s | actual s | median error % | predicted $ | actual $ |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        cells = (
            row.strategy.replace("|", "\\|"),
            "fork" if row.forked else "direct",
            str(row.runs),
            f"{row.predicted_seconds:.2f}",
            f"{row.actual_seconds:.2f}",
            f"{100 * row.error:.0f}",
            _money(row.predicted_usd),
            _money(row.actual_usd),
        )
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]


def _of(strategy: str, forked: bool, runs: Sequence[Record]) -> Calibration:
    pairs = [(r.predicted_seconds or 0.0, r.wall_seconds) for r in runs]
    certainties = [
        (r.predicted_usd, r.cost_usd) for r in runs if r.predicted_usd is not None and r.cost_usd is not None
    ]
    return Calibration(
        strategy,
        forked,
        len(runs),
        median(p for p, _ in pairs),
        median(a for _, a in pairs),
        median(abs(p - a) / a for p, a in pairs),
        median(p for p, _ in certainties) if certainties else None,
        median(a for _, a in certainties) if certainties else None,
    )


def _money(value: float | None) -> str:
    return "" if value is None else f"{value:.5f}"
