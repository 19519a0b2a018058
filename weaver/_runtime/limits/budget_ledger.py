"""The run's money, tokens and calls: reserve before a call, count while it streams, settle after it.

A reservation is what a call will probably use, so that calls side by side all find room. The limit itself
is kept while answers stream: `Ledger.advance` says when what is spent and what open calls have used reach
it, and the calls are then stopped. A budget is never sent to a server as a cap. So a limit can be passed by
what one delta of each open call holds, by errors of estimated prompt lengths, and by tokens that a server
generates without streaming them (hidden reasoning, answers sent whole).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from weaver._data.budget import Limits
from weaver._data.usage import NOTHING, Usage
from weaver._models.layers.prices import unknown_prices
from weaver._models.protocol import Prices
from weaver._tracing.record import semconv as sc
from weaver.errors import BudgetExceededError

N = TypeVar("N", int, float)
USEFUL_TOKENS = 16
"""A call is refused when it and each open one could not even generate this many tokens."""
PROBABLE_TOKENS = 512
"""Length of an answer that nothing is known about."""
_SETTINGS = {
    "tokens": "max_total_tokens",
    "cost_usd": "max_cost",
    "calls": "max_calls",
    "threads": "max_threads",
}


@dataclass(slots=True, eq=False)
class Reservation:
    """What one call will probably use, and what it has used so far.

    Attributes:
        tokens, cost_usd, calls: set aside; they grow when a call uses more.
        used_tokens, used_cost: of an open call so far: its prompt and what was generated.
        token_price: US dollars of one generated token.
        held: set aside for later, and not for a call.
        outer: the same reservation at the ledger around this one, if there is one.
    """

    tokens: int
    cost_usd: float
    calls: int
    used_tokens: int = 0
    used_cost: float = 0.0
    token_price: float = 0.0
    held: bool = False
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
        self.reserved_tokens = 0
        self.reserved_cost = 0.0
        self.reserved_calls = 0
        self.threads = 0
        self._held_tokens = 0
        self._held_cost = 0.0
        self._held_calls = 0
        self._used_tokens = 0
        self._used_cost = 0.0
        self._spent = NOTHING
        self._unsummed: list[Usage] = []
        # Looked at with every delta of an answer, so they are kept beside the whole sum.
        self._spent_calls = 0
        self._spent_tokens = 0
        self._spent_cost: float | None = 0.0

    @property
    def spent(self) -> Usage:
        """The sum of what was spent."""
        if self._unsummed:
            self._spent = sum(self._unsummed, self._spent)
            self._unsummed.clear()
        return self._spent

    @property
    def limits_answers(self) -> bool:
        """True if a limit on tokens or cost holds here or around it, so that answers are counted."""
        own = self.limits.total_tokens is not None or self.limits.cost_usd is not None
        return own or (self.outer is not None and self.outer.limits_answers)

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
            own = max(0, self.limits.calls - self._spent_calls - self.reserved_calls - self._held_calls)
        return _least(own, self.outer.calls_left if self.outer else None)

    @property
    def threads_left(self) -> int | None:
        """Threads that may still be started."""
        own = None if self.limits.threads is None else max(0, self.limits.threads - self.threads)
        return _least(own, self.outer.threads_left if self.outer else None)

    def _raise(self, limit: str) -> str:
        """Say what to do about a limit: a run's is a setting, a part has its own budget."""
        if self.outer is None:
            return f"Raise {_SETTINGS[limit]}"
        return f"Raise {limit.removesuffix('_usd')} in its budget"

    def take_thread(self) -> None:
        """Count one more thread.

        Raises:
            BudgetExceededError: the limit on threads is reached.
        """
        if self.limits.threads is not None and self.threads >= self.limits.threads:
            raise BudgetExceededError(
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
        probable_tokens: int = PROBABLE_TOKENS,
        *,
        prices: Prices | None = None,
        model: str = "",
    ) -> Reservation:
        """Set aside what one call will probably use.

        Args:
            input_tokens: estimated prompt tokens.
            probable_tokens: tokens that it will probably generate.

        Raises:
            BudgetExceededError: there is no room for even a short reply beside the open calls.
            ConfigurationError: there is a limit on cost and the model's prices are unknown.
        """
        if self.limits.calls is not None and self.limits.calls <= self._spent_calls + self.reserved_calls:
            raise BudgetExceededError(
                f"{self.whose} may make {self.limits.calls} model calls and has made them all.",
                limit="calls",
                hint=f"{self._raise('calls')}.",
            )
        if self.limits.cost_usd is not None and prices is None:
            raise unknown_prices(model)
        token_price = _price(prices, 0, 1)
        self._check_room(input_tokens, _price(prices, input_tokens, 0), token_price)
        outer = None
        if self.outer is not None:
            outer = self.outer.reserve(input_tokens, probable_tokens, prices=prices, model=model)
        tokens = input_tokens + probable_tokens
        if (available := self._own_tokens) is not None:
            tokens = min(tokens, available)
        cost = _price(prices, input_tokens, probable_tokens)
        if (money := self._own_cost) is not None:
            cost = min(cost, money)
        reservation = Reservation(
            tokens=tokens,
            cost_usd=cost,
            calls=1,
            used_tokens=input_tokens,
            used_cost=_price(prices, input_tokens, 0),
            token_price=token_price,
            outer=outer,
        )
        self.reserved_tokens += tokens
        self.reserved_cost += cost
        self.reserved_calls += 1
        self._used_tokens += reservation.used_tokens
        self._used_cost += reservation.used_cost
        return reservation

    def advance(self, reservation: Reservation, tokens: int) -> str:
        """Count ``tokens`` that an open call has generated.

        Returns:
            The limit that is used up, ``tokens`` or ``cost_usd``: the call must stop. Else ``""``.
        """
        cost = tokens * reservation.token_price
        reservation.used_tokens += tokens
        reservation.used_cost += cost
        self._used_tokens += tokens
        self._used_cost += cost
        if (more := reservation.used_tokens - reservation.tokens) > 0:
            reservation.tokens += more
            self.reserved_tokens += more
        if (dearer := reservation.used_cost - reservation.cost_usd) > 0:
            reservation.cost_usd += dearer
            self.reserved_cost += dearer
        outer = ""
        if self.outer is not None and reservation.outer is not None:
            outer = self.outer.advance(reservation.outer, tokens)
        room, money = self._room()
        least = self.reserved_calls  # each open call may receive one more token before it is stopped
        if room is not None and room < least:
            return "tokens"
        return "cost_usd" if money is not None and money < least * reservation.token_price else outer

    def _check_room(self, input_tokens: int, input_cost: float, token_price: float) -> None:
        """Refuse a call that could not even give a short reply beside the open ones.

        Raises:
            BudgetExceededError: naming the limit that binds.
        """
        least = USEFUL_TOKENS * (self.reserved_calls + 1)
        room, money = self._room()
        if room is not None and room - input_tokens < least:
            limit, amount = "tokens", f"{self.limits.total_tokens} tokens"
        elif money is not None and (money < input_cost or money - input_cost < least * token_price):
            limit, amount = "cost_usd", f"{self.limits.cost_usd} US dollars"
        else:
            return
        raise BudgetExceededError(
            f"{self.whose}'s budget of {amount} has no room for another call.",
            limit=limit,
            hint=f"{self._raise(limit)}, or fork less wide.",
        )

    def _room(self) -> tuple[int | None, float | None]:
        """Tokens and dollars that are neither spent, nor used by open calls, nor held for later."""
        tokens, cost = self.limits.total_tokens, self.limits.cost_usd
        taken = self._spent_tokens + self._used_tokens + self._held_tokens
        paid = (self._spent_cost or 0.0) + self._used_cost + self._held_cost
        return None if tokens is None else tokens - taken, None if cost is None else cost - paid

    def hold(self, tokens: int, cost_usd: float = 0.0, calls: int = 0) -> Reservation:
        """Set tokens, dollars and calls aside for later. Give them back with `release`."""
        room, money, number = self.tokens_left, self.cost_left, self.calls_left
        held = Reservation(
            0 if room is None else min(tokens, room),
            0.0 if money is None else min(cost_usd, money),
            0 if number is None else min(calls, number),
            held=True,
        )
        self.reserved_tokens += held.tokens
        self._held_tokens += held.tokens
        self.reserved_cost += held.cost_usd
        self._held_cost += held.cost_usd
        self._held_calls += held.calls
        if self.outer is not None:
            held.outer = self.outer.hold(held.tokens, held.cost_usd, held.calls)
        return held

    def release(self, reservation: Reservation) -> None:
        """Give back what was set aside. Releasing twice does nothing."""
        self.reserved_tokens -= reservation.tokens
        self.reserved_cost -= reservation.cost_usd
        self._used_tokens -= reservation.used_tokens
        self._used_cost -= reservation.used_cost
        if reservation.held:
            self._held_tokens -= reservation.tokens
            self._held_cost -= reservation.cost_usd
            self._held_calls -= reservation.calls
        else:
            self.reserved_calls -= reservation.calls
        reservation.tokens = reservation.calls = reservation.used_tokens = 0
        reservation.cost_usd = reservation.used_cost = 0.0
        if self.outer is not None and reservation.outer is not None:
            self.outer.release(reservation.outer)

    def settle(self, reservation: Reservation, usage: Usage) -> None:
        """Replace a reservation by what was really used."""
        self.release(reservation)
        self.spend(usage)

    def spend(self, usage: Usage) -> None:
        """Count what was used without a reservation (replayed from the journal)."""
        self._unsummed.append(usage)
        self._spent_calls += usage.calls
        self._spent_tokens += usage.total_tokens
        cost = usage.cost_usd
        self._spent_cost = None if cost is None or self._spent_cost is None else self._spent_cost + cost
        if self.outer is not None:
            self.outer.spend(usage)

    def about(self, reservation: Reservation) -> dict[str, float]:
        """Attributes of a call's span: what is spent and reserved of which limits; {} without any."""
        attributes: dict[str, float] = {}
        if self.limits.total_tokens is not None:
            attributes[sc.BUDGET_LIMIT] = self.limits.total_tokens
            attributes[sc.BUDGET_SPENT] = self._spent_tokens
            attributes[sc.BUDGET_RESERVED] = reservation.tokens
        if self.limits.cost_usd is not None:
            attributes[sc.BUDGET_COST_LIMIT] = float(self.limits.cost_usd)
            attributes[sc.BUDGET_COST_SPENT] = self._spent_cost or 0.0
            attributes[sc.BUDGET_COST_RESERVED] = reservation.cost_usd
        return attributes

    @property
    def _own_tokens(self) -> int | None:
        if self.limits.total_tokens is None:
            return None
        return max(0, self.limits.total_tokens - self._spent_tokens - self.reserved_tokens)

    @property
    def _own_cost(self) -> float | None:
        if self.limits.cost_usd is None:
            return None
        return max(0.0, self.limits.cost_usd - (self._spent_cost or 0.0) - self.reserved_cost)


def _least(one: N | None, other: N | None) -> N | None:
    return one if other is None else other if one is None else min(one, other)


def _price(prices: Prices | None, input_tokens: int, output_tokens: int) -> float:
    if prices is None:
        return 0.0
    return prices.cost(Usage(input_tokens=input_tokens, output_tokens=output_tokens))
