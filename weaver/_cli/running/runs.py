"""``weaver runs``: durable runs of this machine."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from weaver._cli.support.durable_runs import STATUSES, find_run, status_of, with_journal
from weaver._cli.support.guard import debug_option
from weaver._display.words import one_line, printable
from weaver._json_reading.json_types import is_object

if TYPE_CHECKING:
    from weaver._journal.port import Entry, Journal, RunHead

ENDED = ("complete", "partial", "failed", "cancelled")
_RUN = click.argument("run", required=False, default="last")


@click.group()
@debug_option
def runs() -> None:
    """Look at durable runs, and tidy them away.

    RUN is a run's id, the unique beginning of it, or "last" (the default).

    \b
    weaver runs list --status interrupted
    weaver runs show
    weaver resume last
    """


@runs.command("list")
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(0),
    default=20,
    show_default=True,
    help="Most runs to list; 0 for all.",
)
@click.option("--status", type=click.Choice(STATUSES), help="Only runs of this status.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@debug_option
def list_(limit: int, status: str | None, as_json: bool) -> None:
    """List runs, those worked on last first. A run whose process died is "interrupted"."""
    heads = with_journal(lambda journal: journal.heads())
    chosen = [head for head in heads if status is None or status_of(head) == status][: limit or None]
    if as_json:
        for head in chosen:
            click.echo(json.dumps(_about(head)))
        return
    if not chosen:
        which = f"No durable run is {status}." if status else "There is no durable run."
        click.echo(f"{which} To begin one: weaver run --durable", err=True)
        return
    for head in chosen:
        question = printable(one_line(str(head.about.get("question", ""))))[:70]
        click.echo(f"{head.run_id:<18} {status_of(head):<12} {_when(head.updated)}  {question}")


@runs.command()
@_RUN
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@debug_option
def show(run: str, as_json: bool) -> None:
    """Show RUN: every step, what it cost, what was decided, and what waits for a person."""

    async def read(journal: Journal) -> tuple[RunHead, list[Entry]]:
        head = await find_run(journal, run)
        return head, list(await journal.entries(head.run_id))

    head, entries = with_journal(read)
    if as_json:
        click.echo(json.dumps({**_about(head), "entries": [asdict(entry) for entry in entries]}))
        return
    click.echo(f"{head.run_id}  {status_of(head)}  begun {_when(head.created)}")
    click.echo(printable(one_line(str(head.about.get("question", "")))))
    ended = {entry.key for entry in entries if entry.kind != "started"}
    for entry in entries:
        if entry.kind == "started" and entry.key in ended:
            continue
        usage = entry.usage or {}
        tokens = usage.get("input_tokens", 0) + usage.get("output_tokens", 0)
        cost = f"{tokens} tokens" if tokens else ""
        click.echo(f"{entry.seq:>6}  {entry.kind:<9}  {entry.key:<40}  {cost:>14}  {_short(entry)}".rstrip())


@runs.command()
@_RUN
@debug_option
def cancel(run: str) -> None:
    """Stop RUN, wherever on this machine it is worked on. What is finished is kept."""

    async def stop(journal: Journal) -> RunHead:
        head = await find_run(journal, run)
        if head.status not in ENDED:
            await journal.cancel(head.run_id)
        return head

    head = with_journal(stop)
    if head.status in ENDED:
        click.echo(f"{head.run_id} has ended already: it is {head.status}.", err=True)
        return
    how = "its process stops within a second" if status_of(head) == "running" else "no process works on it"
    click.echo(f"{head.run_id} is cancelled; {how}. To go on: weaver resume {head.run_id}", err=True)


@runs.command()
@_RUN
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Default: stdout.")
@debug_option
def export(run: str, output: Path | None) -> None:
    """Write RUN as JSON lines: first what it is, then every entry."""

    async def read(journal: Journal) -> list[Any]:
        head = await find_run(journal, run)
        return [_about(head), *(asdict(e) for e in await journal.entries(head.run_id))]

    text = "".join(json.dumps(line) + "\n" for line in with_journal(read))
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.FileError(str(output), error.strerror or str(error)) from None


@runs.command()
@click.argument("names", metavar="[RUN...]", nargs=-1)
@click.option("--status", type=click.Choice(STATUSES), help="Runs of this status.")
@click.option(
    "--older-than",
    type=click.FloatRange(0),
    metavar="DAYS",
    help="Runs that nobody has worked on for so long.",
)
@debug_option
def rm(names: tuple[str, ...], status: str | None, older_than: float | None) -> None:
    """Forget runs, and everything recorded of them."""
    if not names and status is None and older_than is None:
        raise click.UsageError("Name runs, or say which: --status, --older-than.")

    async def forget(journal: Journal) -> int:
        import time

        heads = [await find_run(journal, name) for name in names] if names else await journal.heads()
        since = float("inf") if older_than is None else time.time() - older_than * 86_400
        count = 0
        for head in heads:
            if head.updated >= since or status not in (None, status_of(head)):
                continue
            if status_of(head) == "running":
                click.echo(f"{head.run_id} is being worked on and is kept; cancel it first.", err=True)
                continue
            await journal.remove(head.run_id)
            count += 1
        return count

    count = with_journal(forget)
    click.echo(f"Removed {count} {'run' if count == 1 else 'runs'}.", err=True)


def _about(head: RunHead) -> dict[str, Any]:
    return {**asdict(head), "status": status_of(head)}


def _short(entry: Entry) -> str:
    """A few words about what an entry says."""
    if entry.kind == "started":
        return "begun; its end is not recorded"
    value = entry.value
    if is_object(value):
        error = value.get("error")
        reason = error.get("message") if is_object(error) else error
        value = value.get("text") or value.get("message") or reason or value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return printable(one_line(text))[:80]


def _when(seconds: float) -> str:
    import time

    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
