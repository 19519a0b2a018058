"""Reports of a comparison: terminal table, JSON, CSV, Markdown and plots."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weaver._evals.calibration import calibration_lines
from weaver._evals.records import Record
from weaver._evals.summary import Summary
from weaver._json_reading.json_types import is_object
from weaver.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.table import Table

SIMULATED = "SIMULATION: no model was run; these numbers come from a simulated endpoint."
Cell = Callable[[Summary], str]


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"


def _times(value: float) -> str:
    return f"{value:.2f}x"


def _accuracy(s: Summary) -> str:
    if s.accuracy is None:
        return "not graded"
    low, high = s.accuracy_interval
    return f"{_percent(s.accuracy)} [{_percent(low)}, {_percent(high)}]"


def _gain(s: Summary) -> str:
    if s.against is None or s.against.accuracy_gain is None:
        return ""
    low, high = s.against.accuracy_gain_interval
    p = "" if s.against.p_value is None else f", p={s.against.p_value:.2g}"
    return f"{100 * s.against.accuracy_gain:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]{p}"


def _speedup(s: Summary) -> str:
    return "" if s.against is None else _times(s.against.token_latency_speedup)


def _wall_speedup(s: Summary) -> str:
    return "" if s.against is None else _times(s.against.wall_speedup)


def _cost(s: Summary) -> str:
    return "unknown" if s.cost_usd is None else f"${s.cost_usd:.5f}"


COLUMNS: tuple[tuple[str, Cell], ...] = (
    ("strategy", lambda s: s.strategy + (" *" if s.on_front_of_latency or s.on_front_of_tokens else "")),
    ("accuracy % [95 %]", _accuracy),
    ("critical path", lambda s: f"{s.critical_path_tokens:.0f}"),
    ("total tokens", lambda s: f"{s.total_output_tokens:.0f}"),
    ("calls", lambda s: f"{s.calls:.1f}"),
    ("token-latency speed-up", _speedup),
    ("self-parallel", lambda s: _times(s.self_parallel_speedup)),
    ("wall s", lambda s: f"{s.wall_seconds:.2f}"),
    ("wall speed-up", _wall_speedup),
    ("activation %", lambda s: _percent(s.activation_ratio)),
    ("cost", _cost),
)
"""What the terminal table shows; the files have everything."""

MORE: tuple[tuple[str, Cell], ...] = (
    ("strategy", lambda s: s.strategy),
    ("gain over baseline, points [95 %]", _gain),
    ("at equal tokens %", lambda s: _percent(s.at_equal_tokens)),
    ("at equal token latency %", lambda s: _percent(s.at_equal_token_latency)),
    ("at equal seconds %", lambda s: _percent(s.at_equal_seconds)),
    ("at equal context %", lambda s: _percent(s.at_equal_context)),
    ("acceleration ratio", lambda s: f"{s.acceleration_ratio:.2f}"),
    ("critical steps", lambda s: f"{s.critical_steps:.1f}"),
    ("threads", lambda s: f"{s.threads:.1f}"),
    ("prompt tokens", lambda s: f"{s.input_tokens:.0f}"),
    ("p90 s", lambda s: f"{s.wall_seconds_p90:.2f}"),
    ("failed / partial / not graded", lambda s: f"{s.failed} / {s.partial} / {s.ungraded}"),
)


def tables(summaries: Sequence[Summary], *, simulated: bool = False) -> list[Table]:
    """One table for the terminal per task and model. Every value is text; nothing in it is markup."""
    from rich.table import Table
    from rich.text import Text

    lines: list[Table] = []
    for (task, model), rows in _groups(summaries).items():
        title = f"{task} · {model} · {rows[0].items} items" + (" · SIMULATION" if simulated else "")
        table = Table(
            title=Text(title), title_justify="left", caption=Text(_caption(rows)), caption_justify="left"
        )
        for name, _ in COLUMNS:
            table.add_column(Text(name), justify="left" if name == "strategy" else "right")
        for row in rows:
            table.add_row(*(Text(cell(row)) for _, cell in COLUMNS))
        lines.append(table)
    return lines


def markdown(
    header: dict[str, Any],
    records: Sequence[Record],
    summaries: Sequence[Summary],
    *,
    plots: Sequence[str] = (),
) -> str:
    """The whole report as Markdown.

    Args:
        plots: file names of pictures, relative to the report.
    """
    lines = ["# Comparison", ""]
    if header.get("simulated"):
        lines += [f"**{SIMULATED}**", ""]
    limits = ", ".join(f"{k} = {v}" for k, v in header.get("limits", {}).items()) or "none"
    how = f"seed {header.get('seed')}, {header.get('repeats', 1)} per item"
    least, highest = (pick((r.concurrency for r in records), default=1) for pick in (min, max))
    at_a_time = str(highest) if least == highest else f"{least} to {highest}"
    lines += [f"{len(records)} runs, {how}, {at_a_time} at a time. Limits of every run: {limits}.", ""]
    if instruction := header.get("instruction"):
        lines += [f"Every question ended with: {_cell(instruction)}", ""]
    for (task, model), rows in _groups(summaries).items():
        lines += [
            f"## {_cell(task)}, {_cell(model)}",
            "",
            f"{rows[0].items} items. {_cell(_caption(rows))}",
            "",
        ]
        lines += [*_markdown_table(COLUMNS, rows), "", *_markdown_table(MORE, rows), ""]
        if rows[0].pass_at_k is not None:
            repeated: tuple[tuple[str, Cell], ...] = (
                ("strategy", lambda s: s.strategy),
                ("pass@k %", lambda s: _percent(s.pass_at_k)),
                ("maj@k %", lambda s: _percent(s.majority_at_k)),
            )
            lines += [*_markdown_table(repeated, rows), ""]
    for plot in plots:
        lines += [f"![accuracy against tokens]({plot})", ""]
    lines += calibration_lines(records)
    lines += _traces(records)
    return "\n".join(lines).rstrip() + "\n"


def write(
    folder: Path, header: dict[str, Any], records: Sequence[Record], summaries: Sequence[Summary]
) -> list[str]:
    """Write all reports into a folder: ``report.json``, ``report.md``, ``summary.csv``, ``runs.csv``, plots.

    Returns:
        Notes about plots that could not be made.

    Raises:
        ConfigurationError: the folder cannot be written.
    """
    try:
        return _write(folder, header, records, summaries)
    except OSError as error:
        raise ConfigurationError(
            f"The reports cannot be written to {folder}: {error.strerror or error}.",
            hint="The runs are kept. Write the reports again with --report-only.",
        ) from error


def _write(
    folder: Path, header: dict[str, Any], records: Sequence[Record], summaries: Sequence[Summary]
) -> list[str]:
    from weaver._evals.plot import draw

    folder.mkdir(parents=True, exist_ok=True)
    notes: list[str] = []
    plots: list[str] = []
    for task in dict.fromkeys(s.task for s in summaries):
        name = "plot" if len({s.task for s in summaries}) == 1 else f"plot-{_slug(task)}"
        title = task + (" (SIMULATION)" if header.get("simulated") else "")
        try:
            draw(
                [s for s in summaries if s.task == task],
                [folder / f"{name}.svg", folder / f"{name}.png"],
                title=title,
            )
            plots.append(f"{name}.svg")
        except ConfigurationError as error:
            notes = [f"No plots: {error}"]
    whole = {
        "simulated": bool(header.get("simulated")),
        "header": header,
        "summaries": [s.as_dict() for s in summaries],
        "runs": [r.as_dict() for r in records],
    }
    (folder / "report.json").write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    (folder / "report.md").write_text(markdown(header, records, summaries, plots=plots), encoding="utf-8")
    _csv(folder / "summary.csv", [_flat(s.as_dict()) for s in summaries])
    _csv(folder / "runs.csv", [{**r.as_dict(), "notes": " | ".join(r.notes)} for r in records])
    return notes


def _caption(rows: Sequence[Summary]) -> str:
    budgets = rows[0].budgets
    tokens = f"{budgets.tokens:.0f} tokens, {budgets.latency_tokens:.0f} on the critical path"
    parts = [
        "* on a Pareto front; tokens are generated tokens, means per run.",
        f"Equal budgets: {tokens}, {budgets.seconds:.2f} s, {budgets.context:.0f} tokens of context.",
    ]
    for label, name in (
        ("Failed runs count as wrong", "failed"),
        ("Not graded, and left out of accuracy", "ungraded"),
    ):
        if counted := [f"{r.strategy} {number}" for r in rows if (number := getattr(r, name))]:
            parts.append(f"{label}: {', '.join(counted)}.")
    if any(r.estimated for r in rows):
        parts.append("Some usage was estimated: " + ", ".join(r.strategy for r in rows if r.estimated) + ".")
    return " ".join(parts)


def _traces(records: Sequence[Record]) -> list[str]:
    """Examples that can be opened: of each strategy one right, one wrong and one ungraded run."""
    chosen: dict[tuple[str, str], Record] = {}
    for record in records:
        verdict = ("yes" if record.correct else "no") if record.graded else "not graded"
        chosen.setdefault((record.strategy, verdict), record)
    lines = [
        "## Runs to look at",
        "",
        "All runs, with ids, are in `runs.csv`. Open one with `weaver trace open RUN_ID`.",
        "",
    ]
    lines += ["| strategy | task, item | right | run | answer |", "|---|---|---|---|---|"]
    for (strategy, verdict), r in sorted(chosen.items()):
        answer = " ".join(r.answer.split())[-80:]
        cells = (strategy, f"{r.task}, {r.item}", verdict, r.run_id, answer or r.error or "")
        lines.append("| " + " | ".join(map(_cell, cells)) + " |")
    return [*lines, ""]


def _markdown_table(columns: Sequence[tuple[str, Cell]], rows: Sequence[Summary]) -> list[str]:
    head = "| " + " | ".join(name for name, _ in columns) + " |"
    rule = "|" + "|".join("---" if i == 0 else "---:" for i in range(len(columns))) + "|"
    return [head, rule, *("| " + " | ".join(_cell(cell(row)) for _, cell in columns) + " |" for row in rows)]


def _cell(text: str) -> str:
    """Text that cannot break a Markdown table or put markup into it."""
    return re.sub(r"([|`<>\[\]\\])", r"\\\1", " ".join(text.split()))


def _groups(summaries: Sequence[Summary]) -> dict[tuple[str, str], list[Summary]]:
    groups: dict[tuple[str, str], list[Summary]] = {}
    for summary in summaries:
        groups.setdefault((summary.task, summary.model), []).append(summary)
    return groups


def _flat(data: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in data.items():
        if is_object(value):
            flat |= _flat(value, f"{prefix}{key}_")
        elif isinstance(value, (tuple, list)):
            flat |= {f"{prefix}{key}_low": value[0], f"{prefix}{key}_high": value[1]}
        elif not (key == "against" and value is None):
            flat[prefix + key] = value
    return flat


def _csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows({k: _inert(v) for k, v in row.items()} for row in rows)


def _inert(value: Any) -> Any:
    """Model text in a spreadsheet must not be run as a formula."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return value


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-").lower()[:60]
