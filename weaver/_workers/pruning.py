"""Forgetting old runs of a journal that workers share."""

from __future__ import annotations

import logging

import anyio

from weaver._journal.port import Journal
from weaver._journal.retention import MOST_AT_ONCE, Retention
from weaver.errors import JournalError

EVERY_SECONDS = 600.0
_log = logging.getLogger("weaver.worker")


async def prune_regularly(journal: Journal, keep: Retention) -> None:
    """Forget runs that are not to be kept, now and every ten minutes, until cancelled."""
    while True:
        try:
            while (count := await journal.prune(keep)) > 0:
                _log.info("Forgot %s old runs.", count)
                if count < MOST_AT_ONCE:
                    break
        except JournalError as error:
            _log.warning("%s", error)
        await anyio.sleep(EVERY_SECONDS)
