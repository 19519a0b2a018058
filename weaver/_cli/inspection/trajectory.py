"""``weaver trajectory``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from weaver._cli.support.guard import debug_option
from weaver._cli.support.reading import text_from
from weaver._display.words import count, printable
from weaver._strategies.native import FORMATS, check, format_named, statistics

if TYPE_CHECKING:
    from weaver._strategies.native import Problem, Statistics


@click.group()
@debug_option
def trajectory() -> None:
    """Look at texts of models that fork by themselves (docs/native-formats.md).

    \b
    weaver run -q --strategy npr:show=trajectory "..." | weaver trajectory check - --format npr
    """


@trajectory.command("check")
@click.argument("file", metavar="FILE")
@click.option("--format", "form", required=True, metavar="NAME", help=f"One of {', '.join(FORMATS)}.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@debug_option
def check_one(file: str, form: str, as_json: bool) -> int:
    """Check a trajectory against its format, and measure it. No model is needed.

    FILE is the text that a model wrote; - reads it from stdin.
    Words and punctuation marks are counted as tokens.

    Exit code: 0 it keeps its format, 1 it has problems, 2 wrong usage.
    """
    format_named(form)
    text = text_from(file, "trajectory")
    label = "stdin" if file == "-" else file
    problems, figures = check(text, form), statistics(text, form)
    places = [_place(text, problem.at) for problem in problems]
    if as_json:
        click.echo(json.dumps(_as_dict(file, form, problems, places, figures)))
        return 1 if problems else 0
    for problem, (line, column) in zip(problems, places, strict=True):
        click.echo(printable(f"{label}:{line}:{column}: {problem.message}"))
    click.echo(f"{label}: {count(len(problems), 'problem')}" if problems else f"{label} is fine ({form})")
    for name, value in asdict(figures).items():
        click.echo(f"  {name:<22}{f'{value:.3f}' if isinstance(value, float) else f'{value:,}':>10}")
    return 1 if problems else 0


def _place(text: str, at: int) -> tuple[int, int]:
    """Line and column of a position, both from 1."""
    before = text[:at]
    return before.count("\n") + 1, at - before.rfind("\n")


def _as_dict(
    file: str, form: str, problems: list[Problem], places: list[tuple[int, int]], found: Statistics
) -> dict[str, Any]:
    return {
        "file": file,
        "format": form,
        "problems": [
            {"line": line, "column": column, "rule": problem.rule, "what": problem.message}
            for problem, (line, column) in zip(problems, places, strict=True)
        ],
        "statistics": asdict(found),
    }
