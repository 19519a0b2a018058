"""What runs write to ``logging.getLogger("weaver")``.

Each record has ``run_id`` and ``thread_id`` (None for the run itself) as attributes. Secrets are taken out.
"""

from __future__ import annotations

import logging
from functools import cache

from weaver._tracing.record.redact import Redactor

logger = logging.getLogger("weaver")
logger.addHandler(logging.NullHandler())

MAX_CHARS = 2000
"""Most characters of a message: it may quote a server or a model."""


def write(level: int, run_id: str, text: str, *, thread: str | None = None) -> None:
    """Write one line, if anybody listens.

    Args:
        level: of `logging`.
        thread: the reasoning thread's id.
    """
    if not logger.isEnabledFor(level):
        return
    place = f"run {run_id}" if thread is None else f"run {run_id}, thread {thread}"
    line = " ".join(_redactor()(text[:MAX_CHARS]).split())
    logger.log(level, "%s: %s", place, line, extra={"run_id": run_id, "thread_id": thread})


@cache
def _redactor() -> Redactor:
    return Redactor()
