"""An event loop whose clock jumps to the next timer when nothing else is left to do."""

from __future__ import annotations

import asyncio
import selectors
from typing import Any


class _JumpingSelector(selectors.DefaultSelector):
    """Instead of sleeping until the next timer, move the clock there.

    Real file descriptors are still polled, so a jump never overtakes I/O that is already waiting.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        if ready := super().select(0):
            return ready
        self.now += timeout
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An asyncio loop on virtual time: ``sleep(3600)`` returns at once and the clock reads 3600 s later.

    Not for tests that wait for real sockets or worker threads: a timer may fire before those had time
    to answer.
    """

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        # Timers are compared with this; without it the loop would see them one tick too late.
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._jumping.now


def virtual_time() -> tuple[str, dict[str, Any]]:
    """The value of an ``anyio_backend`` fixture that runs tests on virtual time.

    Example::

        @pytest.fixture
        def anyio_backend():
            return virtual_time()
    """
    return "asyncio", {"loop_factory": VirtualTimeLoop}
