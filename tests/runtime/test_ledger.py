"""The budget ledger: what is reserved, held, counted and settled, and what its refusals say."""

from __future__ import annotations

import pytest

from weaver import Task
from weaver._data.budget import Limits
from weaver._data.usage import Usage
from weaver._models.protocol import Prices
from weaver._runtime.limits.accounting import Accounting
from weaver._runtime.limits.budget_ledger import PROBABLE_TOKENS, USEFUL_TOKENS, Ledger
from weaver._runtime.state.thread import Thread
from weaver.errors import BudgetExceededError, ConfigurationError

PRICES = Prices(input=1_000_000, output=2_000_000)  # a dollar for a token read, two for one written


def spent(tokens: int, cost: float = 0.0, calls: int = 1) -> Usage:
    return Usage(calls=calls, input_tokens=tokens, cost_usd=cost)


def two(part: Limits, around: Limits) -> tuple[Ledger, Ledger]:
    """The ledger of a part and the one around it."""
    run = Ledger(around)
    return Ledger(part, outer=run, whose="Step 'a'"), run


def state(ledger: Ledger) -> tuple[int, float, int]:
    return ledger.reserved_tokens, ledger.reserved_cost, ledger.reserved_calls


def thread(path: str) -> Thread:
    return Thread(path, Task("go"), parent=None, depth=1, depends_on=(), emit=print)


@pytest.mark.parametrize(
    ("part", "around", "limits"),
    [
        (Limits(), Limits(), False),
        (Limits(calls=1), Limits(threads=1, depth=1), False),
        (Limits(total_tokens=5), Limits(), True),
        (Limits(cost_usd=5), Limits(), True),
        (Limits(), Limits(total_tokens=0), True),
        (Limits(), Limits(cost_usd=0), True),
    ],
)
def test_answers_are_counted_where_tokens_or_cost_are_limited_here_or_around(part, around, limits):
    assert two(part, around)[0].limits_answers is limits


@pytest.mark.parametrize(("own", "around", "least"), [(9, None, 9), (None, 7, 7), (9, 7, 7), (5, 7, 5)])
def test_what_is_left_is_the_least_of_both_ledgers(own, around, least):
    part, run = two(
        Limits(total_tokens=own, cost_usd=own, calls=own, threads=own),
        Limits(total_tokens=around, cost_usd=around, calls=around, threads=around),
    )
    assert (part.tokens_left, part.cost_left, part.calls_left, part.threads_left) == (least,) * 4
    assert (run.tokens_left, run.cost_left, run.calls_left, run.threads_left) == (around,) * 4


def test_without_limits_nothing_is_counted_down():
    ledger = Ledger(Limits(threads=None))
    ledger.reserve(10**9, 10**9)
    ledger.spend(spent(10**9, 10.0**9))
    ledger.take_thread()
    assert (ledger.tokens_left, ledger.cost_left, ledger.calls_left, ledger.threads_left) == (None,) * 4


def test_what_is_spent_reserved_and_held_is_not_left_and_never_less_than_nothing():
    ledger = Ledger(Limits(total_tokens=100, cost_usd=100, calls=6, threads=1))
    ledger.spend(spent(11, 10.0, calls=2))
    ledger.reserve(7, 10, prices=PRICES)
    ledger.hold(20, 30.0, 1)
    assert (ledger.tokens_left, ledger.calls_left) == (52, 2)
    assert ledger.cost_left == pytest.approx(33.0)
    ledger.take_thread()
    ledger.spend(spent(1000, 1000.0, calls=9))
    assert (ledger.tokens_left, ledger.cost_left, ledger.calls_left, ledger.threads_left) == (0, 0.0, 0, 0)


def test_threads_are_counted_here_and_around_and_a_refusal_counts_nothing():
    part, run = two(Limits(threads=2), Limits(threads=3))
    part.take_thread()
    part.take_thread()
    with pytest.raises(BudgetExceededError) as refused:
        part.take_thread()
    assert str(refused.value.message) == "Step 'a' may start 2 threads and has started them all."
    assert (refused.value.limit, refused.value.hint) == ("threads", "Raise threads in its budget.")
    assert (part.threads, run.threads) == (2, 2)
    run.take_thread()
    wide = Ledger(Limits(threads=None), outer=run)
    with pytest.raises(BudgetExceededError, match="The run may start 3 threads") as refused:
        wide.take_thread()
    assert refused.value.hint == "Raise max_threads."
    assert (wide.threads, run.threads) == (0, 3)


def test_calls_that_are_made_or_open_count_and_those_set_aside_for_later_may_be_made():
    ledger = Ledger(Limits(calls=3))
    ledger.spend(spent(1))
    ledger.hold(0, calls=2)
    ledger.reserve(1, 1)
    ledger.reserve(1, 1)
    with pytest.raises(BudgetExceededError) as refused:
        ledger.reserve(1, 1)
    assert refused.value.message == "The run may make 3 model calls and has made them all."
    assert (refused.value.limit, refused.value.hint) == ("calls", "Raise max_calls.")


def test_a_limit_on_cost_needs_prices_and_names_the_model():
    ledger = Ledger(Limits(cost_usd=1))
    with pytest.raises(ConfigurationError, match="the prices of openai/new are unknown"):
        ledger.reserve(1, 1, model="openai/new")
    part, _ = two(Limits(), Limits(cost_usd=1))
    with pytest.raises(ConfigurationError, match="the prices of openai/new are unknown"):
        part.reserve(1, 1, model="openai/new")
    assert state(part) == (0, 0.0, 0)


def test_a_reservation_is_prompt_and_probable_answer_with_their_price_at_both_ledgers():
    part, run = two(Limits(total_tokens=10_000, cost_usd=10_000), Limits(cost_usd=20_000))
    reservation = part.reserve(10, prices=PRICES)
    cost = 10 + 2.0 * PROBABLE_TOKENS
    assert (reservation.tokens, reservation.cost_usd, reservation.calls) == (10 + PROBABLE_TOKENS, cost, 1)
    assert (reservation.used_tokens, reservation.used_cost, reservation.token_price) == (10, 10.0, 2.0)
    assert not reservation.held
    assert reservation.outer is not None
    assert (reservation.outer.cost_usd, reservation.outer.used_cost) == (cost, 10.0)
    assert state(part) == state(run) == (10 + PROBABLE_TOKENS, cost, 1)


def test_a_reservation_takes_no_more_than_there_is():
    ledger = Ledger(Limits(total_tokens=50, cost_usd=60))
    reservation = ledger.reserve(10, 1000, prices=PRICES)
    assert (reservation.tokens, reservation.cost_usd) == (50, 60.0)
    assert (ledger.tokens_left, ledger.cost_left) == (0, 0.0)


@pytest.mark.parametrize("open_calls", [0, 1, 2])
def test_a_call_is_refused_exactly_where_it_and_the_open_ones_have_no_room_for_a_short_reply(open_calls):
    least = 10 * (open_calls + 1) + USEFUL_TOKENS * (open_calls + 1)
    for limits, limit, hint in [
        (Limits(total_tokens=least), "tokens", "Raise max_total_tokens, or fork less wide."),
        (Limits(cost_usd=least), "cost_usd", "Raise max_cost, or fork less wide."),
    ]:
        ledger = Ledger(limits)
        for _ in range(open_calls):
            ledger.reserve(10, 0, prices=Prices(1e6, 1e6))
        ledger.reserve(10, 0, prices=Prices(1e6, 1e6))
        with pytest.raises(BudgetExceededError) as refused:
            ledger.reserve(0, 0, prices=Prices(1e6, 1e6))
        assert (refused.value.limit, refused.value.hint) == (limit, hint)
        unit = "tokens" if limit == "tokens" else "US dollars"
        assert refused.value.message == f"The run's budget of {least} {unit} has no room for another call."
        tight = Ledger(limits)
        for _ in range(open_calls):
            tight.reserve(10, 0, prices=Prices(1e6, 1e6))
        with pytest.raises(BudgetExceededError):
            tight.reserve(11, 0, prices=Prices(1e6, 1e6))
        assert tight.reserved_calls == open_calls


def test_a_prompt_that_costs_exactly_what_is_left_is_sent_where_answers_are_free():
    free = Prices(input=1e6, output=0)
    assert Ledger(Limits(cost_usd=10)).reserve(10, 5, prices=free).cost_usd == 10.0
    with pytest.raises(BudgetExceededError, match=r"10 US dollars"):
        Ledger(Limits(cost_usd=10)).reserve(11, 5, prices=free)


def test_a_part_says_which_figure_of_its_budget_to_raise():
    part, _ = two(Limits(total_tokens=5, calls=9), Limits())
    with pytest.raises(BudgetExceededError) as refused:
        part.reserve(1, 1)
    assert refused.value.hint == "Raise tokens in its budget, or fork less wide."
    assert refused.value.message == "Step 'a''s budget of 5 tokens has no room for another call."
    part, _ = two(Limits(cost_usd=5), Limits())
    with pytest.raises(BudgetExceededError) as refused:
        part.reserve(1, 1, prices=PRICES)
    assert refused.value.hint == "Raise cost in its budget, or fork less wide."
    part, _ = two(Limits(calls=0), Limits())
    with pytest.raises(BudgetExceededError) as refused:
        part.reserve(1, 1)
    assert refused.value.hint == "Raise calls in its budget."


def test_a_call_that_passes_its_reservation_reserves_more_here_and_around():
    part, run = two(Limits(total_tokens=1000, cost_usd=1000), Limits(total_tokens=2000))
    call = part.reserve(10, 5, prices=PRICES)
    assert part.advance(call, 5) == ""
    assert state(part) == state(run) == (15, 20.0, 1)
    assert part.advance(call, 3) == ""
    assert (call.tokens, call.cost_usd, call.used_tokens, call.used_cost) == (18, 26.0, 18, 26.0)
    assert part.advance(call, 1) == ""
    assert state(part) == state(run) == (19, 28.0, 1)
    assert part.advance(call, 1) == ""
    assert state(part) == state(run) == (20, 30.0, 1)
    assert (part.tokens_left, run.tokens_left, part.cost_left) == (980, 1980, 970.0)


def test_a_call_stops_when_not_every_open_one_can_receive_a_token_more():
    tokens = Ledger(Limits(total_tokens=100))
    one, _ = tokens.reserve(10, 5), tokens.reserve(10, 5)
    assert tokens.advance(one, 78) == ""
    assert tokens.advance(one, 1) == "tokens"
    money = Ledger(Limits(cost_usd=100))
    one, _ = money.reserve(10, 5, prices=PRICES), money.reserve(10, 5, prices=PRICES)
    assert money.advance(one, 38) == ""
    assert money.advance(one, 1) == "cost_usd"


def test_the_ledger_around_stops_a_call_too_and_its_own_limit_is_named_first():
    part, _ = two(Limits(), Limits(cost_usd=50))
    call = part.reserve(10, 5, prices=PRICES)
    assert part.advance(call, 19) == ""
    assert part.advance(call, 1) == "cost_usd"
    part, _ = two(Limits(total_tokens=30), Limits(cost_usd=50))
    assert part.advance(part.reserve(10, 5, prices=PRICES), 20) == "tokens"


def test_what_is_held_for_later_is_no_room_for_calls_until_it_is_given_back():
    part, run = two(Limits(total_tokens=100, cost_usd=200, calls=5), Limits(total_tokens=90, calls=4))
    held = part.hold(80, 150.0, 3)
    assert (held.tokens, held.cost_usd, held.calls, held.held) == (80, 150.0, 3, True)
    assert (part.tokens_left, part.cost_left, part.calls_left) == (10, 50.0, 1)
    assert (run.tokens_left, run.calls_left) == (10, 1)
    for _ in range(2):
        with pytest.raises(BudgetExceededError, match="no room"):
            part.reserve(0, 1, prices=PRICES)
    part.release(held)
    assert (part.tokens_left, part.cost_left, part.calls_left) == (90, 200.0, 4)
    assert state(part) == state(run) == (0, 0.0, 0)
    call = part.reserve(90 - USEFUL_TOKENS, 0, prices=PRICES)
    part.release(call)
    part.release(held)
    assert part.hold(1, 1.0, 1).calls == 1
    assert (part.tokens_left, part.cost_left, part.calls_left) == (89, 199.0, 3)


def test_money_that_is_held_is_no_room_for_calls():
    ledger = Ledger(Limits(cost_usd=100))
    held = ledger.hold(0, 90.0)
    with pytest.raises(BudgetExceededError, match="100 US dollars"):
        ledger.reserve(0, 1, prices=PRICES)
    ledger.release(held)
    call = ledger.reserve(100 - 2 * USEFUL_TOKENS, 0, prices=PRICES)
    assert call.used_cost == 68.0


def test_no_more_is_held_than_there_is_and_nothing_without_a_limit():
    ledger = Ledger(Limits(total_tokens=10, cost_usd=20, calls=3))
    held = ledger.hold(50, 50.0, 50)
    assert (held.tokens, held.cost_usd, held.calls) == (10, 20.0, 3)
    assert (ledger.hold(1).tokens, ledger.hold(1).cost_usd, ledger.hold(1).calls) == (0, 0.0, 0)
    free = Ledger(Limits())
    held = free.hold(50, 50.0, 50)
    assert (held.tokens, held.cost_usd, held.calls) == (0, 0.0, 0)
    held = Ledger(Limits(total_tokens=9, cost_usd=9, calls=9)).hold(1)
    assert (held.tokens, held.cost_usd, held.calls) == (1, 0.0, 0)


def test_several_things_may_be_held_and_count_together_here_and_around():
    part, run = two(Limits(total_tokens=100, cost_usd=100, calls=9), Limits(cost_usd=90, calls=8))
    first, second = part.hold(10, 20.0, 2), part.hold(5, 10.0, 1)
    assert (part.tokens_left, part.cost_left, part.calls_left) == (85, 60.0, 5)
    assert (run.cost_left, run.calls_left) == (60.0, 5)
    with pytest.raises(BudgetExceededError, match="US dollars"):
        part.reserve(65, 0, prices=Prices(1e6, 0))  # 70 dollars are left here, 60 around
    with pytest.raises(BudgetExceededError, match="100 tokens"):
        part.reserve(86 - USEFUL_TOKENS, 0, prices=Prices(0, 0))
    part.release(first)
    assert (part.tokens_left, part.cost_left, part.calls_left) == (95, 80.0, 7)
    part.reserve(95 - USEFUL_TOKENS, 0, prices=Prices(1e6, 0))
    part.release(second)
    assert (run.cost_left, run.calls_left) == (11.0, 7)


def test_a_model_without_prices_costs_nothing():
    reservation = Ledger(Limits()).reserve(1, 1)
    assert (reservation.cost_usd, reservation.used_cost, reservation.token_price) == (0.0, 0.0, 0.0)


def test_releasing_gives_back_what_a_call_reserved_and_counted_and_twice_is_once():
    part, run = two(Limits(total_tokens=100, cost_usd=1000, calls=2), Limits(total_tokens=100))
    call, other = part.reserve(10, 5, prices=PRICES), part.reserve(3, 4, prices=PRICES)
    part.advance(call, 20)
    for _ in range(2):
        part.release(call)
        assert state(part) == state(run) == (7, 11.0, 1)
        assert (part.tokens_left, part.cost_left, part.calls_left) == (93, 989.0, 1)
    assert (call.used_tokens, call.used_cost) == (0, 0.0)
    # Nothing of the released call is in the way: a short reply of each fits beside the open one, exactly.
    part.release(part.reserve(100 - 3 - 2 * USEFUL_TOKENS, 0, prices=PRICES))
    room = 1000 - 3  # dollars that are neither spent nor used by the open call
    dear = Prices(input=1e6 * (room - 2 * USEFUL_TOKENS), output=1e6)
    part.release(part.reserve(1, 0, prices=dear))
    with pytest.raises(BudgetExceededError, match="1000 US dollars"):
        part.reserve(1, 0, prices=Prices(input=dear.input + 1e6, output=1e6))
    part.release(other)
    assert state(part) == state(run) == (0, 0.0, 0)


def test_settling_replaces_a_reservation_by_what_was_used_here_and_around():
    part, run = two(Limits(total_tokens=100), Limits(cost_usd=1000))
    part.settle(part.reserve(10, 50, prices=PRICES), spent(12, 34.0))
    assert state(part) == state(run) == (0, 0.0, 0)
    assert part.spent == run.spent == spent(12, 34.0)
    assert (part.tokens_left, run.cost_left) == (88, 966.0)


def test_a_spans_figures_are_those_of_the_limits_that_hold():
    assert Ledger(Limits()).about(Ledger(Limits()).reserve(1, 1)) == {}
    ledger = Ledger(Limits(total_tokens=100, cost_usd=50))
    ledger.spend(spent(7, 3.0))
    assert ledger.about(ledger.reserve(10, 5, prices=PRICES)) == {
        "weaver.budget.limit": 100,
        "weaver.budget.spent": 7,
        "weaver.budget.reserved": 15,
        "weaver.budget.cost.limit": 50.0,
        "weaver.budget.cost.spent": 3.0,
        "weaver.budget.cost.reserved": 20.0,
    }
    ledger = Ledger(Limits(cost_usd=50))
    ledger.spend(Usage(calls=1, cost_usd=None))
    assert ledger.about(ledger.reserve(1, 1, prices=PRICES))["weaver.budget.cost.spent"] == 0.0
    assert ledger.cost_left == 47.0


@pytest.mark.anyio
async def test_usage_is_recorded_for_the_run_the_thread_and_all_around_it():
    accounting, ledger = Accounting(), Ledger(Limits(total_tokens=1000))
    outer, inner = (thread(path) for path in ("a", "a/b"))
    accounting.record(spent(1), ledger=ledger, thread=None)
    accounting.record(spent(2), ledger=ledger, thread=outer, reservation=ledger.reserve(1, 1))
    accounting.record(spent(4), ledger=ledger, thread=inner)
    accounting.record(spent(8), ledger=ledger, thread=inner, is_paid=False)
    assert state(ledger) == (0, 0.0, 0)
    assert (ledger.spent, accounting.total) == (spent(7, calls=3), spent(7, calls=3))
    assert list(accounting.below("")) == [spent(1), spent(2), spent(4)]
    assert list(accounting.below("a")) == [spent(2), spent(4), spent(8)]
    assert list(accounting.below("a/b")) == [spent(4), spent(8)]
    assert list(accounting.below("c")) == []
    assert (outer.usages, inner.usages) == ([spent(2)], [spent(4), spent(8)])
