"""``weaver resume``: go on with durable runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from weaver._cli.running.run import View, run_command
from weaver._cli.support.begun import Command
from weaver._cli.support.durable_runs import find_run, status_of, with_journal
from weaver._cli.support.guard import debug_option
from weaver.errors import ConfigurationError, WeaverError

if TYPE_CHECKING:
    from weaver._journal.port import Journal, RunHead


@click.command()
@click.argument("run", required=False)
@click.option("--all", "every", is_flag=True, help="Every run whose process died or was interrupted.")
@click.option(
    "--accept-changes",
    is_flag=True,
    help="Do steps again whose request differs from the recorded one, instead of stopping.",
)
@click.option("--take-over", is_flag=True, help="Take the run from a process that still works on it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the answer.")
@click.option("--no-live", is_flag=True, help="No moving picture: progress as plain lines.")
@click.option("-q", "--quiet", is_flag=True, help="No progress and no summary, only errors.")
@click.option("-y", "--yes", is_flag=True, help="Agree to download the embedded model without being asked.")
@debug_option
def resume(
    run: str | None,
    every: bool,
    accept_changes: bool,
    take_over: bool,
    as_json: bool,
    no_live: bool,
    quiet: bool,
    yes: bool,
) -> int:
    """Go on with RUN: finished steps are read from the journal and not paid for again.

    RUN is a run's id, the unique beginning of it, or "last". Exit codes are those of `weaver run`.
    """
    if (run is None) != every:
        raise click.UsageError("Name one run (`weaver runs list` shows them), or say --all.")
    view = View("json" if as_json else "text", no_live=no_live, quiet=quiet, yes=yes)
    if run is not None:
        name = run
        head = with_journal(lambda journal: find_run(journal, name))
        return _go_on(head, view, accept_changes=accept_changes, take_over=take_over)
    worst = 0
    heads = with_journal(_interrupted)
    if not heads:
        click.echo("No durable run is interrupted.", err=True)
    for head in heads:
        click.echo(f"{head.run_id}:", err=True)
        try:
            worst = max(worst, _go_on(head, view, accept_changes=accept_changes, take_over=False))
        except WeaverError as error:
            click.echo(str(error), err=True)
            worst = max(worst, error.exit_code)
    return worst


async def _interrupted(journal: Journal) -> list[RunHead]:
    return [head for head in await journal.heads() if status_of(head) == "interrupted"]


def _go_on(head: RunHead, view: View, *, accept_changes: bool, take_over: bool) -> int:
    if status_of(head) == "running" and not take_over:
        raise ConfigurationError(
            f"Run {head.run_id} is being worked on by {head.owner}.",
            hint="Wait for it, stop it (weaver runs cancel), or take it: --take-over.",
        )
    command = Command.from_json(head.run_id, head.about)
    options = {**command.options, "durable": True, "accept_changes": accept_changes or None}
    return run_command(replace(command, options=options), view, head.run_id)
