"""Twice the threads, votes, notes or steps take twice the work, counted in lines of Python."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, SupportsIndex

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.counting import growth, operations
from weaver import Task, Weaver
from weaver._coordination.answers.equivalence import KINDS, number
from weaver._coordination.answers.votes import Votes
from weaver._coordination.conflicts.topics import Topic, near_pairs
from weaver._coordination.joins.pruning import same_work
from weaver._data.budget import Limits
from weaver._data.decisions import LoggedDecision, Outcome
from weaver._data.plan import Plan, Subtask
from weaver._data.result import Answer
from weaver._data.usage import Usage
from weaver._models.compose import layered
from weaver._models.layers.limit import EndpointLimits, Gates
from weaver._models.openai.chunks.reader import ChunkReader
from weaver._models.protocol import Request, ToolCallPart
from weaver._models.tool_call_parts import ToolCallParts
from weaver._runtime.limits.accounting import Accounting
from weaver._runtime.limits.budget_ledger import Ledger
from weaver._runtime.run import Run
from weaver._runtime.state.decision_log import DecisionLog
from weaver._runtime.state.thread import Thread
from weaver._runtime.threads.thread_options import Hedge
from weaver._workflows.workflow import Workflow
from weaver.errors import WeaverError
from weaver.testing import Scripted, ScriptedModel, virtual_time

LINEAR = 1.25
"""By what the lines per item may grow with four times the items: what is done once weighs less, not more."""


def run(strategy: Any, model: Any = None, **options: Any) -> Any:
    async def main() -> Any:
        async with Weaver(model=model or ScriptedModel("ok"), strategy=strategy, max_threads=10**6) as weaver:
            return await weaver.run("What is known about the parts?", **options)

    return anyio.run(main, backend_options=virtual_time()[1])


def strategy(work: Callable[[Run], Awaitable[Any]]) -> Any:
    async def answer(own: Run, task: Task) -> Answer:
        await work(own)
        return Answer("done")

    return answer


async def idle(own: Run, task: Task) -> Answer:
    await anyio.sleep(1 + int(task.prompt.split()[-1]) / 1000)
    return Answer(task.prompt)


def parts(count: int) -> list[Task]:
    return [Task(f"part {number}") for number in range(count)]


def fork(count: int) -> None:
    async def work(own: Run) -> None:
        async with own.fork(parts(count)) as threads:
            await threads.join()

    run(strategy(work))


def hedged_fork(count: int) -> None:
    async def work(own: Run) -> None:
        async with own.fork(parts(count), body=idle, hedge=Hedge()) as threads:
            await threads.join()

    run(strategy(work))


def pruned_fork(count: int) -> None:
    async def work(own: Run) -> None:
        async with own.fork(parts(count), body=idle) as threads:
            await threads.join(prune=same_work)

    run(strategy(work))


def chain(count: int) -> None:
    async def work(own: Run) -> None:
        async with own.fork(body=idle) as threads:
            for at, task in enumerate(parts(count)):
                threads.start(task, id=f"s{at}", after=[f"s{at - 1}"] if at else [])
            threads.close()
            await threads.join()

    run(strategy(work))


def notes(count: int) -> None:
    async def work(own: Run) -> None:
        for at in range(count):
            own.note(f"note {at}")

    assert len(run(strategy(work)).notes) == count


def waiting_calls(count: int) -> None:
    async def work(own: Run) -> None:
        async with own.fork(parts(count)):
            await anyio.sleep(0.5)

    slow = ScriptedModel(Scripted("ok", first=1.0))
    run(strategy(work), layered(slow, limits=EndpointLimits(concurrency=1), gates=Gates()))
    assert slow.max_in_flight == 1


def claims(request: Request) -> str:
    prompt = request.messages[-1].content
    at = int(prompt.rpartition("town number ")[2].rstrip("?") or 0)
    words = " ".join(f"word{at * 31 + place}" for place in range(50))
    return (
        f"It is large: {words}.\n```claims\n"
        f'[{{"subject": "Town {at}", "attribute": "population", "value": "{at * 7 + 1}"}},'
        f'{{"subject": "Mayor of Place{at}x", "attribute": "name", "value": "Name{at}"}}]\n```'
    )


def finding(request: Request) -> str:
    at = int(request.messages[-1].content.rpartition("town number ")[2].rstrip("?") or 0)
    return "It is large." + "".join(
        f" Word{at * 31 + x} has {at + x} people, says place{x}." for x in range(60)
    )


def planned(count: int, merge: str = "concat", answer: Callable[[Request], str] = claims) -> None:
    subtasks = [
        Subtask(id=f"s{at}", title=f"T{at}", prompt=f"How many people live in town number {at}?")
        for at in range(count)
    ]
    plan = Plan(parallel=True, subtasks=subtasks)
    result = run(f"adaptive:merge={merge}", ScriptedModel(Scripted(answer)), plan=plan)
    assert len(result.threads) == count


def cast(count: int, text: str = "{}") -> Votes:
    votes = Votes()

    async def main() -> None:
        for at in range(count):
            await votes.cast(text.format(3 * at + 1))
            votes.settled(count - at)
            assert votes.leader is not None

    anyio.run(main)
    assert len(votes.groups) == count
    return votes


def tool_call(count: int) -> None:
    reader, parts = ChunkReader(), ToolCallParts()
    pieces = [b'{\\"a\\":\\"', *[b"xy"] * count, b'\\"}']
    for piece in pieces:
        call = b'{"index":0,"id":"c","function":{"name":"f","arguments":"' + piece + b'"}}'
        reader.read(b'{"choices":[{"index":0,"delta":{"tool_calls":[' + call + b"]}}]}")
        while reader.deltas:
            if isinstance(part := reader.deltas.popleft(), ToolCallPart):
                parts.add(part)
    (whole,) = parts.calls()
    assert len(whole.arguments) == 2 * count + 8


def decisions(count: int) -> None:
    async def main() -> None:
        accounting, ledger = Accounting(), Ledger(Limits())
        log = DecisionLog(accounting, ())
        for at in range(count):
            log.add(LoggedDecision("fork", "direct", (), "rules", thread=f"s{at}"))
            log.add(LoggedDecision("stop", "go on", (), "rules"))
            thread = Thread(
                f"s{at}/t1", Task("x"), parent=f"s{at}", depth=2, depends_on=(), emit=lambda _: None
            )
            accounting.record(Usage(1, 2, 3, cost_usd=0.5), ledger=ledger, thread=thread)
        first, second, *_ = log.finished("complete")
        assert (first.outcome, second.outcome) == (
            Outcome(5, 0.0, 0.5, "complete"), Outcome(5 * count, 0.0, 0.5 * count, "complete"),
        )  # fmt: skip

    anyio.run(main, backend_options=virtual_time()[1])


def workflow(count: int) -> Workflow:
    steps = "".join(
        f"  s{at}:\n    task: 'Say {at}" + (f" after ${{{{ steps.s{at - 1}.output }}}}'\n" if at else "'\n")
        for at in range(count)
    )
    last = f"outputs: ${{{{ steps.s{count - 1}.output }}}}\n"
    return Workflow.from_yaml(f"version: weaver/v1\nname: many\nsteps:\n{steps}{last}")


@pytest.mark.parametrize(
    ("work", "items"),
    [
        (fork, 50),
        (hedged_fork, 60),
        (pruned_fork, 60),
        (chain, 40),
        (notes, 300),
        (waiting_calls, 60),
        (planned, 30),
        (lambda count: planned(count, "write"), 30),
        (lambda count: planned(count, answer=finding), 12),
        (cast, 60),
        (lambda count: cast(count, "the word {} of many"), 60),
        (lambda count: cast(count, '{{"n": {}}}'), 60),
        (tool_call, 300),
        (decisions, 60),
        (workflow, 40),
    ],
    ids=[
        "fork", "hedges", "prune", "chain", "notes", "waiting calls", "plan", "plan, written",
        "long findings", "numbers", "words", "JSON", "tool call", "decisions", "workflow",
    ],
)  # fmt: skip
def test_work_grows_with_the_items_and_not_faster(work: Callable[[int], Any], items: int) -> None:
    work(3)  # what is imported and compiled once does not count
    assert growth(work, items) <= LINEAR


class CountedText(str):
    """A text that counts the words into which it is split."""

    __slots__ = ()
    words = 0

    def split(self, sep: str | None = None, maxsplit: SupportsIndex = -1) -> list[str]:
        pieces = super().split(sep, maxsplit)
        CountedText.words += len(pieces)
        return pieces


def test_long_prompts_cost_no_more_lines_and_are_not_split_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CountedText, "words", 0)

    def long_prompts(words: int) -> None:
        async def work(own: Run) -> None:
            tasks = [Task(CountedText(f"part {at} {'word ' * words}")) for at in range(5)]
            async with own.fork(tasks) as threads:
                await threads.join()

        run(strategy(work))

    long_prompts(3)
    few = operations(lambda: long_prompts(10), within="weaver")
    CountedText.words = 0
    assert operations(lambda: long_prompts(40_000), within="weaver") <= LINEAR * few
    assert 0 < CountedText.words <= 5 * 200


def test_a_workflow_of_more_than_500_steps_needs_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WeaverError, match=r"501 steps, and at most 500 .*WEAVER_MAX_STEPS"):
        workflow(501)
    monkeypatch.setenv("WEAVER_MAX_STEPS", "600")
    assert len(workflow(501).steps) == 501


ANSWERS = st.one_of(
    st.integers(-(10**9), 10**9).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(str),
    st.sampled_from(
        [
            "1", "1.0", "1.0000001", "0", "-0", "1,000", "1000", "1 km", "1000 m", "0.5", "1/2", "50%",
            "10-12", "11", "1e3", "2024-03",
            "2024-03-05", "yes", "No", "the word", "word", '{"a": 1}', "[1, 2]",
            '{"a": 1.0000000001}', "$5", "5 USD", "5 EUR", "12 in", "1 ft", "3 apples", "3",
        ]
    ),
)  # fmt: skip


@given(ANSWERS, ANSWERS, st.sampled_from(["auto", "number", "text", "exact", "json", "bool", "choice"]))
def test_values_that_are_the_same_share_a_key(one: str, other: str, kind: str) -> None:
    for same in (KINDS[kind], number(0.01)):
        a, b = same.read(one), same.read(other)
        if a is None or b is None or not same.same(a, b):
            continue
        assert same.keys is not None
        keys, others = same.keys(a), same.keys(b)
        assert keys is None or others is None or set(keys) & set(others)


WORDS = st.frozensets(st.sampled_from(["a", "b", "c", "d", "e", "f", "2019", "2020"]), min_size=1, max_size=5)


@given(st.lists(st.builds(Topic, WORDS, WORDS), max_size=12))
def test_near_topics_are_found_without_comparing_all(topics: list[Topic]) -> None:
    everything = [
        (i, j) for i in range(len(topics)) for j in range(i + 1, len(topics)) if topics[i].near(topics[j])
    ]
    assert near_pairs(topics) == everything


@given(
    st.lists(st.tuples(st.integers(0, 4), st.sampled_from([0.0, 0.25, 0.5, 1.0])), max_size=20),
    st.integers(0, 6),
)
def test_settled_is_what_looking_at_every_group_says(
    ballots: list[tuple[int, float]], outstanding: int
) -> None:
    votes = Votes()
    for answer, weight in ballots:
        votes.add(str(answer), weight)
    groups = votes.groups
    leader = max(groups, key=lambda g: g.exact, default=None)
    assert votes.leader is leader
    if leader is None:
        return
    at = groups.index(leader)
    expected = leader.exact >= outstanding and all(
        leader.exact > g.exact + outstanding
        if groups.index(g) < at
        else leader.exact >= g.exact + outstanding
        for g in groups
        if g is not leader
    )
    assert votes.settled(outstanding) is (expected or outstanding == 0)
    assert len(votes) == len(ballots)
