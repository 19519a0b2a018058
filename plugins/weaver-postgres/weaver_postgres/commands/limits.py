"""``weaver limits``: what all workers keep together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from weaver._cli.support.guard import debug_option
from weaver.errors import UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from weaver_postgres.dispatcher import PostgresDispatcher
    from weaver_postgres.journal import PostgresJournal


@click.group(invoke_without_command=True)
@click.option("--journal", metavar="URL", help="postgresql://USER@HOST/DATABASE, or WEAVER_JOURNAL.")
@click.pass_context
@debug_option
def limits(ctx: click.Context, journal: str | None) -> None:
    """Limits that all workers keep together: of endpoints, and of what submitters may spend.

    \b
    weaver limits endpoint https://api.openai.com/v1 --calls 200 --rpm 5000
    weaver limits budget alice --max-cost 50 --per day --run-cost 0.50
    weaver limits                      # list them
    """
    ctx.obj = journal
    if ctx.invoked_subcommand is not None:
        return

    async def show(_: PostgresJournal, dispatcher: PostgresDispatcher) -> None:
        for name, share in await dispatcher.shared.endpoints():
            values = {"calls": share.calls, "rpm": share.requests_per_minute, "tpm": share.tokens_per_minute}
            text = ", ".join(f"{value:g} {key}" for key, value in values.items() if value is not None)
            click.echo(f"endpoint {name}: {text}")
        for budget in await dispatcher.shared.budgets():
            rest = "" if budget.remaining is None else f", ${max(0.0, budget.remaining):.2f} left"
            per = "in all" if budget.period == "ever" else f"a {budget.period}"
            name = budget.submitter or "everybody else"
            click.echo(f"budget {name}: ${budget.max_cost:g} {per}, ${budget.run_cost:g} a run{rest}")

    _do(journal, show)


@limits.command()
@click.argument("url")
@click.option("--calls", type=click.IntRange(1), help="Calls at once, one for each worker at least.")
@click.option("--rpm", type=click.FloatRange(0, min_open=True), help="Requests a minute.")
@click.option("--tpm", type=click.FloatRange(0, min_open=True), help="Tokens a minute.")
@click.pass_obj
@debug_option
def endpoint(journal: str | None, url: str, calls: int | None, rpm: float | None, tpm: float | None) -> None:
    """Limit the endpoint URL, as in --base-url. Without numbers its limits are removed."""
    from weaver._models.layers.limiter import Share

    _do(journal, lambda _, dispatcher: dispatcher.shared.set_endpoint(url, Share(calls, rpm, tpm)))


@limits.command()
@click.argument("submitter", required=False, default="")
@click.option("--max-cost", type=click.FloatRange(0), metavar="USD", help="For all runs of a period.")
@click.option(
    "--per", type=click.Choice(["hour", "day", "week", "month", "ever"]), default="day", show_default=True
)
@click.option(
    "--run-cost", type=click.FloatRange(0, min_open=True), metavar="USD", help="Most that one run may cost."
)
@click.option("--rm", "remove", is_flag=True, help="Remove the budget.")
@click.pass_obj
@debug_option
def budget(journal: str | None, /, submitter: str, **options: Any) -> None:
    """Limit what the runs of SUBMITTER cost together; without a name, of everybody who has no budget.

    A run begins when the budget has room for --run-cost, or for its own --max-cost if that is less.
    """
    from weaver_postgres.shared import Budget

    async def change(_: PostgresJournal, dispatcher: PostgresDispatcher) -> None:
        shared = dispatcher.shared
        if options["remove"]:
            if not await shared.remove_budget(submitter):
                names = [row.submitter for row in await shared.budgets()]
                raise UnknownNameError("budget", submitter, names)
            return
        max_cost, run_cost = options["max_cost"], options["run_cost"]
        await shared.set_budget(Budget(submitter, max_cost, options["per"], run_cost))

    if not options["remove"] and None in (options["max_cost"], options["run_cost"]):
        raise click.UsageError("Give --max-cost and --run-cost, or --rm.")
    _do(journal, change)


def _do(
    journal: str | None, work: Callable[[PostgresJournal, PostgresDispatcher], Awaitable[object]]
) -> None:
    from weaver_postgres.commands.connected import with_dispatcher

    with_dispatcher(journal, work)
