"""``weaver submit``, ``worker``, ``cancel`` and ``schedules``."""

from __future__ import annotations

import os
import secrets
import socket
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from weaver._cli.support.flags import settings_flags_without
from weaver._cli.support.guard import debug_option
from weaver.errors import UnknownNameError

if TYPE_CHECKING:
    from weaver._dispatch.port import Job
    from weaver_postgres.dispatcher import PostgresDispatcher
    from weaver_postgres.journal import PostgresJournal

_journal = click.option(
    "--journal", metavar="URL", help="postgresql://USER@HOST/DATABASE, or WEAVER_JOURNAL."
)
_queue = click.option("--queue", default="default", show_default=True, metavar="NAME")


@click.command()
@click.argument("question", metavar="QUESTION|FILE.yaml", required=False)
@click.option("-i", "--input", "inputs", multiple=True, metavar="KEY=VALUE", help="Input of a workflow file.")
@click.option("--part", "parts", multiple=True, metavar="TEXT", help="One part of the task; repeatable.")
@click.option("--root", metavar="FOLDER", help="Workflows: the folder that `uses` may not leave.")
@click.option("--approve", "approved", multiple=True, metavar="STEP|all", help="Workflows: a yes beforehand.")
@click.option("--run-id", metavar="ID", help="Id of the run; one that exists is left as it is.")
@click.option("--priority", type=int, default=0, show_default=True, help="Higher first.")
@_queue
@click.option("--as", "submitter", metavar="NAME", help="Whose share it uses. Default: the user's name.")
@click.option("--delay", metavar="SECONDS", help="Begin no earlier than in so long; also 90s, 5m, 1h30m.")
@click.option("--at", "at", metavar="TIME", help="Begin no earlier than 2026-12-01T06:00, for example.")
@click.option("--every", metavar="CRON", help='Submit it again and again: "0 6 * * mon-fri". Needs --name.')
@click.option("--zone", default="UTC", show_default=True, metavar="ZONE", help="Time zone of --every.")
@click.option("--name", metavar="NAME", help="Name of the schedule of --every.")
@click.option("--again", metavar="RUN", help="Instead of a question: work on a run that has ended again.")
@click.option("--wait", is_flag=True, help="Wait for the answer and print it; the run does not depend on it.")
@settings_flags_without("durable", "accept_changes")
@debug_option
def submit(question: str | None, again: str | None, **options: Any) -> int:
    """Hand QUESTION, or a workflow, to the workers. Prints the run's id as soon as it is on disk.

    Settings given here travel with it. Keys, headers, hooks and MCP servers are those of the workers.

    \b
    weaver submit "Compare Kyoto and Oslo for a week in May." --model openai/gpt-5-mini
    weaver submit report.yaml -i topic=rain --every "0 6 * * *" --name morning
    weaver attach RUN          # watch it, from any machine
    """
    from weaver._cli.running.submitting import submission_of, when
    from weaver._dispatch.port import Job
    from weaver_postgres.commands.connected import with_dispatcher

    if again is not None:
        click.echo(_again(again, options["journal"]))
        return 0
    if question is None:
        raise click.UsageError("Give a question or a workflow file; or --again RUN.")
    submission = submission_of(question, options)
    job = Job(
        options["run_id"] or secrets.token_hex(8),
        submission.about(),
        options["queue"],
        options["submitter"] or _user(),
        options["priority"],
        max_cost=submission.settings.get("max_cost"),
        **when(options["delay"], options["at"]),
    )
    if options["every"] is not None:
        return _schedule(job, options)
    with_dispatcher(options["journal"], lambda _, dispatcher: dispatcher.submit([job]))
    click.echo(job.run_id, err=options["wait"])
    sys.stdout.flush()
    return _wait(job.run_id, options["journal"]) if options["wait"] else 0


@click.command()
@_journal
@click.option(
    "-c", "--concurrency", type=click.IntRange(1), default=8, show_default=True, help="Runs at once."
)
@click.option("--queue", "queues", multiple=True, metavar="NAME", help="Queue to serve; repeatable.")
@click.option("--drain", "drain_seconds", type=float, default=30.0, show_default=True, metavar="SECONDS",
              help="After SIGTERM: time for runs to end. The rest goes to other workers.")  # fmt: skip
@click.option("--lease", type=click.FloatRange(1.0), default=5.0, show_default=True, metavar="SECONDS",
              help="A worker that was silent for so long is dead. The same for all workers.")  # fmt: skip
@debug_option
def worker(
    journal: str | None, concurrency: int, queues: tuple[str, ...], drain_seconds: float, lease: float
) -> int:
    """Work on submitted runs, on this machine, until SIGTERM or Ctrl-C.

    Start as many as you like, on as many machines. Models are reached with the keys of this machine.
    """
    from weaver_postgres.serving import serve

    return serve(
        journal, concurrency=concurrency, queues=queues or ("default",), drain=drain_seconds, lease=lease
    )


@click.command()
@click.argument("run")
@_journal
@debug_option
def cancel(run: str, journal: str | None) -> None:
    """Stop RUN, on whichever machine it is, and the runs that it waits for. What is finished is kept."""
    from weaver._cli.support.durable_runs import find_run
    from weaver_postgres.commands.connected import with_dispatcher

    async def stop(journal: PostgresJournal, dispatcher: PostgresDispatcher) -> tuple[str, bool]:
        head = await find_run(journal, run)
        return head.run_id, await dispatcher.cancel(head.run_id)

    run_id, stopped = with_dispatcher(journal, stop)
    click.echo(f"{run_id} is cancelled." if stopped else f"{run_id} had ended already.", err=True)


@click.group(invoke_without_command=True)
@_journal
@click.pass_context
@debug_option
def schedules(ctx: click.Context, journal: str | None) -> None:
    """List what is submitted again and again (weaver submit --every), and remove it."""
    from weaver_postgres.commands.connected import with_dispatcher

    ctx.obj = journal
    if ctx.invoked_subcommand is not None:
        return
    rows = with_dispatcher(journal, lambda _, dispatcher: dispatcher.schedules.all())
    if not rows:
        click.echo("There is no schedule. To add one: weaver submit ... --every CRON --name NAME", err=True)
    for row in rows:
        click.echo(f"{row.name:<20} {row.cron:<20} {row.zone:<12} next {_local(row.next)}  {row.submitter}")


@schedules.command("rm")
@click.argument("name")
@click.pass_obj
@debug_option
def remove(journal: str | None, name: str) -> None:
    """Remove the schedule NAME. Runs that it has submitted stay."""
    from weaver_postgres.commands.connected import with_dispatcher

    async def forget(_: PostgresJournal, dispatcher: PostgresDispatcher) -> None:
        if not await dispatcher.schedules.remove(name):
            names = [row.name for row in await dispatcher.schedules.all()]
            raise UnknownNameError("schedule", name, names)

    with_dispatcher(journal, forget)


def _again(run: str, url: str | None) -> str:
    """Put a run back into the queue; returns its id."""
    from weaver._cli.support.durable_runs import find_run
    from weaver.errors import ConfigurationError
    from weaver_postgres.commands.connected import with_dispatcher

    async def requeue(journal: PostgresJournal, dispatcher: PostgresDispatcher) -> str:
        head = await find_run(journal, run)
        if not await dispatcher.again(head.run_id):
            raise ConfigurationError(
                f"Run {head.run_id} is {head.status}: it was not submitted, or has not ended.",
                hint="See `weaver runs show`.",
            )
        return head.run_id

    return with_dispatcher(url, requeue)


def _schedule(job: Job, options: dict[str, Any]) -> int:
    from weaver_postgres.commands.connected import with_dispatcher

    name, cron, zone = options["name"], options["every"], options["zone"]
    if name is None:
        raise click.UsageError("--every needs --name, by which the schedule is changed and removed.")
    first = with_dispatcher(
        options["journal"], lambda _, dispatcher: dispatcher.schedules.put(name, cron, zone, job)
    )
    click.echo(f"{name}: the first run begins at {_local(first)}.", err=True)
    return 0


def _wait(run_id: str, url: str | None) -> int:
    """Wait for the run's end and print its answer; returns the exit code."""
    from weaver_postgres.commands.connected import with_dispatcher

    async def until_ended(journal: PostgresJournal, _: PostgresDispatcher) -> tuple[str, Any]:
        while True:
            head = await journal.head(run_id)
            if head is None:
                return "removed", None
            if head.status not in ("queued", "running", "interrupted"):
                return head.status, head.result
            await journal.changed(run_id, follow=True)

    status, value = with_dispatcher(url, until_ended)
    result: dict[str, Any] = value or {}
    if result.get("answer"):
        click.echo(result["answer"])
    if status not in ("complete", "partial"):
        error: dict[str, Any] = result.get("error") or {}
        click.echo(f"The run is {status}. {error.get('message', '')}".rstrip(), err=True)
    return {"complete": 0, "partial": 3}.get(status, 1)


def _user() -> str:
    import getpass

    try:
        return os.environ.get("WEAVER_SUBMITTER") or getpass.getuser()
    except (OSError, KeyError):
        return socket.gethostname()


def _local(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
