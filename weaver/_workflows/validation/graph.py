"""The steps as a graph: who waits for whom, what has a cycle, what can run at once."""

from __future__ import annotations

from weaver._data.waiting import Graph, cycle_in, levels

__all__ = ["Graph", "ancestors", "behind", "cycles", "levels", "reduced", "sinks"]


def cycles(graph: Graph) -> list[list[str]]:
    """One cycle of each group of steps that wait for each other, in order of waiting."""
    loops: list[list[str]] = []
    remaining = dict(graph)
    while cycle := cycle_in(remaining):
        loops.append(cycle)
        for step in cycle:
            del remaining[step]
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
