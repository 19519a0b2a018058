"""The order in which a resumed run gets what is recorded: that in which it was recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from heapq import heappop, heappush
from itertools import count

import anyio


class ReplayOrder:
    """Lets recorded steps return one after the other, as they had ended.

    A step that comes too early waits for those before it. Some of these never come, such as the calls of a
    thread that is cancelled before it gets there: when nothing moves any more, `release` lets another one go.

    Args:
        numbers: of the recorded ends, see `weaver._journal.port.Entry.seq`.
    """

    def __init__(self, numbers: Iterable[int]) -> None:
        self._expected = sorted(numbers)
        self._next = 0
        self._passed: set[int] = set()
        self._waiting: list[tuple[int, int, anyio.Event]] = []
        self._ticket = count()
        self._waking = 0  # those that may go and have not yet: nobody overtakes them
        self._is_over = False

    @property
    def is_waited_for(self) -> bool:
        """True while a step waits for its turn."""
        return any(not event.is_set() for _, _, event in self._waiting)

    async def arrive(self, number: int) -> None:
        """Wait until it is this step's turn."""
        if self._is_over or number in self._passed:
            return
        if not self._waking and self._next < len(self._expected) and self._expected[self._next] == number:
            self._pass(number)
            return
        event = anyio.Event()
        heappush(self._waiting, (number, next(self._ticket), event))
        # Not now: who is let go before it waits goes after those who wait already.
        asyncio.get_running_loop().call_soon(self._go_on)
        try:
            await event.wait()
        finally:
            if event.is_set():
                self._waking -= 1
            self._pass(number)  # also where it was cancelled: nobody waits for it then

    async def arrive_last(self) -> None:
        """Wait until all that was recorded has come: this end is new, and comes after those."""
        if self._next < len(self._expected):
            await self.arrive(self._expected[-1] + 1 + next(self._ticket))

    def skip(self, number: int) -> None:
        """Expect a step no longer."""
        self._pass(number)

    def release(self) -> bool:
        """Let the first step go that waits, without those before it; False where none waits."""
        while self._waiting:
            number, _, event = heappop(self._waiting)
            if not event.is_set() and number not in self._passed:
                while self._next < len(self._expected) and self._expected[self._next] < number:
                    self._next += 1
                self._wake(number, event)
                self._go_on()
                return True
        return False

    def end(self) -> None:
        """Let all go: the replay is over."""
        self._is_over = True
        for number, _, event in sorted(self._waiting, key=lambda waiting: waiting[:2]):
            self._wake(number, event)
        self._waiting.clear()

    def _pass(self, number: int) -> None:
        if number not in self._passed:
            self._passed.add(number)
            self._go_on()

    def _go_on(self) -> None:
        """Let those go whose turn has come."""
        while self._waiting and self._waiting[0][0] in self._passed:  # it was cancelled
            heappop(self._waiting)
        while self._next < len(self._expected):
            number = self._expected[self._next]
            if number not in self._passed:
                if not self._waiting or self._waiting[0][0] != number:
                    return
                _, _, event = heappop(self._waiting)
                self._wake(number, event)
            self._next += 1
        while self._waiting:
            number, _, event = heappop(self._waiting)
            self._wake(number, event)

    def _wake(self, number: int, event: anyio.Event) -> None:
        self._passed.add(number)
        self._waking += 1
        event.set()
