"""What is killed: small methods that show one thing each, and every built-in strategy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.native.trained import TRAINED
from tests.strategies.sensible import FAST, HARD, OURS
from weaver import Answer, Run, Task, tool
from weaver.errors import WeaverError
from weaver.joins import First, Quorum
from weaver.options import Hedge


@dataclass(frozen=True)
class Method:
    """A method to be killed.

    Args:
        strategy: a name with options, or a function.
        question: what it is asked.
        is_race: whether who is faster decides about the answer, even where the two moods of the server agree.
        options: of `Weaver`.
        documents: that the question is about.
        flow: a workflow that is run instead, YAML.
        effects: times that its tool works when nobody kills the run.
        asks: tool calls and steps that a person is asked about.
    """

    strategy: Any
    question: str = HARD
    is_race: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    documents: Sequence[Any] = ()
    flow: str = ""
    effects: int = 0
    asks: int = 0


async def toy(run: Run, task: Task) -> Answer:
    """Plan; eight calls, one of which fails twice and one of which times out; five are enough; synthesis."""
    plan = await run.think("make a plan", role="planner")

    async def body(run: Run, task: Task) -> Answer:
        for attempt in range(3):
            try:
                return Answer((await run.think(f"{task.question} attempt {attempt}")).text)
            except WeaverError:
                continue
        return Answer("never")

    async with run.fork(
        [Task(f"toy {i} of {len(plan.text)}") for i in range(8)], body=body, timeout=0.6, on_timeout="fail"
    ) as threads:
        winners = await threads.join(Quorum(5))
    end = await run.think("put together: " + " ".join(sorted(w.id for w in winners)), role="synthesizer")
    return Answer(" ".join(w.id for w in winners) + " " + end.text)


async def race(run: Run, task: Task) -> Answer:
    """Three side by side, the first one wins, and its answer is repeated."""
    async with run.fork([Task("slow racer"), Task("quick racer"), Task("middle racer")]) as threads:
        winner = (await threads.join(First()))[0]
    return Answer(winner.id + ": " + (await run.think(f"repeat {winner.id} {winner.text}")).text)


async def hedged(run: Run, task: Task) -> Answer:
    """Four threads, the slowest of which gets a second attempt."""
    async with run.fork(
        [Task(f"hedged {i}") for i in range(4)], hedge=Hedge(factor=1, least=2, after=0.1)
    ) as threads:
        return Answer(" ".join(t.text for t in await threads.join()))


async def nested(run: Run, task: Task) -> Answer:
    """Threads that fork again, and a decision in each."""

    async def inner(run: Run, task: Task) -> Answer:
        async with run.fork([Task(f"{task.question} {side}") for side in ("left", "right")]) as threads:
            winner = (await threads.join(First()))[0]
        return Answer(f"{winner.id}={winner.text}")

    async with run.fork([Task("nest a"), Task("nest b")], body=inner) as threads:
        return Answer(" ".join(t.text for t in await threads.join()))


async def steps(run: Run, task: Task) -> Answer:
    """Recorded steps between calls."""

    async def add() -> int:
        return 1

    total = 0
    for i in range(4):
        total += await run.step("add", add)
        await run.think(f"step {i} of {total}")
    return Answer(str(total))


EFFECTS, ASKED = "effects", "asked"
"""Files in which the tool, and who is asked, leave a line for each time."""


def tools_in(folder: Path, method: Method) -> list[Any]:
    """A tool whose effects can be counted."""

    @tool(approve=bool(method.asks) and not method.flow)
    def add_line(text: str) -> str:
        """Write a line."""
        leave_line(folder / EFFECTS, text)
        return f"wrote {text}"

    return [add_line] if method.effects else []


def leave_line(file: Path, text: str) -> None:
    """Add a line to a file."""
    with file.open("a") as lines:
        lines.write(text + "\n")


FLOW = """\
version: weaver/v1
name: killed
steps:
  list: {task: 'What is there?'}
  each:
    for_each: [apples, pears, plums, figs]
    max_parallel: 3
    task: 'Item ${{ item }} after ${{ steps.list.output }}.'
  vote: {task: 'Vote.', strategy: {name: self_consistency, samples: 3}}
  agreed: {approve: 'Go on with ${{ steps.each.output }}?', needs: each}
  note: {function: add_line, with: {text: noted}, needs: agreed}
  tooled: {task: use the tool, tools: [add_line], needs: agreed}
  end: {task: 'End after ${{ steps.tooled.output }}, ${{ steps.note.output }} and ${{ steps.vote.output }}.'}
outputs: {end: '${{ steps.end.output }}', items: '${{ steps.each.output }}'}
"""
ROWS = [f"{n};ann;{'Oslo' if n % 7 else 'Lima'}" for n in range(200)]
ORDERS = ("orders.csv", "\n".join(["id;name;city", *ROWS, ""]))
READING = {
    "map_reduce": "map_reduce:combine=write,piece=256,window=2048",
    "explore": "explore:window=2048",
}


OWN: dict[str, Method] = {
    "toy": Method(toy, is_race=True, options={"models": {"openai/scripted": {"retries": 0}}}),
    "race": Method(race, is_race=True),
    "hedged": Method(hedged),
    "nested": Method(nested, is_race=True),
    "steps": Method(steps),
    "tools": Method("sequential", "use the tool", effects=1),
    "approval": Method("sequential", "use the tool", effects=1, asks=1),
    "workflow": Method(None, flow=FLOW, effects=2, asks=1, options={"seed": 7}),
}


def methods() -> dict[str, Method]:
    """Every method by name."""
    strategies = {
        # The gate of adaptive looks at how fast the endpoint has been.
        name: Method(FAST.get(name, name), is_race=name == "adaptive", options={"seed": 7})
        for name in OURS
        if name not in READING
    }
    reading = {
        name: Method(strategy, "Which orders went to Lima?", options={"seed": 7}, documents=[ORDERS])
        for name, strategy in READING.items()
    }
    natives = {
        trained.name: Method(trained.strategy, trained.question, options={"model": "openai/trained"})
        for trained in TRAINED
    }
    return OWN | strategies | reading | natives


Plays = Callable[[str], Any]
PLAYS: dict[str, Plays] = {trained.name: trained.plays for trained in TRAINED}
