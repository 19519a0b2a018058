"""``weaver test``."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from weaver._cli.support.guard import debug_option
from weaver._cli.workflow import loaded
from weaver._display.words import count, one_line
from weaver.errors import ConfigurationError

if TYPE_CHECKING:
    from weaver._workflows.format.definition import Definition
    from weaver._workflows.tools.testing import Outcome


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE.yaml...")
@click.option("-k", "pattern", metavar="TEXT", default="", help="Only cases whose name has this text.")
@click.option(
    "--root", metavar="FOLDER", help="The folder that `uses` may not leave. Default: the file's own."
)
@debug_option
def test(files: tuple[str, ...], pattern: str, root: str | None) -> int:
    """Run the test cases of workflow files with scripted answers: no model, no network.

    Exit code: 0 all passed, 1 some failed, 2 a file is wrong or has no cases.
    """
    outcomes: list[Outcome] = []
    for file in files:
        workflow = loaded(Path(file), root)
        numbers = [n for n, case in enumerate(workflow.tests) if pattern.lower() in case.name.lower()]
        if not numbers:
            raise ConfigurationError(
                f"{file} has no test cases{f' with {pattern!r} in their names' if pattern else ''}.",
                hint="Add some under `tests:`; docs/workflows.md shows how.",
            )
        for number in numbers:
            outcome = _run(workflow, number)
            outcomes.append(outcome)
            click.echo(f"{'passed' if outcome.passed else 'FAILED'}  {file}: {one_line(outcome.name)}")
            for problem in outcome.problems:
                click.echo(f"        {one_line(problem, 500)}")
            for line in () if outcome.passed else outcome.happened:
                click.echo(f"        {one_line(line)}")
    failed = sum(not outcome.passed for outcome in outcomes)
    click.echo(
        f"{count(len(outcomes), 'case')}, {failed} failed"
        if failed
        else f"{count(len(outcomes), 'case')} passed"
    )
    return 1 if failed else 0


def _run(workflow: Definition, number: int) -> Outcome:
    from weaver._testing.clock import VirtualTimeLoop
    from weaver._workflows.tools.testing import run_case, virtual

    factory = VirtualTimeLoop if virtual(workflow, workflow.tests[number]) else None
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(run_case(workflow, number))
