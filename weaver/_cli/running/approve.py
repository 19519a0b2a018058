"""``weaver approve``: answer what a durable run waits for, also after its process died."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from weaver._cli.support.durable_runs import find_run, with_journal
from weaver._cli.support.guard import debug_option
from weaver._display.words import one_line, printable
from weaver.errors import UnknownNameError

if TYPE_CHECKING:
    from weaver._journal.port import Entry, Journal


@click.command()
@click.argument("run")
@click.argument("request", metavar="[ID]", required=False)
@click.option("--deny", is_flag=True, help="Refuse the call.")
@click.option("--reason", default="", help="The model reads it when the call is refused.")
@click.option("--always", is_flag=True, help="The answer holds for every later call of this tool in the run.")
@debug_option
def approve(run: str, request: str | None, deny: bool, reason: str, always: bool) -> None:
    """Agree to a tool call or a step that RUN waits for; without ID, list what waits.

    A run that is being worked on goes on within a second; otherwise: weaver resume RUN.
    """

    async def answer(journal: Journal) -> list[Entry]:
        from weaver._journal.port import Entry

        head = await find_run(journal, run)
        pending = pending_approvals(list(await journal.entries(head.run_id)))
        if request is None:
            return list(pending.values())
        if request not in pending:
            raise UnknownNameError("pending approval", request, pending)
        value = {"approved": not deny, "reason": reason, "always": always}
        await journal.append(head.run_id, 0, (Entry(pending[request].key, "verdict", value),))
        return []

    waiting = with_journal(answer)
    if request is not None:
        click.echo("Denied." if deny else "Approved.", err=True)
        return
    if not waiting:
        click.echo("The run waits for no approval.", err=True)
    for entry in waiting:
        arguments = json.dumps(entry.value["arguments"], ensure_ascii=False)
        id_ = entry.key.partition("/")[2]
        call = f"{entry.value['tool']}({arguments})  " if entry.value["tool"] else ""
        click.echo(printable(one_line(f"{id_}  {call}{entry.value['reason']}")))


def pending_approvals(entries: list[Entry]) -> dict[str, Entry]:
    """Requests that nobody has answered, by their id."""
    from weaver._runtime.state.record import APPROVAL

    requests = {e.key: e for e in entries if e.kind == "started" and e.key.startswith(f"{APPROVAL}/")}
    for entry in entries:
        if entry.kind == "verdict":
            requests.pop(entry.key, None)
    return {key.partition("/")[2]: entry for key, entry in requests.items()}
