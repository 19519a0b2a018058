"""``weaver temporal``: submit, worker, cancel."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from weaver._cli.support.flags import settings_flags_without
from weaver._cli.support.guard import debug_option

if TYPE_CHECKING:
    from temporalio.client import Client

    from weaver._journal.port import Journal
    from weaver_temporal.placing import Cluster

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


def cluster_options(command: F) -> F:
    """Add the flags that say where Temporal is."""
    for option in (
        click.option("--queue", default="weaver", show_default=True, help="Temporal's task queue."),
        click.option("--namespace", envvar="TEMPORAL_NAMESPACE", default="default", show_default=True),
        click.option(
            "--address",
            envvar="TEMPORAL_ADDRESS",
            default="localhost:7233",
            show_default=True,
            help="Where Temporal is; also TEMPORAL_ADDRESS.",
        ),
    ):
        command = option(command)
    return command


@click.group()
def temporal() -> None:
    """Runs on a Temporal cluster.

    Runs are recorded in the journal of the setting `journal`; for several machines, a PostgreSQL
    (weaver-reasoning-postgres). `weaver runs`, `weaver attach` and `weaver approve` work as ever.
    """


@temporal.command()
@click.argument("question", metavar="QUESTION|FILE.yaml")
@click.option("-i", "--input", "inputs", multiple=True, metavar="KEY=VALUE", help="Input of a workflow file.")
@click.option("--part", "parts", multiple=True, metavar="TEXT", help="One part of the task; repeatable.")
@click.option("--root", metavar="FOLDER", help="Workflows: the folder that `uses` may not leave.")
@click.option("--approve", "approved", multiple=True, metavar="STEP|all", help="Workflows: a yes beforehand.")
@click.option("--run-id", metavar="ID", help="Id of the run; one that exists is left as it is.")
@click.option("--priority", type=click.IntRange(-2, 2), default=0, show_default=True, help="Higher first.")
@click.option("--as", "submitter", default="", metavar="NAME", help="Whose share it uses.")
@click.option("--delay", metavar="SECONDS", help="Begin no earlier than in so long; also 90s, 5m, 1h30m.")
@cluster_options
@settings_flags_without("durable", "accept_changes")
@debug_option
def submit(question: str, **options: Any) -> None:
    """Record a run and place it on Temporal. Prints its id as soon as both are durable."""
    from weaver._cli.running.submitting import submission_of, when
    from weaver_temporal.placing import submit as place

    submission = submission_of(question, options)
    run_id = options["run_id"] or secrets.token_hex(8)
    delay = when(options["delay"], None).get("delay", 0.0)

    async def work(client: Client, cluster: Cluster, journal: Journal) -> None:
        await place(
            client, cluster, journal, run_id, submission.about(),
            priority=options["priority"], submitter=options["submitter"], delay=delay,
        )  # fmt: skip

    _with_cluster(options, work)
    click.echo(run_id)


@temporal.command()
@click.option(
    "-c", "--concurrency", type=click.IntRange(1), default=8, show_default=True, help="Runs at once."
)
@click.option("--drain", "drain_seconds", type=float, default=30.0, show_default=True, metavar="SECONDS",
              help="After SIGTERM: time for runs to end. The rest goes to other workers.")  # fmt: skip
@click.option("--journal", metavar="URL", help="Also WEAVER_JOURNAL.")
@cluster_options
@debug_option
def worker(concurrency: int, drain_seconds: float, **options: Any) -> None:
    """Work on runs, on this machine, until SIGTERM or Ctrl-C."""
    from weaver._cli.support.interrupt import interrupts
    from weaver_temporal.placing import serve

    async def work(client: Client, cluster: Cluster, journal: Journal) -> None:
        stop = asyncio.Event()
        with interrupts(stop.set):
            click.echo(f"Up to {concurrency} runs of {cluster.queue} at {cluster.address}", err=True)
            await serve(
                client, cluster, journal, concurrency=concurrency, stop=stop, drain_seconds=drain_seconds
            )

    _with_cluster(options, work)


@temporal.command()
@click.argument("run")
@click.option("--journal", metavar="URL", help="Also WEAVER_JOURNAL.")
@cluster_options
@debug_option
def cancel(run: str, **options: Any) -> None:
    """Stop RUN, on whichever machine it is. What is finished is kept."""
    from weaver._cli.support.durable_runs import find_run
    from weaver_temporal.placing import cancel as stop

    async def work(client: Client, _: Cluster, journal: Journal) -> tuple[str, bool]:
        head = await find_run(journal, run)
        return head.run_id, await stop(client, journal, head.run_id)

    run_id, stopped = _with_cluster(options, work)
    click.echo(f"{run_id} is cancelled." if stopped else f"{run_id} had ended already.", err=True)


def _with_cluster(options: dict[str, Any], work: Callable[[Client, Cluster, Journal], Awaitable[T]]) -> T:
    """Do something with the cluster and the journal, and close the journal."""
    from weaver._cli.support.interrupt import run_async
    from weaver._journal import journal_of
    from weaver._settings.settings import Settings
    from weaver_temporal.placing import Cluster

    setting = Settings.load(journal=options.get("journal")).journal
    cluster = Cluster(options["address"], options["namespace"], options["queue"])

    async def opened() -> T:
        client = await cluster.client()
        journal = journal_of(None if setting is None else setting.get_secret_value())
        try:
            return await work(client, cluster, journal)
        finally:
            await journal.aclose()

    return run_async(opened)
