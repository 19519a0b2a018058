"""The gate before an endpoint: calls pass it as the endpoint's limits allow, fairly between runs."""

from __future__ import annotations

import asyncio
import math
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from contextvars import Context
from dataclasses import dataclass
from functools import partial

from weaver._models.layers.capacity import LONGEST_PING, Adaptive, Fixed
from weaver._models.layers.rates import Allowance, Bucket, Unit, Window

_PAUSE = 0.25  # seconds, where a server that refuses everything does not say how long; doubled each time
_LONGEST_PAUSE = 4.0

Ping = Callable[[], Awaitable[None]]
"""Asks an endpoint for anything, and returns or raises when it has answered or cannot be asked."""


@dataclass(slots=True, eq=False)
class Pass:
    """One call's place behind the gate.

    Attributes:
        at: when it was let in (its event loop's clock).
        round, in_flight: of the limit at that time.
        number, sum: requests and tokens that were let in until then, this call included.
    """

    run: str
    tokens: float
    loop: asyncio.AbstractEventLoop
    ping: Ping | None = None
    woken: asyncio.Future[None] | None = None
    let_in: bool = False
    at: float = 0.0
    round: int = 0
    in_flight: int = 0
    number: int = 0
    sum: float = 0.0
    request_entry: list[float] | None = None
    token_entry: list[float] | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """This process's share of limits that several processes keep together; None: no such limit."""

    calls: int | None = None
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None


class Gate:
    """Limits of one endpoint: calls at once, requests and tokens per minute.

    Runs take turns: whoever asks for a thousand calls does not keep another run's one call waiting.
    Within a run it is first come, first served. All event loops of the process share a gate; it is safe
    to use from several threads.

    Args:
        concurrency: calls at once.
        requests_per_minute, tokens_per_minute: None: learned from what the server says and refuses.
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
        self.waiting = 0
        """Calls that wait now."""
        self._calls = math.inf
        self._requests = Window(requests_per_minute)
        self._tokens = Window(tokens_per_minute)
        self._buckets: dict[Unit, Bucket] = {}
        self._number = 0
        self._sum = 0.0
        self._closed_until = 0.0
        self._closed_at = 0.0
        self._pause = _PAUSE
        self._waiting: OrderedDict[str, OrderedDict[Pass, None]] = OrderedDict()  # by run, next run first
        self._timer: tuple[asyncio.AbstractEventLoop, float] | None = None  # which loop looks again when
        self._pinging: set[asyncio.Task[None]] = set()
        self._lock = threading.Lock()

    async def enter(self, run: str, tokens: float, ping: Ping | None = None) -> Pass:
        """Wait for a place. Cancelling gives it up.

        Args:
            run: id of the run that asks.
            tokens: what the call will probably cost, for the limit on tokens.
            ping: of the endpoint, while the call waits.
        """
        loop = asyncio.get_running_loop()
        asking = Pass(run, tokens, loop, ping)
        now = loop.time()
        with self._lock:
            if not self._waiting and self._wait(now, tokens) == 0.0:
                self._let_in(asking, now)
                return asking
            asking.woken = loop.create_future()
            self._waiting.setdefault(run, OrderedDict())[asking] = None
            self.waiting += 1
            self._admit(loop)
        try:
            await asking.woken
        except BaseException:
            with self._lock:
                if asking.let_in:
                    self._give_back(asking)
                else:
                    self._forget(asking)
                self._admit(loop)
            raise
        return asking

    def limit_to(self, share: Share) -> None:
        """Keep within a share besides the own limits, from now on. Called in an event loop."""
        with self._lock:
            self._calls = math.inf if share.calls is None else float(max(1, share.calls))
            if share.requests_per_minute is not None:
                self._requests.limit_to(share.requests_per_minute)
            if share.tokens_per_minute is not None:
                self._tokens.limit_to(share.tokens_per_minute)
            self._admit(asyncio.get_running_loop())

    def announce(self, passed: Pass, allowances: Iterable[Allowance]) -> None:
        """The server has begun to answer, and said what it allows."""
        with self._lock:
            self._announce(passed, allowances, passed.loop.time())

    def leave(
        self,
        passed: Pass,
        *,
        tokens: int | None = None,
        whole: bool = False,
    ) -> None:
        """Give the place back.

        Args:
            tokens: what the call really cost, where known.
            whole: it came to its end.
        """
        now = passed.loop.time()
        with self._lock:
            if whole:
                self.concurrency.succeeded(passed.round, passed.in_flight, self.in_flight)
                if passed.at > self._closed_at:
                    self._pause = _PAUSE
            self.in_flight -= 1
            if tokens is not None and passed.token_entry is not None:
                self._tokens.correct(passed.token_entry, tokens, now)
            self._admit(passed.loop)

    def refuse(
        self,
        passed: Pass,
        *,
        exceeded: Unit | None = None,
        retry_after: float | None = None,
        allowances: Iterable[Allowance] = (),
    ) -> None:
        """Give the place of a call back that the endpoint refused as too much.

        Args:
            exceeded: what there was too much of within some time; None: calls at once.
            retry_after: seconds that the server asks to wait.
            allowances: what the server said about its limits.
        """
        now = passed.loop.time()
        with self._lock:
            in_flight = self.in_flight
            self._give_back(passed)
            self._announce(passed, allowances, now)
            if exceeded is None:
                self.concurrency.refused(passed.round, passed.in_flight, in_flight, now - passed.at)
                if self.in_flight == 0:  # nothing else is being answered: it is not about calls at once
                    self._close(passed, now, retry_after)
            else:
                (self._tokens if exceeded == "tokens" else self._requests).refused(now)
                self._close(passed, now, retry_after)
            self._admit(passed.loop)

    def _close(self, passed: Pass, now: float, seconds: float | None) -> None:
        """Let nobody in for ``seconds``; where the server does not say, for longer each time."""
        if seconds is None:
            seconds = self._pause
            if passed.at >= self._closed_until:
                self._pause = min(_LONGEST_PAUSE, 2 * self._pause)
        self._closed_at = now
        self._closed_until = max(self._closed_until, now + seconds)

    def _give_back(self, passed: Pass) -> None:
        """The call was not answered: it has used nothing."""
        self.in_flight -= 1
        now = passed.loop.time()
        if passed.request_entry is not None:
            self._requests.correct(passed.request_entry, 0.0, now)
        if passed.token_entry is not None:
            self._tokens.correct(passed.token_entry, 0.0, now)

    def _announce(self, passed: Pass, allowances: Iterable[Allowance], now: float) -> None:
        for allowance in allowances:
            bucket = self._buckets.setdefault(allowance.unit, Bucket())
            tokens = allowance.unit == "tokens"
            since = self._sum - passed.sum if tokens else float(self._number - passed.number)
            bucket.announce(allowance, now, since)

    def _wait(self, now: float, tokens: float) -> float:
        """Seconds until a call may pass: 0 now, infinity when a call must end first."""
        if self.in_flight + 1 > self._calls:
            return math.inf
        if self.in_flight and self.in_flight + 1 > self.concurrency.limit:
            grows = self.concurrency.hold(now)
            if grows > 0.0:
                return grows
        wait = max(self._closed_until - now, self._requests.wait(now, 1.0), self._tokens.wait(now, tokens))
        for unit, bucket in self._buckets.items():
            wait = max(wait, bucket.wait(now, tokens if unit == "tokens" else 1.0))
        return max(0.0, wait)

    def _let_in(self, passed: Pass, now: float) -> None:
        self.in_flight += 1
        self._number += 1
        self._sum += passed.tokens
        passed.let_in = True
        passed.at = now
        passed.round = self.concurrency.round
        passed.in_flight = self.in_flight
        passed.number, passed.sum = self._number, self._sum
        passed.request_entry = self._requests.spend(now, 1.0)
        if passed.tokens:
            passed.token_entry = self._tokens.spend(now, passed.tokens)
        for unit, bucket in self._buckets.items():
            bucket.spend(now, passed.tokens if unit == "tokens" else 1.0)

    def _admit(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let in whom the limits allow, run by run. Called with the lock held, from ``loop``'s thread."""
        now = loop.time() if self._waiting else 0.0
        while self._waiting:
            run, line = next(iter(self._waiting.items()))
            passed = next(iter(line))
            wait = self._wait(now, passed.tokens)
            if wait > 0.0:
                if math.isfinite(wait):
                    self._look_again(passed.loop, loop, now + wait)
                if (number := self.concurrency.ping()) is not None:
                    self._send_ping(passed, loop, number)
                return
            self._forget(passed)
            if run in self._waiting:
                self._waiting.move_to_end(run)
            self._let_in(passed, now)
            assert passed.woken is not None
            if passed.loop is loop:
                _wake(passed.woken)
            else:
                passed.loop.call_soon_threadsafe(_wake, passed.woken)
        self.concurrency.calm()

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

    def _send_ping(self, waiting: Pass, loop: asyncio.AbstractEventLoop, number: int) -> None:
        if waiting.loop is loop:
            self._ping(waiting, number)
        else:
            waiting.loop.call_soon_threadsafe(self._ping, waiting, number)

    def _ping(self, waiting: Pass, number: int) -> None:
        # Not in the context of a call: the ping is no part of it.
        pinging = waiting.loop.create_task(_answer(waiting.ping), name="weaver-ping", context=Context())
        self._pinging.add(pinging)
        pinging.add_done_callback(partial(self._answered, waiting.loop, number))

    def _answered(self, loop: asyncio.AbstractEventLoop, number: int, pinging: asyncio.Task[None]) -> None:
        """Look again. Also after a cancelled ping: the next one may be of another loop."""
        self._pinging.discard(pinging)
        with self._lock:
            self.concurrency.answered(number, loop.time())
            self._admit(loop)

    def _on_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            self._timer = None
            self._admit(loop)

    def _forget(self, passed: Pass) -> None:
        line = self._waiting[passed.run]
        del line[passed]
        self.waiting -= 1
        if not line:
            del self._waiting[passed.run]


async def _answer(ping: Ping | None) -> None:
    """Wait for the answer to a ping."""
    try:
        async with asyncio.timeout(LONGEST_PING):
            if ping is not None:
                await ping()
    except Exception:  # noqa: BLE001 - whatever it is: the call itself will meet it, where it is reported
        pass


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)
