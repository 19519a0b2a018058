"""The event loop's clock, read directly.

`anyio.current_time` first finds out which library runs the loop, which takes longer than the reading.
"""

from __future__ import annotations

from asyncio import get_running_loop


def current_time() -> float:
    """Return the time of the running event loop, in seconds since its own moment."""
    return get_running_loop().time()
