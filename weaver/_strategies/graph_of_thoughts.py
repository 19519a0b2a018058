"""Graph of Thoughts: a graph of operations that generate, score, keep, merge and improve thoughts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from pydantic import InstanceOf

from weaver._data.result import Answer
from weaver._data.task import Task
from weaver._planning.features import TaskFeatures
from weaver._runtime.run import Run
from weaver._runtime.threads.join_protocol import missing
from weaver._strategies.common.option_types import Count, Warmth
from weaver._strategies.common.registry import strategy
from weaver._strategies.common.sampling import told_without_tools
from weaver._strategies.common.thought_graph import (
    Aggregate,
    Generate,
    Graph,
    Improve,
    KeepBestN,
    Node,
    Score,
    Thought,
)
from weaver._strategies.sequential import sequential
from weaver.errors import NoAnswerError

ALWAYS = 8
"""Threads of the default graph, whatever its width: its operations, and one improvement."""


def default_graph(branches: int = 5, keep: int = 3, merges: int = 3) -> Graph:
    """Drafts, the best of them merged, and the best of all improved: a recipe for any task."""
    return (
        Graph()
        .then("draft", Generate(num_branches_response=branches))
        .then("score", Score())
        .then("keep", KeepBestN(keep))
        .then("merge", Aggregate(num_responses=merges))
        .then("score-merged", Score())
        .then("best", KeepBestN(1), after=["keep", "score-merged"])
        .then("improve", Improve())
    )


@strategy("graph_of_thoughts", source="Graph of Thoughts, Besta et al. 2023, arXiv 2308.09687")
async def graph_of_thoughts(
    run: Run,
    task: Task,
    *,
    branches: Count = 5,
    keep: Count = 3,
    merges: Count = 3,
    temperature: Warmth = 1.0,
    graph: InstanceOf[Graph] | None = None,
) -> Answer:
    """Run a graph of operations on thoughts; answer with the best thought of its last operation.

    Besta et al. 2023. An operation starts as soon as those before it are done. The paper's graphs are made
    by hand for each task, from the operations in `weaver._strategies.common.thought_graph`; without ``graph``
    a general recipe is followed (`default_graph`).

    Args:
        branches: drafts; keep: how many of them are merged; merges: how often (default graph only). Fewer
            where fewer threads may be started; below 12 threads the task is answered directly.
        temperature: unless the task or the run sets one.
        graph: a graph of your own.
    """
    width = _fitting(run, branches, merges) if graph is None else (branches, merges)
    if width is None:
        because = "there are too few threads for a graph"
        run.decide(parallel=False, by="fallback", because=because, features=TaskFeatures(task))
        return replace(await sequential(run, task), complete=False)
    told_without_tools(run, task)
    if run.context.temperature is None:
        task = replace(task, temperature=temperature)
    if graph is None:
        names = dict.fromkeys((f"{width[0]} drafts", f"{branches} drafts"))
        features = {"wanted": float(branches), "merges": float(width[1])}
        run.context.log_decision("width", *names, policy="limits/1", features=features)
    nodes = (graph or default_graph(width[0], keep, width[1])).nodes
    made: dict[str, list[Thought]] = {}

    async def perform(own: Run, _: Task, *, node: Node) -> Answer:
        before = [thought for name in node.after for thought in made[name]]
        thoughts = await node.operation(own, task, before)
        if not thoughts:
            raise NoAnswerError(f"Operation {node.name!r} has left no thought.")
        made[node.name] = thoughts
        run.offer(Answer(_best(thoughts).text, complete=False))
        return Answer(_best(thoughts).text)

    async with run.fork(name="op") as threads:
        for node in nodes:
            titled = replace(task, title=node.name)
            threads.start(titled, id=node.name, after=node.after, body=partial(perform, node=node))
        threads.close()
        await threads.join()
    if nodes[-1].name not in made:
        raise NoAnswerError(missing(threads.all, f"The graph did not come to its end, {nodes[-1].name!r}"))
    best = _best(made[nodes[-1].name])
    return Answer(best.text, complete=best.whole and width == (branches, merges))


def _fitting(run: Run, branches: int, merges: int) -> tuple[int, int] | None:
    """Return the drafts and merges that the threads left allow; None: not one of each.

    A note says so if they are fewer than wanted. Every draft and every merge is written and scored.
    """
    available, needed = run.remaining.threads, ALWAYS + 2 * (branches + merges)
    if available is None or available >= needed:
        return branches, merges
    run.note(f"Only {available} of {needed} threads may be started; raise max_threads for more.")
    room = (available - ALWAYS) // 2
    fewer = min(merges, max(1, room // 3))
    return (min(branches, room - fewer), fewer) if room >= 2 else None


def _best(thoughts: Sequence[Thought]) -> Thought:
    """The highest score; without scores the first thought."""
    return max(thoughts, key=lambda t: float("-inf") if t.score is None else t.score)
