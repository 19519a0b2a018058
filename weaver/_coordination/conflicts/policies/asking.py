"""Settling a conflict by somebody else, or not at all."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence

import anyio

from weaver._coordination.conflicts.policies.positions import match
from weaver._coordination.conflicts.statements import Told
from weaver._data.result import Conflict, Resolution
from weaver._runtime.run import Run

Callback = Callable[[Conflict], str | Awaitable[str | None] | None]
"""Gets the conflict; returns the right value, or None to leave it open."""


async def ask(
    run: Run,  # noqa: ARG001 - every policy has this signature
    conflict: Conflict,
    threads: Sequence[Told],
    *,
    callback: Callback,
) -> Resolution | None:
    """Ask a callback (a person at a prompt, a rule, another system) for the value; its word is final.

    A plain function runs in a worker thread, so that one which waits for a person blocks nothing; at the
    deadline it is left alone.

    Args:
        callback: gets the conflict; returns a value, which may be a new one, or None to leave it open.
    """
    if inspect.iscoroutinefunction(callback):
        response = await callback(conflict)
    else:
        response = await anyio.to_thread.run_sync(callback, conflict, abandon_on_cancel=True)
        if inspect.isawaitable(response):
            response = await response
    if response is None or not str(response).strip():
        return None
    matching = match(conflict, threads, str(response))
    return Resolution("ask", matching.value if matching else str(response).strip(), "as answered when asked")


async def keep(
    run: Run,  # noqa: ARG001
    conflict: Conflict,  # noqa: ARG001
    threads: Sequence[Told],  # noqa: ARG001
) -> Resolution | None:
    """Settle nothing, on purpose: both values are reported. In a ladder, nothing after it is tried."""
    return None
