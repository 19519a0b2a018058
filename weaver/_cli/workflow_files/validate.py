"""``weaver validate``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from weaver._cli.support.guard import debug_option
from weaver._display.words import count, printable

if TYPE_CHECKING:
    from weaver._workflows.source.diagnostics import Problem


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE.yaml...")
@click.option(
    "--root", metavar="FOLDER", help="The folder that `uses` may not leave. Default: the file's own."
)
@click.option(
    "--elsewhere", is_flag=True, help="Do not complain about tools, strategies and models missing here."
)
@click.option("--json", "as_json", is_flag=True, help="Print the problems as a JSON list.")
@debug_option
def validate(files: tuple[str, ...], root: str | None, elsewhere: bool, as_json: bool) -> int:
    """Check workflow files, - for stdin: every problem with its line and column.

    Exit code 2 if there are any. Warnings alone leave it at 0.
    """
    from weaver._workflows.validation.loader import examine
    from weaver._workflows.validation.registry import Surroundings

    listed_problems: list[Problem] = []
    warnings: list[Problem] = []
    for file in files:
        surroundings = Surroundings(strict=not elsewhere)
        source = sys.stdin.buffer.read() if file == "-" else Path(file)
        workflow, problems = examine(source, root=root, surroundings=surroundings, name="<stdin>")
        listed_problems += sorted(problems.found)
        warnings += sorted(problems.warnings)
        if not as_json:
            for problem in sorted(problems.found):
                click.echo(printable(str(problem)))
            for warning in sorted(problems.warnings):
                click.echo(printable(f"warning: {warning}"))
            if workflow is not None and not problems:
                steps, inputs = count(len(workflow.steps), "step"), count(len(workflow.inputs), "input")
                click.echo(f"{file}: {workflow.name} is fine ({inputs}, {steps})")
    if as_json:
        every = [_as_dict(p, "error") for p in listed_problems] + [_as_dict(w, "warning") for w in warnings]
        click.echo(json.dumps(every))
    elif listed_problems:
        click.echo(count(len(listed_problems), "problem"), err=True)
    return 2 if listed_problems else 0


def _as_dict(problem: Problem, severity: str) -> dict[str, object]:
    return {
        "severity": severity,
        "file": problem.file,
        "line": problem.place.line,
        "column": problem.place.column,
        "where": problem.where,
        "what": problem.what,
        "hint": problem.hint,
    }
