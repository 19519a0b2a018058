"""What a plan is expected to take."""

from __future__ import annotations

import pytest

from weaver._data.plan import Plan, Subtask
from weaver._models.protocol import Prices
from weaver._planning.estimate import OVERHEAD_TOKENS, SUBTASK_TOKENS, SYNTHESIS_TOKENS, estimate


def subtask(name: str, tokens: int | None = None, after: tuple[str, ...] = ()) -> Subtask:
    return Subtask(id=name, prompt="abcd", depends_on=after, max_tokens=tokens)


def test_critical_path_is_the_longest_chain_by_tokens() -> None:
    plan = Plan(
        parallel=True,
        subtasks=(
            subtask("short", 100),
            subtask("long", 1000),
            subtask("last", 50, ("short", "long")),
            subtask("alone", 900),
        ),
    )
    expected = estimate(plan)

    assert expected.critical_path == ("long", "last")
    assert expected.critical_path_tokens == 1050 + SYNTHESIS_TOKENS
    assert expected.usage.output_tokens == 2050 + SYNTHESIS_TOKENS
    assert expected.speedup == pytest.approx((2050 + SYNTHESIS_TOKENS) / (1050 + SYNTHESIS_TOKENS))


def test_calls_and_tokens_read() -> None:
    plan = Plan(parallel=True, subtasks=(subtask("a"), subtask("b", None, ("a",))))
    usage = estimate(plan, question="abcdefgh", prices=Prices(1.0, 10.0)).usage

    assert usage.calls == 3
    assert usage.output_tokens == 2 * SUBTASK_TOKENS + SYNTHESIS_TOKENS
    threads = 2 * (1 + OVERHEAD_TOKENS) + SUBTASK_TOKENS
    synthesis = 2 + OVERHEAD_TOKENS + 2 * SUBTASK_TOKENS
    assert usage.input_tokens == threads + synthesis
    assert usage.cost_usd == pytest.approx((usage.input_tokens + 10 * usage.output_tokens) / 1e6)
    assert usage.estimated


def test_without_prices_the_cost_is_unknown_and_a_direct_answer_is_one_call() -> None:
    expected = estimate(Plan(parallel=False), question="abcd")

    assert (expected.usage.calls, expected.usage.cost_usd, expected.critical_path) == (1, None, ())
    assert expected.critical_path_tokens == SUBTASK_TOKENS


def test_a_merge_without_a_call_adds_nothing():
    plan = Plan(parallel=True, subtasks=(subtask("a"), subtask("b")))
    copied = estimate(plan.model_copy(update={"merge": "concat"}))
    written = estimate(plan)
    assert (copied.usage.calls, written.usage.calls) == (2, 3)
    assert copied.critical_path_tokens == written.critical_path_tokens - 700
    assert copied.usage.input_tokens < written.usage.input_tokens
