"""Common parts of the commands about durable runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from weaver.errors import ConfigurationError, UnknownNameError

if TYPE_CHECKING:
    from weaver._journal.port import Journal, RunHead

T = TypeVar("T")
MOST_NAMES = 200
"""Runs among which the beginning of an id is looked for."""
MOST_SHOWN = 5
"""Ids that a message shows."""
STATUSES = ("queued", "running", "complete", "partial", "failed", "interrupted", "cancelled")


def with_journal(work: Callable[[Journal], Awaitable[T]]) -> T:
    """Do something with the journal that the settings name, by default that of this machine, and close it."""
    import anyio

    from weaver._journal import journal_of
    from weaver._settings.settings import Settings

    url = Settings.load().journal

    async def opened() -> T:
        journal = journal_of(None if url is None else url.get_secret_value())
        try:
            return await work(journal)
        finally:
            await journal.aclose()

    return anyio.run(opened)


async def find_run(journal: Journal, name: str) -> RunHead:
    """A run by its id, the unique beginning of it, or ``last``.

    Raises:
        ConfigurationError: there is none, or several.
    """
    if (head := await journal.head(name)) is not None:
        return head
    heads = await journal.heads(limit=MOST_NAMES)
    if not heads:
        raise ConfigurationError("There is no durable run yet.", hint="To begin one: weaver run --durable")
    fitting = heads[:1] if name == "last" else [h for h in heads if name and h.run_id.startswith(name)]
    if len(fitting) > 1:
        ids = ", ".join(sorted(h.run_id for h in fitting)[:MOST_SHOWN])
        raise ConfigurationError(f"{len(fitting)} durable runs begin with {name!r}.", hint=f"Such as {ids}.")
    if not fitting:
        known = [head.run_id for head in heads[:MOST_SHOWN]]
        raise UnknownNameError("durable run", name, known, hint="weaver runs list shows them.")
    return fitting[0]


def status_of(head: RunHead) -> str:
    """The status, where only a run whose process lives is ``running``."""
    from weaver._environment.processes import lives

    alive = lives(head.owner) if head.alive is None else head.alive
    return "interrupted" if head.status == "running" and not alive else head.status
