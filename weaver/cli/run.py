"""``weaver run``."""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import click

from weaver.cli.facade import weaver_from
from weaver.cli.flags import settings_flags, settings_from
from weaver.cli.guard import debug_option, leaf
from weaver.cli.interrupt import interrupts, run_async
from weaver.cli.output import FORMS, Form, Output, exit_code, last_words, refused
from weaver.cli.progress import Lines, Progress, Silent
from weaver.cli.question import question_from
from weaver.cli.telemetry import telemetry
from weaver.cli.workflow import is_workflow, run_workflow

if TYPE_CHECKING:
    from weaver.api import Weaver
    from weaver.result import Result

_TICK_SECONDS = 0.1


@click.command()
@click.argument("question", metavar="QUESTION|FILE.yaml")
@click.option("-i", "--input", "inputs", multiple=True, metavar="KEY=VALUE", help="Input of a workflow file.")
@click.option("--root", metavar="FOLDER", help="Workflows: the folder that `uses` may not leave.")
@click.option(
    "--dry-run", is_flag=True, help="Workflows: ask no model and call no function; show what would run."
)
@settings_flags
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object (docs/cli.md) instead of the answer."
)
@click.option(
    "--events", "as_events", is_flag=True, help="Print every event as a line of JSON, as it happens."
)
@click.option("--live", "live_page", is_flag=True, help="Serve a page on this machine that follows the run.")
@click.option("--no-live", is_flag=True, help="No moving picture: progress as plain lines.")
@click.option("-q", "--quiet", is_flag=True, help="No progress and no summary, only errors.")
@click.option("-y", "--yes", is_flag=True, help="Agree to download the embedded model without being asked.")
@debug_option
def run(
    question: str,
    inputs: tuple[str, ...],
    root: str | None,
    dry_run: bool,
    as_json: bool,
    as_events: bool,
    live_page: bool,
    no_live: bool,
    quiet: bool,
    yes: bool,
    **options: Any,
) -> int:
    """Answer QUESTION with as many reasoning threads as it deserves.

    QUESTION is text, - to read it from stdin, @FILE to read it from a file, or a workflow (.yaml).

    Exit code: 0 complete, 3 partial, 1 failed, 2 wrong usage or configuration, 130 interrupted.
    """
    if as_json and as_events:
        raise click.UsageError("--json and --events exclude each other.")
    form: Form = "json" if as_json else "events" if as_events else "text"
    output = FORMS[form]()
    try:
        if is_workflow(question):
            flags = {"json": as_json, "events": as_events, "no_live": no_live, "quiet": quiet, "yes": yes}
            workflow_flags = {"dry_run": dry_run, "root": root}
            with telemetry(live=live_page, question=question):
                return run_workflow(Path(question), inputs, options | flags | workflow_flags)
        if inputs or dry_run or root:
            raise click.UsageError(
                "-i is for workflows, and so are --dry-run and --root: give a .yaml file, not a question."
            )
        asked = question_from(question)
        settings = settings_from(options)
        with telemetry(live=live_page, question=asked):
            weaver = weaver_from(settings, yes=yes)
            progress = progress_for(form, no_live=no_live, quiet=quiet)
            return run_async(lambda: answer(weaver, asked, output, progress, quiet=quiet))
    except Exception as error:
        # The machine that reads stdout gets its object also when nothing could be started.
        inner = leaf(error)
        if form != "text" and not isinstance(inner, (BrokenPipeError, click.UsageError)):
            output.result(refused(inner, strategy=str(options.get("strategy") or "")))
        raise


async def answer(
    weaver: Weaver, task: Any, output: Output, progress: Progress, *, quiet: bool = False
) -> int:
    """Run ``task`` and show it; a signal cancels it in good order.

    Returns:
        The exit code.

    Raises:
        WeaverError: the run could not be started.
    """
    stream: Any = None
    result: Result[Any] | None = None

    def stop() -> None:
        if stream is None:
            scope.cancel()
        else:
            stream.cancel("user")

    with anyio.CancelScope() as scope, interrupts(stop) as interrupt:
        async with AsyncExitStack() as stack:
            stream = await stack.enter_async_context(weaver.stream(task))
            ticker = await stack.enter_async_context(anyio.create_task_group())
            stack.enter_context(progress)
            ticker.start_soon(_tick, progress)
            async for event in stream:
                progress.show(event)
                output.event(event)
            result = stream.result
            ticker.cancel_scope.cancel()
    if result is None:
        click.echo("Interrupted.", err=True)
        return interrupt.code or 130
    output.result(result)
    if not quiet or result.status != "complete":
        sys.stdout.flush()
        last_words(
            result,
            told_notes=progress.told_notes,
            told_all=output.complete,
            interrupted=interrupt.code is not None,
        )
    return interrupt.code or exit_code(result)


async def _tick(progress: Progress) -> None:
    while True:
        progress.tick()
        await anyio.sleep(_TICK_SECONDS)


def progress_for(form: Form, *, no_live: bool, quiet: bool) -> Progress:
    """The progress view that fits the form of stdout and what stderr is."""
    if quiet or form == "events":
        return Silent()
    if not no_live and sys.stderr.isatty():
        from weaver.cli.live import LiveView, terminal

        if (console := terminal()) is not None:
            return LiveView(console)
    return Lines()
