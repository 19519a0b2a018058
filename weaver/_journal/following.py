"""Reading a run's events while another process writes them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from weaver._journal.port import Journal, RunHead

MOST_AT_ONCE = 1_000
"""Events that are read together."""


async def follow(
    journal: Journal, run_id: str, *, after: int = 0, is_over: Callable[[RunHead], bool]
) -> AsyncIterator[tuple[int, Mapping[str, Any]]]:
    """Yield a run's events after a number, each with its number, until nobody works on the run any more.

    Nothing is left out and nothing comes twice: whoever is cut off goes on with the last number it has got.

    Args:
        is_over: whether nobody works on a run with this head.
    """
    while True:
        # The head first: what a run that is over has told is all there by now.
        head = await journal.head(run_id)
        over = head is None or is_over(head)
        events = await journal.events(run_id, after=after, limit=MOST_AT_ONCE)
        for number, event in events:
            after = number
            yield number, event
        if len(events) == MOST_AT_ONCE:
            continue
        if over:
            return
        await journal.changed(run_id, follow=True)
