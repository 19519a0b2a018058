"""Invariants over random trees, durations, failures, cancellations and budgets, on virtual time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from weaver import Answer, Run, Task, Weaver, WeaverError
from weaver._coordination.joins.rules import First, Quorum
from weaver._data.budget import Limits
from weaver._data.usage import Usage
from weaver._models.protocol import Prices
from weaver._runtime.limits.budget_ledger import Ledger
from weaver._runtime.threads.join_protocol import All
from weaver.errors import BudgetExceededError, ServerError
from weaver.testing import Scripted, ScriptedModel, VirtualTimeLoop

FINAL = {"succeeded", "failed", "timed_out", "cancelled", "skipped"}


@dataclass(frozen=True)
class Node:
    words: int
    first: float
    fails: bool
    after: tuple[int, ...]


@st.composite
def graphs(draw) -> list[Node]:
    nodes = []
    for i in range(draw(st.integers(1, 8))):
        after = draw(st.sets(st.integers(0, i - 1), max_size=3)) if i else set()
        words, first = draw(st.integers(1, 9)), draw(st.sampled_from([0.0, 0.5, 2.0]))
        nodes.append(Node(words, first, draw(st.booleans()) and draw(st.booleans()), tuple(sorted(after))))
    return nodes


def model_of(nodes: list[Node]) -> ScriptedModel:
    return ScriptedModel(
        [
            Scripted(
                "w " * n.words,
                when=f"node {i}.",
                first=n.first,
                each=1,
                error=ServerError("x.") if n.fails else None,
            )
            for i, n in enumerate(nodes)
        ],
        prices=Prices(1, 2),
    )


async def body(run: Run, task: Task) -> Answer:
    return Answer((await run.think(task.prompt)).text)


def on_virtual_time(main):
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        result = runner.run(main())
        left = [t for t in asyncio.all_tasks(runner.get_loop()) if not t.done()]
        assert left == [], "no task outlives the run"
        return result


async def attempt(weaver: Weaver):
    try:
        result = await weaver.run("go")
    except WeaverError as error:
        result = error.result
    assert result is not None, "a failed run has a result too"
    return result


@settings(max_examples=150, deadline=None)
@given(
    graphs(),
    st.sampled_from(["all", "first", "quorum"]),
    st.sampled_from([None, 1.5, 6.0]),
    st.sampled_from([None, 3, 200]),
    st.sampled_from([None, 4.0]),
    st.sampled_from(["keep", "skip"]),
)
def test_every_run_keeps_the_invariants(nodes, rule, deadline, calls, timeout, on_error):
    model = model_of(nodes)
    settled = []

    async def method(run: Run, task: Task) -> Answer:
        async with run.fork(body=body, timeout=timeout, on_error=on_error) as threads:
            for i, node in enumerate(nodes):
                threads.start(Task(f"node {i}."), id=f"n{i}", after=[f"n{a}" for a in node.after])
            threads.close()
            winners = await threads.join({"all": All(), "first": First(), "quorum": Quorum(2)}[rule])
            settled.append(anyio.current_time())
        return Answer("done " + " ".join(w.id for w in winners))

    weaver = Weaver(model, strategy=method, deadline=deadline, max_calls=calls)
    result = on_virtual_time(lambda: attempt(weaver))

    reports = {t.id: t for t in result.threads}
    assert all(t.state in FINAL for t in result.threads)
    assert all((t.cancel_reason is not None) == (t.state == "cancelled") for t in result.threads)
    assert model.in_flight == 0
    if deadline is not None:
        assert result.metrics.wall_seconds <= deadline + 0.25
    if calls is not None:
        assert len(model.requests) <= calls
    for i, node in enumerate(nodes):
        thread = reports[f"n{i}"]
        if thread.started_at is None:
            continue
        for a in node.after:
            needed = reports[f"n{a}"]
            assert needed.started_at is None or thread.started_at >= needed.started_at + needed.seconds - 1e-9
            assert needed.state == "succeeded" or on_error == "skip" or needed.state == "timed_out"
    if settled:
        assert all(r.at <= settled[0] + 1e-9 and r.closed_at <= settled[0] + 1e-9 for r in model.requests)
    assert result.usage.output_tokens == sum(t.usage.output_tokens for t in result.threads)
    assert result.usage.calls == len(model.requests)
    assert result.metrics.max_in_flight == model.max_in_flight
    assert result.metrics.threads == len(nodes)


@settings(max_examples=100, deadline=None)
@given(graphs())
def test_the_critical_path_is_the_longest_weighted_path(nodes):
    nodes = [Node(n.words, n.first, False, n.after) for n in nodes]

    async def method(run: Run, task: Task) -> Answer:
        async with run.fork(body=body) as threads:
            for i, node in enumerate(nodes):
                threads.start(Task(f"node {i}."), id=f"n{i}", after=[f"n{a}" for a in node.after])
            threads.close()
            await threads.join()
        return Answer("done")

    result = on_virtual_time(lambda: attempt(Weaver(model_of(nodes), strategy=method)))
    tokens: list[int] = []
    seconds: list[float] = []
    for node in nodes:
        tokens.append(node.words + max((tokens[a] for a in node.after), default=0))
        seconds.append(node.first + node.words - 1 + max((seconds[a] for a in node.after), default=0.0))
    assert result.metrics.critical_path_tokens == max(tokens)
    assert abs(result.metrics.critical_path_seconds - max(seconds)) < 1e-6
    assert abs(result.metrics.wall_seconds - max(seconds)) < 1e-6


calls_made = st.tuples(st.integers(0, 300), st.integers(1, 300), st.integers(0, 400), st.booleans())


@given(
    st.integers(0, 2000) | st.none(),
    st.integers(0, 10) | st.none(),
    st.floats(0, 0.01) | st.none(),
    st.lists(calls_made, max_size=40),
)
def test_what_calls_use_never_passes_a_limit_while_deltas_are_of_one_token(tokens, calls, cost, made):
    prices = Prices(input=1, output=5)
    ledger = Ledger(Limits(total_tokens=tokens, calls=calls, cost_usd=cost))
    open_ = []

    def settle(reservation, input_tokens, generated):
        usage = Usage(calls=1, input_tokens=input_tokens, output_tokens=generated)
        ledger.settle(reservation, replace(usage, cost_usd=prices.cost(usage)))

    for input_tokens, probable, generates, settles in made:
        try:
            reservation = ledger.reserve(input_tokens, probable, prices=prices)
        except BudgetExceededError:
            continue
        generated = 0
        while generated < generates:
            generated += 1
            if ledger.advance(reservation, 1):
                break
        open_.append((reservation, input_tokens, generated))
        if settles:
            settle(*open_.pop(0))
    for call in open_:
        settle(*call)
    spent = ledger.spent
    assert tokens is None or spent.total_tokens <= tokens
    assert calls is None or spent.calls <= calls
    assert cost is None or (spent.cost_usd or 0.0) <= cost + 1e-9
    assert ledger.reserved_tokens == 0
    assert ledger.reserved_calls == 0
    assert abs(ledger.reserved_cost) < 1e-9


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(1, 300)), max_size=20))
def test_releasing_twice_gives_back_once(made):
    ledger = Ledger(Limits(total_tokens=100_000))
    reservations = [ledger.reserve(read, write) for read, write in made]
    for reservation in reservations:
        ledger.release(reservation)
        ledger.release(reservation)
    assert (ledger.reserved_tokens, ledger.reserved_calls, ledger.tokens_left) == (0, 0, 100_000)
