"""``weaver attach``: watch a durable run from another terminal, or read how it went."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from weaver._cli.support.durable_runs import find_run, status_of, with_journal
from weaver._cli.support.guard import debug_option
from weaver._workers.submission import KEY

if TYPE_CHECKING:
    from weaver._data.result import Result
    from weaver._journal.port import Journal


@click.command()
@click.argument("run", required=False, default="last")
@click.option(
    "--from",
    "first",
    type=click.IntRange(min=1),
    default=1,
    metavar="SEQ",
    help="Begin with the event of this number.",
)
@click.option("--events", "as_events", is_flag=True, help="Every event as a line of JSON, with its number.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, at the end of the run.")
@click.option("--no-live", is_flag=True, help="No moving picture: progress as plain lines.")
@debug_option
def attach(run: str, first: int, as_events: bool, as_json: bool, no_live: bool) -> int:
    """Watch RUN, whatever process works on it; leaving does not stop it.

    RUN is a run's id, the unique beginning of it, or "last". Events have numbers: who was cut off goes on
    with --from, misses none and gets none twice, also after the run itself was killed and resumed.

    Exit code: that of the run; 1 where nobody works on it and it has no result.
    """
    if as_events and as_json:
        raise click.UsageError("--json and --events exclude each other.")
    if as_events:
        return with_journal(lambda journal: _lines(journal, run, first))
    return with_journal(lambda journal: _watched(journal, run, first, as_json=as_json, no_live=no_live))


async def _lines(journal: Journal, run: str, first: int) -> int:
    from weaver._journal.following import follow

    head = await find_run(journal, run)
    async for number, event in follow(journal, head.run_id, after=first - 1, is_over=_is_over):
        click.echo(json.dumps({"seq": number, **event}))
        sys.stdout.flush()
    return await _end(journal, head.run_id, None)


async def _watched(journal: Journal, run: str, first: int, *, as_json: bool, no_live: bool) -> int:
    import anyio

    from weaver._cli.display.answering import progress_for
    from weaver._cli.display.output import FORMS, last_words
    from weaver._cli.display.recorded_events import event_from
    from weaver._journal.following import follow
    from weaver.events import RunFinished

    head = await find_run(journal, run)
    output = FORMS["json" if as_json else "text"]()
    progress = progress_for("text", no_live=no_live, quiet=as_json)
    result: Result[Any] | None = None

    async def tick() -> None:
        while True:
            progress.tick()
            await anyio.sleep(0.1)

    with progress:
        async with anyio.create_task_group() as ticker:
            ticker.start_soon(tick)
            async for _, value in follow(journal, head.run_id, after=first - 1, is_over=_is_over):
                if (event := event_from(value)) is None:
                    continue
                progress.show(event)
                if isinstance(event, RunFinished):
                    result = event.result
            ticker.cancel_scope.cancel()
    code = await _end(journal, head.run_id, result)
    if (result is not None and code != 1) or (result is not None and result.status == "failed"):
        output.result(result)
        sys.stdout.flush()
        last_words(result, told_notes=progress.told_notes, told_all=output.complete, interrupted=False)
    return code


async def _end(journal: Journal, run_id: str, result: Result[Any] | None) -> int:
    """Return the exit code of the run; say what can be done where it has no end."""
    from weaver._cli.display.output import exit_code

    head = await journal.head(run_id)
    status = "removed" if head is None else status_of(head)
    if status in ("interrupted", "cancelled"):
        click.echo(f"The run is {status}. To go on: weaver resume {run_id}", err=True)
        return 1
    if result is not None:
        return exit_code(result)
    return {"complete": 0, "partial": 3}.get(status, 1)


def _is_over(head: Any) -> bool:
    status = status_of(head)
    takes_over = status == "interrupted" and KEY in head.about  # another worker
    return status not in ("queued", "running") and not takes_over
