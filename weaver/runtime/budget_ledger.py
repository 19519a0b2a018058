"""The run's money, tokens and calls: reserve before a call, settle after it.

A reservation covers the worst case of its call (estimated input plus ``max_tokens`` of output), so the sum
of what is spent and reserved never passes a limit; what a call did not use goes back when it settles.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from weaver.budget import Limits
from weaver.errors import BudgetExceeded
from weaver.models.layers.prices import unknown_prices
from weaver.models.protocol import Prices
from weaver.tracing.record import semconv as sc
from weaver.usage import NOTHING, Usage

N = TypeVar("N", int, float)
USEFUL_TOKENS = 16
"""A call that could not even generate this many tokens is refused."""


@dataclass(slots=True)
class Reservation:
    """What one call may use at most. ``max_tokens`` is None when nothing limits the output.

    Attributes:
        outer: the same reservation at the ledger around this one, if there is one.
    """

    tokens: int
    cost_usd: float
    calls: int
    max_tokens: int | None
    outer: Reservation | None = field(default=None, repr=False)


class Ledger:
    """Spent and reserved amounts against `Limits`. Not thread-safe (one event loop).

    Args:
        outer: the ledger of what this is a part of; both must have room, and both count.
        whose: what messages call it: the run, or a part of it.
    """

    def __init__(self, limits: Limits, *, outer: Ledger | None = None, whose: str = "The run") -> None:
        self.limits = limits
        self.outer = outer
        self.whose = whose
        self.spent = NOTHING
        self.reserved_tokens = 0
        self.reserved_cost = 0.0
        self.reserved_calls = 0
        self.threads = 0

    @property
    def tokens_left(self) -> int | None:
        """Tokens neither spent nor reserved."""
        return _least(self._own_tokens, self.outer.tokens_left if self.outer else None)

    @property
    def cost_left(self) -> float | None:
        """Dollars neither spent nor reserved."""
        return _least(self._own_cost, self.outer.cost_left if self.outer else None)

    @property
    def calls_left(self) -> int | None:
        """Calls neither made nor reserved."""
        own = None
        if self.limits.calls is not None:
            own = max(0, self.limits.calls - self.spent.calls - self.reserved_calls)
        return _least(own, self.outer.calls_left if self.outer else None)

    @property
    def threads_left(self) -> int | None:
        """Threads that may still be started."""
        own = None if self.limits.threads is None else max(0, self.limits.threads - self.threads)
        return _least(own, self.outer.threads_left if self.outer else None)

    def _raise(self, *limits: str) -> str:
        """What to do about a limit: a run's is a setting, a part has a budget of its own."""
        if self.outer is None:
            return f"Raise {' or '.join(f'max_{limit}' for limit in limits)}"
        return f"Raise {' or '.join(limits)} in its budget"

    def take_thread(self) -> None:
        """Count one more thread.

        Raises:
            BudgetExceeded: the limit on threads is reached.
        """
        if self.limits.threads is not None and self.threads >= self.limits.threads:
            raise BudgetExceeded(
                f"{self.whose} may start {self.limits.threads} threads and has started them all.",
                limit="threads",
                hint=f"{self._raise('threads')}.",
            )
        if self.outer is not None:
            self.outer.take_thread()
        self.threads += 1

    def reserve(
        self,
        input_tokens: int,
        max_tokens: int | None,
        *,
        prices: Prices | None = None,
        sharers: int = 1,
        model: str = "",
    ) -> Reservation:
        """Set aside the worst case of one call.

        Args:
            input_tokens: estimated prompt tokens.
            max_tokens: the call's cap on generated tokens, or None. It gets no more than its fair share of
                what is left, so that a high cap does not starve those beside it.
            sharers: how many calls share what is left.

        Raises:
            BudgetExceeded: not even a short reply fits.
            ConfigurationError: there is a limit on cost and the model's prices are unknown.
        """
        reservation = self._reserve(input_tokens, max_tokens, prices, sharers, model)
        if self.outer is None:
            return reservation
        try:
            outer = self.outer.reserve(
                input_tokens, reservation.max_tokens, prices=prices, sharers=sharers, model=model
            )
        except BaseException:
            self.release(reservation)
            raise
        if outer.max_tokens != reservation.max_tokens:
            self.release(reservation)
            reservation = self._reserve(input_tokens, outer.max_tokens, prices, 1, model)
        reservation.outer = outer
        return reservation

    def _reserve(
        self, input_tokens: int, max_tokens: int | None, prices: Prices | None, sharers: int, model: str
    ) -> Reservation:
        if self.limits.calls is not None and self.limits.calls <= self.spent.calls + self.reserved_calls:
            raise BudgetExceeded(
                f"{self.whose} may make {self.limits.calls} model calls and has made them all.",
                limit="calls",
                hint=f"{self._raise('calls')}.",
            )
        room = self._room_for_output(input_tokens, prices, model)
        if room is not None:
            if room < USEFUL_TOKENS:
                limit = "tokens" if self.limits.tokens is not None else "cost_usd"
                raise BudgetExceeded(
                    f"{self.whose}'s budget of {getattr(self.limits, limit)} {limit} has no room for "
                    "another call.",
                    limit=limit,
                    hint=f"{self._raise('tokens', 'cost')}, or fork less wide.",
                )
            share = max(USEFUL_TOKENS, room // max(1, sharers))
            max_tokens = share if max_tokens is None else min(max_tokens, share)
        reservation = Reservation(
            tokens=input_tokens + (max_tokens or 0),
            cost_usd=_price(prices, input_tokens, max_tokens or 0),
            calls=1,
            max_tokens=max_tokens,
        )
        self.reserved_tokens += reservation.tokens
        self.reserved_cost += reservation.cost_usd
        self.reserved_calls += 1
        return reservation

    def hold(self, tokens: int) -> Reservation:
        """Set tokens aside for later (for the synthesizer). Give them back with `release`."""
        left = self.tokens_left
        held = 0 if left is None else min(tokens, left)
        self.reserved_tokens += held
        outer = self.outer.hold(held) if self.outer is not None else None
        return Reservation(held, 0.0, 0, None, outer)

    def release(self, reservation: Reservation) -> None:
        """Give back what was set aside. Releasing twice does nothing."""
        self.reserved_tokens -= reservation.tokens
        self.reserved_cost -= reservation.cost_usd
        self.reserved_calls -= reservation.calls
        reservation.tokens = reservation.calls = 0
        reservation.cost_usd = 0.0
        if self.outer is not None and reservation.outer is not None:
            self.outer.release(reservation.outer)

    def settle(self, reservation: Reservation, usage: Usage) -> None:
        """Replace a reservation by what was really used."""
        self.release(reservation)
        self.spend(usage)

    def spend(self, usage: Usage) -> None:
        """Count what was used without a reservation (replayed from the journal)."""
        self.spent += usage
        if self.outer is not None:
            self.outer.spend(usage)

    def about(self, reservation: Reservation) -> dict[str, float]:
        """Attributes of a call's span: what is spent and reserved of which limits; {} without any."""
        found: dict[str, float] = {}
        if self.limits.tokens is not None:
            found[sc.BUDGET_LIMIT] = self.limits.tokens
            found[sc.BUDGET_SPENT] = self.spent.total_tokens
            found[sc.BUDGET_RESERVED] = reservation.tokens
        if self.limits.cost_usd is not None:
            found[sc.BUDGET_COST_LIMIT] = float(self.limits.cost_usd)
            found[sc.BUDGET_COST_SPENT] = self.spent.cost_usd or 0.0
            found[sc.BUDGET_COST_RESERVED] = reservation.cost_usd
        return found

    @property
    def _own_tokens(self) -> int | None:
        if self.limits.tokens is None:
            return None
        return max(0, self.limits.tokens - self.spent.total_tokens - self.reserved_tokens)

    @property
    def _own_cost(self) -> float | None:
        if self.limits.cost_usd is None:
            return None
        return max(0.0, self.limits.cost_usd - (self.spent.cost_usd or 0.0) - self.reserved_cost)

    def _room_for_output(self, input_tokens: int, prices: Prices | None, model: str) -> int | None:
        room: int | None = None
        tokens_left, cost_left = self._own_tokens, self._own_cost
        if tokens_left is not None:
            room = tokens_left - input_tokens
        if cost_left is not None:
            if prices is None:
                raise unknown_prices(model)
            money = cost_left - _price(prices, input_tokens, 0)
            affordable = int(money * 1e6 / prices.output) if prices.output > 0 else None
            if money < 0:
                affordable = 0
            if affordable is not None:
                room = affordable if room is None else min(room, affordable)
        return room


def _least(one: N | None, other: N | None) -> N | None:
    return one if other is None else other if one is None else min(one, other)


def _price(prices: Prices | None, input_tokens: int, output_tokens: int) -> float:
    if prices is None:
        return 0.0
    return prices.cost(Usage(input_tokens=input_tokens, output_tokens=output_tokens))
