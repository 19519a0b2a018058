"""How many calls an endpoint should get at once: additive increase, multiplicative decrease.

After Chiu and Jain, "Analysis of the increase and decrease algorithms for congestion avoidance in
computer networks" (1989), with TCP's slow start.
"""

from __future__ import annotations

DEFAULT_START = 64
_SHRINK = 0.7
_MANY = 4096.0
# Doubling the streams must gain at least a tenth more tokens per second, or it was not worth it.
_WORTH = 1.1
_MEMORY = 0.3
_SAMPLES = 4


class Adaptive:
    """A limit that follows what the endpoint takes. Plain arithmetic; no clock and no waiting in here.

    The limit grows by one with each success until the first sign of trouble, then by about one per round
    of successes. It shrinks by 30 % when the endpoint refuses or falls silent, and by 10 % when more streams
    at once gain less than a tenth in tokens per second over half as many; once per round, because all calls
    in flight see the same trouble. It grows, and shrinks for slowness, only while it is really used.

    Args:
        start: calls at once to begin with.
        slots: what the server announces: never more than this, and never fewer because streams are slow;
            strategies count on threads that the server says it takes at once.
    """

    def __init__(self, start: int = DEFAULT_START, *, slots: int | None = None) -> None:
        self._slots = slots
        self._most = _MANY if slots is None else float(slots)
        self.limit = float(start if slots is None else slots)
        self._slow_start = True
        self._round = 0  # grows with each decrease
        # Bytes per second of one stream, by the order of magnitude (base 2) of streams at once.
        self._rates: dict[int, float] = {}
        self._counts: dict[int, int] = {}

    @property
    def round(self) -> int:
        """Hand this back with what became of a call that begins now."""
        return self._round

    def succeeded(self, in_flight: int) -> None:
        """A call went well while ``in_flight`` calls, itself included, were open."""
        if self._binds(in_flight):
            self.limit = min(self._most, self.limit + (1.0 if self._slow_start else 1.0 / self.limit))

    def refused(self, began_in: int, in_flight: int) -> None:
        """The endpoint refused a call as too much, or fell silent."""
        self._decrease(began_in, in_flight, _SHRINK)

    def streamed(self, began_in: int, in_flight: int, rate: float) -> None:
        """A stream ended that gave ``rate`` bytes per second while about ``in_flight`` were open."""
        if self._slots is not None:
            return
        size = max(1, in_flight).bit_length()
        known = self._rates.get(size)
        self._rates[size] = rate if known is None else known + _MEMORY * (rate - known)
        count = self._counts[size] = self._counts.get(size, 0) + 1
        if count < _SAMPLES or self._counts.get(size - 1, 0) < _SAMPLES:
            return
        if 2 * self._rates[size] < _WORTH * self._rates[size - 1] and self._binds(in_flight):
            self._counts[size] = 0  # judged anew after some more samples
            self._decrease(began_in, in_flight, 0.9)

    def _binds(self, in_flight: int) -> bool:
        """Whether it is the limit that keeps the calls in flight so few."""
        return in_flight >= self.limit * 0.8

    def _decrease(self, began_in: int, in_flight: int, factor: float) -> None:
        self._slow_start = False
        if began_in != self._round:
            return  # it began before the last decrease, which was for calls like this one
        self._round += 1
        self.limit = max(1.0, min(self.limit, float(in_flight)) * factor)


class Fixed:
    """A limit that stays as it is."""

    round = 0

    def __init__(self, limit: float) -> None:
        self.limit = limit

    def succeeded(self, in_flight: int) -> None:
        """Nothing changes."""

    def refused(self, began_in: int, in_flight: int) -> None:
        """Nothing changes."""

    def streamed(self, began_in: int, in_flight: int, rate: float) -> None:
        """Nothing changes."""
