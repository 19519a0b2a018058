"""docs/evidence.md: the tables, how they were made, and how to make them elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.evidence import mix, report
from tests.benchmarks.evidence.measuring import Row

_TEMPLATE = Path(__file__).with_name("page.md")


def written(rows: Sequence[Row]) -> str:
    """The page: what was asked, and the tables of each machine."""
    text = _TEMPLATE.read_text(encoding="utf-8")
    sections = [text.format(direct=mix.DIRECT, forked=mix.FORKED, chosen=mix.CHOSEN, price=mix.PRICE)]
    for machine in dict.fromkeys(row.machine for row in rows):
        some = [row for row in rows if row.machine == machine]
        sections.append(
            f"## {machine or 'Machine not named'}\n\n{report.figures(some)}\n\n{report.runs(some)}\n\n"
            f"{len(some)} runs. Tokens, calls and seconds are means per run.\n"
        )
    return "\n".join(sections)
