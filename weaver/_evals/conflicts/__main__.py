"""``python -m weaver._evals.conflicts``: run the evaluation and write the report."""

from __future__ import annotations

from pathlib import Path

import anyio
import click

from weaver._evals.conflicts.cases import cases
from weaver._evals.conflicts.measuring import Measured, measure
from weaver._evals.conflicts.models import Competence
from weaver._evals.conflicts.report import LADDERS, report

DEFAULT = "clear_majority+verify+judge"
VERIFY = (0.6, 0.75, 0.9)
JUDGE = (0.6, 0.75, 0.9)


@click.command()
@click.option(
    "--per-kind", default=100, show_default=True, type=click.IntRange(1), help="Tasks of each kind."
)
@click.option("--seed", default=0, show_default=True, help="Of tasks and of what the models say.")
@click.option(
    "--out",
    default="docs/conflicts-report.md",
    show_default=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the report goes.",
)
def main(per_kind: int, seed: int, out: Path) -> None:
    """Measure what finding and settling conflicts is worth, with scripted models."""
    out.write_text(anyio.run(_report, per_kind, seed), encoding="utf-8")
    click.echo(f"Wrote {out}.", err=True)


async def _report(per_kind: int, seed: int) -> str:
    made = cases(per_kind, seed)
    contradicting = [c for c in made if c.contradicts]
    measured: dict[str, list[Measured]] = {}
    for name, ladder in LADDERS.items():
        click.echo(name, err=True)
        measured[name] = await measure(made, ladder, seed=seed)
    sensitivity: dict[tuple[float, float], list[Measured]] = {}
    for verify in VERIFY:
        for judge in JUDGE:
            click.echo(f"verify {verify}, judge {judge}", err=True)
            can = Competence(verify=verify, judge=judge)
            sensitivity[verify, judge] = await measure(contradicting, DEFAULT, competence=can, seed=seed)
    command = "python -m weaver._evals.conflicts"
    command += f" --per-kind {per_kind}" if per_kind != 100 else ""
    command += f" --seed {seed}" if seed else ""
    return report(measured, sensitivity, command=command, seed=seed)


if __name__ == "__main__":
    main()
