"""The process of ``weaver worker``."""

from __future__ import annotations

import logging

import anyio
import click

from weaver._cli.support.interrupt import interrupts, run_async
from weaver._settings.settings import Settings
from weaver._workers.pruning import prune_regularly
from weaver._workers.running import Runs
from weaver._workers.worker import Worker
from weaver_postgres.commands.connected import journal_from
from weaver_postgres.dispatcher import PostgresDispatcher


def serve(url: str | None, *, concurrency: int, queues: tuple[str, ...], drain: float, lease: float) -> int:
    """Work until a signal: the first one drains, the second one ends the process. Returns the exit code.

    Raises:
        ConfigurationError: no database is named.
        JournalError: it cannot be reached.
    """
    _log_to_stderr()
    keep = Settings.load().retention

    async def work() -> int:
        journal = journal_from(url)
        dispatcher = PostgresDispatcher(journal.database, lease_seconds=lease)
        runs = Runs(journal)

        async def beside(worker: str) -> None:
            await dispatcher.shared.apply(worker)
            await dispatcher.schedules.submit_due()

        try:
            worker = Worker(
                dispatcher, journal, runs, concurrency=concurrency, queues=queues,
                beside=beside,
            )  # fmt: skip
            with interrupts(worker.drain):
                click.echo(f"{worker.name}: up to {concurrency} runs of {journal.database.name}", err=True)
                async with anyio.create_task_group() as group:
                    group.start_soon(prune_regularly, journal, keep)
                    await worker.serve(drain_seconds=drain)
                    group.cancel_scope.cancel()
            return 0
        finally:
            with anyio.CancelScope(shield=True):
                await runs.aclose()
                await journal.aclose()

    return run_async(work)


def _log_to_stderr() -> None:
    """Show warnings, and what the worker says about its runs, unless the program has set up logging."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    logging.getLogger("weaver.worker").setLevel(logging.INFO)
