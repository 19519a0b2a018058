"""Running a task on the command line: progress while it works, its result at the end, signals in between."""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import anyio
import click

from weaver._cli.display.output import Form, Output, exit_code, last_words
from weaver._cli.display.progress import Lines, Progress, Silent
from weaver._cli.support.interrupt import interrupts

if TYPE_CHECKING:
    from weaver._data.result import Result
    from weaver._facade.weaver import Weaver
    from weaver._sessions.protocol import Session

_TICK_SECONDS = 0.1


async def answer(
    weaver: Weaver,
    task: Any,
    output: Output,
    progress: Progress,
    *,
    quiet: bool = False,
    session: Session | None = None,
    run_id: str | None = None,
    verify: Any = None,
) -> int:
    """Run ``task`` and show it; a signal cancels it in good order.

    Args:
        session: the conversation that it goes on with.
        run_id: the id of the run; that of a recorded one goes on with it.
        verify: a check of the answer.

    Returns:
        The exit code.

    Raises:
        WeaverError: the run could not be started.
    """
    options: dict[str, Any] = {} if session is None else {"session": session}
    if run_id is not None:
        options["run_id"] = run_id
    if verify is not None:
        options["verify"] = verify
    stream: Any = None
    result: Result[Any] | None = None

    def stop() -> None:
        if stream is None:
            scope.cancel()
        else:
            stream.cancel("user")

    with anyio.CancelScope() as scope, interrupts(stop) as interrupt:
        async with AsyncExitStack() as stack:
            stream = await stack.enter_async_context(weaver.stream(task, **options))
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
        from weaver._cli.display.live import LiveView, terminal

        if (console := terminal()) is not None:
            return LiveView(console)
    return Lines()
