"""The steps as a graph: who waits for whom, what has a cycle, what can run at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Graph = Mapping[str, Sequence[str]]
"""For each step the steps that it waits for."""


def cycles(graph: Graph) -> list[list[str]]:
    """One cycle of each group of steps that wait for each other, in order of waiting."""
    loops: list[list[str]] = []
    done: set[str] = set()
    for start in graph:
        if start in done:
            continue
        path: list[str] = []
        on_path: set[str] = set()
        stack: list[tuple[str, int]] = [(start, 0)]
        while stack:
            node, child = stack.pop()
            if child == 0:
                path.append(node)
                on_path.add(node)
            needs = [n for n in graph[node] if n in graph]
            if child < len(needs):
                stack.append((node, child + 1))
                following = needs[child]
                if following in on_path:
                    cycle = path[path.index(following) :]
                    if not any(set(cycle) & set(other) for other in loops):
                        loops.append(cycle)
                elif following not in done:
                    stack.append((following, 0))
            else:
                path.pop()
                on_path.discard(node)
                done.add(node)
    return loops


def behind(graph: Graph, stuck: set[str]) -> dict[str, str]:
    """Steps that wait, directly or not, for one of ``stuck``, with the step that each waits for."""
    reached: dict[str, str] = {}
    changed = True
    while changed:
        changed = False
        for step, needs in graph.items():
            if step in stuck or step in reached:
                continue
            for need in needs:
                if need in stuck or need in reached:
                    reached[step] = need
                    changed = True
                    break
    return reached


def levels(graph: Graph) -> list[list[str]]:
    """Steps by their longest chain of waiting: those of one level can run at the same time.

    Raises:
        ValueError: there is a cycle.
    """
    placed: dict[str, int] = {}
    waiting = list(graph)
    while waiting:
        ready = [s for s in waiting if all(n in placed for n in graph[s] if n in graph)]
        if not ready:
            raise ValueError(f"a cycle among {', '.join(waiting)}")
        for step in ready:
            placed[step] = 1 + max((placed[n] for n in graph[step] if n in graph), default=-1)
        waiting = [s for s in waiting if s not in placed]
    rows: list[list[str]] = [[] for _ in range(1 + max(placed.values(), default=-1))]
    for step, level in placed.items():
        rows[level].append(step)
    return rows


def ancestors(graph: Graph, step: str) -> set[str]:
    """Everything that ``step`` waits for, directly or not."""
    visited: set[str] = set()
    stack = list(graph.get(step, ()))
    while stack:
        need = stack.pop()
        if need not in visited:
            visited.add(need)
            stack += graph.get(need, ())
    return visited


def reduced(graph: Graph) -> dict[str, list[str]]:
    """The graph without what follows from the rest: who waits for b, which waits for a, need not name a."""
    above = {step: ancestors(graph, step) for step in graph}
    return {
        step: [need for need in needs if not any(need in above[other] for other in needs if other in above)]
        for step, needs in graph.items()
    }


def sinks(graph: Graph) -> list[str]:
    """Steps that nobody waits for, in order."""
    needed = {need for needs in graph.values() for need in needs}
    return [step for step in graph if step not in needed]
