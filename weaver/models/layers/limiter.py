"""The gate before an endpoint: calls pass it as the endpoint's limits allow, fairly between runs."""

from __future__ import annotations

import asyncio
import math
import threading
from collections import OrderedDict, deque
from dataclasses import dataclass, field

from weaver.models.layers.aimd import Adaptive, Fixed

_WINDOW = 60.0


class Window:
    """At most ``most`` units within any 60 seconds."""

    def __init__(self, most: float) -> None:
        self._most = most
        self._sum = 0.0
        self._spent: deque[list[float]] = deque()  # [when, units], oldest first

    def wait(self, now: float, units: float) -> float:
        """Seconds until ``units`` more fit. More than ``most`` fit when there is nothing else."""
        # The tolerance is for timers that fire a rounding error early.
        while self._spent and self._spent[0][0] <= now - _WINDOW + 1e-6:
            self._sum -= self._spent.popleft()[1]
        room = self._most - units
        if self._sum <= max(0.0, room) + 1e-9:
            return 0.0
        left = self._sum
        for when, spent in self._spent:
            left -= spent
            if left <= max(0.0, room) + 1e-9:
                return when + _WINDOW - now
        return _WINDOW

    def spend(self, now: float, units: float) -> list[float]:
        """Count ``units`` from now on; give the entry to `correct` when more is known."""
        entry = [now, units]
        self._spent.append(entry)
        self._sum += units
        return entry

    def correct(self, entry: list[float], units: float, now: float) -> None:
        """The ``entry`` was really ``units``."""
        if entry[0] > now - _WINDOW:
            self._sum += units - entry[1]
            entry[1] = units


@dataclass(slots=True, eq=False)
class Pass:
    """One call's place behind the gate."""

    run: str
    tokens: float
    loop: asyncio.AbstractEventLoop
    woken: asyncio.Future[None] | None = None
    let_in: bool = False
    round: int = 0
    in_flight: int = 0
    entry: list[float] = field(default_factory=list)


class Gate:
    """Limits of one endpoint: calls at once, requests and tokens per minute.

    Runs take turns: whoever asks for a thousand calls does not keep another run's one call waiting.
    Within a run it is first come, first served. All event loops of the process share a gate; it is safe
    to use from several threads.

    Args:
        concurrency: calls at once.
        requests_per_minute, tokens_per_minute: None: no such limit.
    """

    def __init__(
        self,
        concurrency: Adaptive | Fixed,
        *,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
    ) -> None:
        self.concurrency = concurrency
        self.in_flight = 0
        self._requests = None if requests_per_minute is None else Window(requests_per_minute)
        self._tokens = None if tokens_per_minute is None else Window(tokens_per_minute)
        self._waiting: OrderedDict[str, deque[Pass]] = OrderedDict()  # by run, next run first
        self._timer: tuple[asyncio.AbstractEventLoop, float] | None = None  # which loop looks again when
        self._lock = threading.Lock()

    @property
    def waiting(self) -> int:
        """Calls that wait now."""
        return sum(len(line) for line in self._waiting.values())

    async def enter(self, run: str, tokens: float) -> Pass:
        """Wait for a place. Cancelling gives it up.

        Args:
            run: id of the run that asks.
            tokens: what the call will probably cost, for the limit on tokens.
        """
        loop = asyncio.get_running_loop()
        asking = Pass(run, tokens, loop)
        with self._lock:
            if not self._waiting and self._wait(loop.time(), tokens) == 0.0:
                self._let_in(asking, loop.time())
                return asking
            asking.woken = loop.create_future()
            self._waiting.setdefault(run, deque()).append(asking)
            self._admit(loop)
        try:
            await asking.woken
        except BaseException:
            with self._lock:
                if asking.let_in:
                    self.in_flight -= 1
                else:
                    self._forget(asking)
                self._admit(loop)
            raise
        return asking

    def leave(self, passed: Pass, *, tokens: int | None = None) -> None:
        """Give the place back. ``tokens``: what the call really cost, where known."""
        with self._lock:
            self.in_flight -= 1
            if tokens is not None and self._tokens is not None:
                self._tokens.correct(passed.entry, tokens, passed.loop.time())
            self._admit(passed.loop)

    def _wait(self, now: float, tokens: float) -> float:
        """Seconds until a call may pass: 0 now, infinity when a call must end first."""
        if self.in_flight and self.in_flight + 1 > self.concurrency.limit:
            return math.inf
        requests = 0.0 if self._requests is None else self._requests.wait(now, 1.0)
        return max(requests, 0.0 if self._tokens is None else self._tokens.wait(now, tokens))

    def _let_in(self, passed: Pass, now: float) -> None:
        self.in_flight += 1
        passed.let_in = True
        passed.round = self.concurrency.round
        passed.in_flight = self.in_flight
        if self._requests is not None:
            self._requests.spend(now, 1.0)
        if self._tokens is not None:
            passed.entry = self._tokens.spend(now, passed.tokens)

    def _admit(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let in whom the limits allow, run by run. Called with the lock held, from ``loop``'s thread."""
        now = loop.time()
        while self._waiting:
            run, line = next(iter(self._waiting.items()))
            wait = self._wait(now, line[0].tokens)
            if wait > 0.0:
                if math.isfinite(wait):
                    self._look_again(line[0].loop, loop, now + wait)
                return
            passed = line.popleft()
            if line:
                self._waiting.move_to_end(run)
            else:
                del self._waiting[run]
            self._let_in(passed, now)
            assert passed.woken is not None
            if passed.loop is loop:
                _wake(passed.woken)
            else:
                passed.loop.call_soon_threadsafe(_wake, passed.woken)

    def _look_again(
        self, waiting: asyncio.AbstractEventLoop, loop: asyncio.AbstractEventLoop, at: float
    ) -> None:
        """Have the loop of the call that waits look again: it lives as long as its call does."""
        if self._timer is not None and self._timer[0] is waiting and self._timer[1] <= at + 1e-6:
            return
        self._timer = waiting, at
        if waiting is loop:
            loop.call_at(at, self._on_timer, loop)
        else:
            waiting.call_soon_threadsafe(waiting.call_at, at, self._on_timer, waiting)

    def _on_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            self._timer = None
            self._admit(loop)

    def _forget(self, passed: Pass) -> None:
        line = self._waiting[passed.run]
        line.remove(passed)
        if not line:
            del self._waiting[passed.run]


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)
