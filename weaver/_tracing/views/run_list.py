"""The list of kept runs, for a terminal of any width."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from rich.table import Table
from rich.text import Text

from weaver._tracing.store.sqlite import RunRow
from weaver._tracing.views.waterfall import dollars, seconds

GAP = 2
QUESTION = 12
"""Least characters of a question that are worth a column."""

_CELLS: dict[str, Callable[[RunRow], str]] = {
    "run": lambda row: row.run_id,
    "started": lambda row: time.strftime("%Y-%m-%d %H:%M", time.localtime(row.started_ns / 1e9)),
    "status": lambda row: row.status,
    "time": lambda row: seconds((row.ended_ns - row.started_ns) / 1e9) if row.ended_ns else "",
    "threads": lambda row: f"{row.threads:,}",
    "tokens": lambda row: f"{row.input_tokens + row.output_tokens:,}",
    "cost": lambda row: dollars(row.cost_usd) or "?",
    "strategy": lambda row: row.strategy,
    "question": lambda row: row.question,
}
_IMPORTANCE = ("run", "status", "time", "question", "started", "cost", "threads", "tokens", "strategy")
_ALWAYS = 3
_RIGHT = ("time", "threads", "tokens", "cost")


def run_list(rows: Sequence[RunRow], width: int) -> Table:
    """A table of ``rows``. Id, status and time are whole at any width; the other columns give way to them."""
    cells = {
        name: [Text("".join(c if c.isprintable() else " " for c in cell(row))) for row in rows]
        for name, cell in _CELLS.items()
    }
    widths = {name: max(len(name), *(text.cell_len for text in column)) for name, column in cells.items()}
    names: set[str] = set()
    room = width + GAP
    for place, name in enumerate(_IMPORTANCE):
        least = (min(QUESTION, widths[name]) if name == "question" else widths[name]) + GAP
        if place < _ALWAYS or least <= room:
            names.add(name)
            room -= least
    table = Table(box=None, pad_edge=False, header_style="bright_black", padding=(0, GAP, 0, 0))
    for name in filter(names.__contains__, _CELLS):
        if name == "question":
            columns = max(QUESTION, min(widths[name], QUESTION + room))
            table.add_column(name, no_wrap=True, overflow="ellipsis", width=columns)
        else:
            table.add_column(
                name, no_wrap=True, justify="right" if name in _RIGHT else "left", width=widths[name]
            )
    for i in range(len(rows)):
        table.add_row(*(cells[name][i] for name in _CELLS if name in names))
    return table
