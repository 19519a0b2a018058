"""Learn how many calls at once an endpoint takes.

Slow start and stepping back are TCP's (Jacobson, "Congestion avoidance and control", 1988; Chiu and Jain,
"Analysis of the increase and decrease algorithms for congestion avoidance in computer networks", 1989). Two
things differ. An endpoint refuses at once what is too much, so the limit opens by time and not by answers;
where the endpoint can be pinged, no sooner than a ping is answered that was sent after the calls. The calls
that were not refused show how many the endpoint takes, so the limit goes back to their number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

MAX_CALLS = 16_384
"""Calls at once that are never exceeded, unless the user says otherwise."""
_GROWTH = 0.2  # of the limit; also about the share of calls that are refused when the limit is met
_CALM = 0.2  # of the pace: a timer that is later shows that earlier calls are still being sent
_LATE_TIMERS = 20
_BEYOND_REFUSAL = 1.5  # how long to wait for a refusal, by how long the last one took
_LONGEST_PACE = 1.0
LONGEST_PING = 2.0
"""Seconds after which nobody waits for the answer to a ping any more."""
# A ping that takes longer than this has waited in a queue, of the endpoint or of the own loop: more calls
# would only wait there, too. A multiple of the quickest, and seconds.
_SLOW, _SLOW_BY = 4.0, 0.25
_BEYOND_PING = 0.05  # how much longer a refusal may take, as a share
_FORGET = 1.1  # by what the quickest ping counts as longer after each slow one
_PRICE = 100  # successful calls for which one may be refused
_LEAST_DEBT, _DEBT = (
    3.0,
    0.1,
)  # the most refusals to be made good for, as a number and as a share of the limit
_CAREFUL = 0.01  # growth, as a share of the limit, near the level at which calls were refused
_NEAR = 1.25
_SHRINK = 0.7
# Doubling the streams must gain at least a tenth more tokens per second, or it was not worth it.
_WORTH = 1.1
_MEMORY = 0.3
_SAMPLES = 4


@dataclass(frozen=True, slots=True)
class Opening:
    """How to begin with an endpoint about which nothing is known.

    Args:
        start: calls at once.
        pace: least seconds between two growths of the limit while nothing is refused. Where the endpoint
            cannot be pinged, longer than it takes a server to refuse.
        growth: as a share of the limit, where the endpoint is pinged.
    """

    start: int
    pace: float
    growth: float = _GROWTH


LOCAL = Opening(32, 0.008)
HOSTED = Opening(100, 0.05, 0.3)  # its pings take long, so fewer and larger steps


class Adaptive:
    """A limit that follows what the endpoint takes. Plain arithmetic; it neither waits nor reads a clock.

    - *Opening*: until something is refused, the limit grows by a fifth with each pace in which calls wait,
      and not before a ping is answered that was sent after the calls.
    - *Holding*: when calls are refused, it becomes the number of calls in flight that were not. Where the
      next calls are refused too, it shrinks by 30 % each time. It grows back to that level by one a success.
    - *Trying*: 100 successes pay for one refusal. Then one call more is let in. When the endpoint takes it,
      the limit opens again, so that it finds what has become free.

    It also shrinks by 30 % when the endpoint falls silent, and by 10 % when more streams at once gain less
    than a tenth in tokens per second over half as many. It grows, and shrinks for slowness, only while it is
    used.

    Args:
        opening: how to begin.
        slots: what the server announces: never more than this, and never fewer because streams are slow;
            strategies count on threads that the server says it takes at once.
        ceiling: never more than this.
        level: what the endpoint took the last time, or None.
        refused: whether it refused more than that.
        pings: whether the endpoint can be pinged; see `ping`.

    Attributes:
        limit: calls at once, now.
        level: what the endpoint takes as far as is known; infinity while nothing was refused.
    """

    def __init__(
        self,
        opening: Opening = LOCAL,
        *,
        slots: int | None = None,
        ceiling: int = MAX_CALLS,
        level: int | None = None,
        refused: bool = False,
        pings: bool = False,
    ) -> None:
        self._slots = slots
        self._ceiling = float(ceiling if slots is None else min(slots, ceiling))
        start = level or opening.start if slots is None else slots
        self.limit = min(float(start), self._ceiling)
        self.level = self.limit if level is not None and refused else math.inf
        self._pace = opening.pace
        self._growth = opening.growth if pings else _GROWTH
        self._pings = pings
        self._ping = 0  # number of the last one
        self._is_ping_due = False
        self._pinged_at = 0.0
        self._quickest = math.inf
        self._refused_at = 0.0
        self._due: float | None = None
        self._earliest = 0.0  # when the limit may grow
        self._late = 0
        self._round = 0  # grows with each decrease
        self._burst = 0.0  # calls in flight when the first of this round's calls was refused
        self._lost = 0
        self._before = self.level
        self._guesses = False  # this round's limit is a guess and no count
        self._doubtful = False  # nothing that began since the last decrease has succeeded
        self._credit = 1.0
        self._peak = self._told = self.limit
        self._is_news = False
        # Bytes per second of one stream, by the order of magnitude (base 2) of streams at once.
        self._rates: dict[int, float] = {}
        self._counts: dict[int, int] = {}

    @property
    def round(self) -> int:
        """Hand this back with what became of a call that begins now."""
        return self._round

    def hold(self, now: float) -> float:
        """Say that a call is held back at ``now``. Returns the seconds until the limit grows by itself.

        Returns 0 when it has grown just now, infinity when a call must end or a ping be answered first.
        """
        if self._doubtful or self.level < math.inf or self.limit >= self._ceiling:
            return math.inf
        if self._due is None:
            self._wait_from(now)
            self._late = 0
        elif now >= self._due - 1e-6:
            if not self._pings and self._is_late(now):
                self._late += 1
                self._due = now + self._pace
            else:
                self._late = 0
                self._grow()
                self._wait_from(now)
                return 0.0
        assert self._due is not None
        return self._due - now

    def ping(self) -> int | None:
        """Return the number of a ping that is to be sent now, once; see `answered`."""
        if not self._is_ping_due:
            return None
        self._is_ping_due = False
        return self._ping

    def answered(self, ping: int, now: float) -> None:
        """The endpoint has answered a ping, or will not."""
        if ping != self._ping or self._due is None:
            return
        seconds = now - self._pinged_at
        self._quickest = min(self._quickest, seconds)
        if seconds <= _SLOW * self._quickest + _SLOW_BY:
            self._due = max(now + _BEYOND_PING * seconds, self._earliest)
        else:
            self._quickest *= _FORGET
            self._wait_from(now)

    def calm(self) -> None:
        """Say that no call is held back."""
        self._stop_opening()

    def succeeded(self, began_in: int, began_with: int, in_flight: int) -> None:
        """A call went well.

        Args:
            began_in: the round in which it began.
            began_with: calls in flight, itself included, when it began.
            in_flight: the same at its end.
        """
        self._credit = min(1.0, self._credit + 1 / _PRICE)
        if began_in == self._round:
            self._doubtful = False
            if began_with > self._peak:
                self._peak = float(began_with)
                self._is_news = self._is_news or began_with >= 1.5 * self._told
            if began_with > self.level:  # the trial was taken
                self.level = math.inf
        if self.limit < self.level < math.inf:
            self.limit = min(self.level, self.limit + 1.0, self._ceiling)
        elif (
            self.limit == self.level and not self._doubtful and self._credit >= 1.0 and self._binds(in_flight)
        ):
            self.limit = min(self._ceiling, self.level + 1.0)

    def refused(self, began_in: int, began_with: int, in_flight: int, seconds: float = 0.0) -> None:
        """The endpoint refused a call as too much, ``seconds`` after it was let in. See `succeeded`."""
        debt = max(_LEAST_DEBT, _DEBT * self.limit)
        self._credit = max(-debt, self._credit - 1.0)
        self._pace = min(_LONGEST_PACE, max(self._pace, _BEYOND_REFUSAL * seconds))
        self._is_news = True
        if began_in == self._round:
            self._begin_round()
            if began_with > self.level:  # only the trial
                self.limit = self._refused_at = self._burst = self.level
                return
            self._before, self._guesses = self.level, self._doubtful
            self._burst = float(max(began_with, in_flight))
            if self._doubtful:
                self._burst = min(self._burst, self.limit) * _SHRINK
            self._doubtful = True
        self._lost += 1
        accepted = self._burst - self._lost
        self.limit = max(1.0, min(self.limit, accepted))
        if self._guesses:
            return
        # Where nothing was left, the endpoint refuses everything: that says nothing of calls at once.
        self.level = self.limit if accepted >= 1.0 else self._before
        self._refused_at = max(1.0, accepted)

    def silent(self, began_in: int, in_flight: int) -> None:
        """The endpoint did not answer a call at all."""
        self._decrease(began_in, in_flight, _SHRINK)
        self._doubtful = True

    def streamed(self, began_in: int, in_flight: int, rate: float) -> None:
        """A stream ended that gave ``rate`` bytes per second while about ``in_flight`` were open."""
        if self._slots is not None:
            return
        size = max(1, in_flight).bit_length()
        rate_before = self._rates.get(size)
        self._rates[size] = rate if rate_before is None else rate_before + _MEMORY * (rate - rate_before)
        count = self._counts[size] = self._counts.get(size, 0) + 1
        if count < _SAMPLES or self._counts.get(size - 1, 0) < _SAMPLES:
            return
        if 2 * self._rates[size] < _WORTH * self._rates[size - 1] and self._binds(in_flight):
            self._counts[size] = 0  # judged anew after some more samples
            self._decrease(began_in, in_flight, 0.9)

    def news(self) -> dict[str, int | bool] | None:
        """Return what to remember for the next process; None when nothing has changed much."""
        if not self._is_news or self._doubtful:
            return None
        self._is_news = False
        refused = self.level < math.inf
        self._told = self.level if refused else self._peak
        return {"calls": int(self._told), "refused": refused}

    def _is_late(self, now: float) -> bool:
        """Return True if the timer shows that the loop is still sending earlier calls."""
        return self._due is not None and now - self._due > self._pace * _CALM and self._late < _LATE_TIMERS

    def _wait_from(self, now: float) -> None:
        self._due = self._earliest = now + self._pace
        if self._pings:
            self._ping += 1
            self._is_ping_due = True
            self._pinged_at = now
            self._due = math.inf

    def _stop_opening(self) -> None:
        self._due, self._is_ping_due = None, False

    def _grow(self) -> None:
        near = self.limit < _NEAR * self._refused_at
        growth = _CAREFUL if near else self._growth
        self.limit = min(self._ceiling, self.limit + max(1.0, growth * self.limit))

    def _binds(self, in_flight: int) -> bool:
        """Return True if it is the limit that keeps the calls in flight so few."""
        return in_flight >= self.limit * 0.8

    def _begin_round(self) -> None:
        self._round += 1
        self._lost = 0
        self._stop_opening()

    def _decrease(self, began_in: int, in_flight: int, factor: float) -> None:
        if began_in != self._round:
            return  # it began before the last decrease, which was for calls like this one
        self._begin_round()
        self._burst = max(1.0, min(self.limit, float(in_flight)) * factor)
        self.limit = self.level = self._burst


class Fixed:
    """A limit that stays as it is."""

    round = 0

    def __init__(self, limit: float) -> None:
        self.limit = limit

    def hold(self, now: float) -> float:  # noqa: ARG002 - see `Adaptive`
        """It never grows."""
        return math.inf

    def ping(self) -> None:
        """It needs none."""

    def answered(self, ping: int, now: float) -> None:
        """Nothing changes."""

    def calm(self) -> None:
        """Nothing changes."""

    def succeeded(self, began_in: int, began_with: int, in_flight: int) -> None:
        """Nothing changes."""

    def refused(self, began_in: int, began_with: int, in_flight: int, seconds: float = 0.0) -> None:
        """Nothing changes."""

    def silent(self, began_in: int, in_flight: int) -> None:
        """Nothing changes."""

    def streamed(self, began_in: int, in_flight: int, rate: float) -> None:
        """Nothing changes."""

    def news(self) -> None:
        """There is nothing to remember."""
