"""``weaver fork``: a new run from the middle of another one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from weaver._cli.running.run import View, run_command
from weaver._cli.support.begun import Begun, Command
from weaver._cli.support.durable_runs import find_run, with_journal
from weaver._cli.support.guard import debug_option
from weaver._cli.support.reading import text_from
from weaver.errors import ConfigurationError, UnknownNameError

if TYPE_CHECKING:
    from weaver._journal.port import Journal


@click.command()
@click.argument("run")
@click.option("--from", "step", required=True, metavar="STEP", help="Key of a finished step or thread.")
@click.option(
    "--with",
    "changes",
    multiple=True,
    metavar="NAME=VALUE",
    help="Change a setting of the run (model, temperature, max_cost, ...) or its question; repeatable.",
)
@click.option("--reply", metavar="TEXT", help="Let STEP, a model call, have answered this; @FILE reads it.")
@click.option("--run-id", metavar="ID", help="Id of the new run.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the answer.")
@click.option("--no-live", is_flag=True, help="No moving picture: progress as plain lines.")
@click.option("-q", "--quiet", is_flag=True, help="No progress and no summary, only errors.")
@click.option("-y", "--yes", is_flag=True, help="Agree to download the embedded model without being asked.")
@debug_option
def fork(
    run: str,
    step: str,
    changes: tuple[str, ...],
    reply: str | None,
    run_id: str | None,
    as_json: bool,
    no_live: bool,
    quiet: bool,
    yes: bool,
) -> int:
    """Begin a new run that goes on from the middle of RUN, which stays as it is.

    STEP, and all that was begun after it had ended, is done again. The rest is taken over without a call.
    Keys of steps are what `weaver runs show RUN` prints: plan, s2/call/0, or s2 for a whole thread.

    \b
    weaver fork last --from s2 --with temperature=0.9
    weaver fork last --from plan --reply @plan.json
    """

    async def copy(journal: Journal) -> tuple[str, Command, int]:
        from weaver._journal.forking import fork_run

        head = await find_run(journal, run)
        if run_id is not None and await journal.head(run_id) is not None:
            raise ConfigurationError(f"There is a run {run_id} already.", hint="Choose another --run-id.")
        command = _changed(Command.from_json(head.run_id, head.about), changes)
        begun = Begun.of(command, run_id)
        about = {**head.about, **begun.about, "forked": {"run": head.run_id, "from": step}}
        if "question" in about:
            about["question"] = command.text or command.question
        text = text_from(reply[1:], "reply") if reply and reply.startswith("@") else reply
        count = await fork_run(journal, head.run_id, step, begun.run_id, about=about, reply=text)
        return begun.run_id, command, count

    new_id, command, count = with_journal(copy)
    click.echo(f"{new_id} goes on with {count} recorded steps.", err=True)
    view = View("json" if as_json else "text", no_live=no_live, quiet=quiet, yes=yes)
    try:
        return run_command(command, view, new_id)
    except ConfigurationError:
        with_journal(lambda journal: _remove_unbegun(journal, new_id))
        raise


async def _remove_unbegun(journal: Journal, run_id: str) -> None:
    """Forget a copied run that nobody has worked on."""
    head = await journal.head(run_id)
    if head is not None and not head.owner:
        await journal.remove(run_id)


def _changed(command: Command, changes: tuple[str, ...]) -> Command:
    """The command line with other settings.

    Raises:
        UnknownNameError: there is no such setting.
        UsageError: a change is not NAME=VALUE.
    """
    from weaver._cli.support.flags import NO_FLAG
    from weaver._settings.settings import Settings

    options: dict[str, Any] = {**command.options, "durable": True}
    names = Settings.model_fields.keys() - NO_FLAG - {"durable", "journal"}
    for change in changes:
        name, equals, value = change.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or not name:
            raise click.UsageError(f"--with takes NAME=VALUE, and {change!r} is not that.")
        if name == "question":
            command = replace(command, question=value, text=value)
        elif name in names:
            options[name] = value
        else:
            raise UnknownNameError("setting", name, ["question", *names])
    return replace(command, options=options)
