"""Graphs of what waits for what: levels that can go on at the same time, and cycles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

Graph = Mapping[str, Sequence[str]]
"""For each node the nodes that it waits for. Those that are no keys are ignored."""


def levels(graph: Graph) -> list[list[str]]:
    """Return the nodes by their longest chain of waiting, each level in the order of the graph.

    Raises:
        ValueError: there is a cycle.
    """
    if not any(graph.values()):
        return [list(graph)] if graph else []
    sorter = TopologicalSorter(_within(graph))
    sorter.prepare()
    place = {node: number for number, node in enumerate(graph)}
    rows: list[list[str]] = []
    while sorter.is_active():
        ready = sorter.get_ready()
        rows.append(sorted(ready, key=place.__getitem__))
        sorter.done(*ready)
    return rows


def cycle_in(graph: Graph) -> list[str]:
    """Return one cycle, in order of waiting, from its first node in the graph; [] when there is none."""
    if not any(graph.values()):
        return []
    try:
        TopologicalSorter(_within(graph)).prepare()
    except CycleError as error:
        cycle = list(reversed(error.args[1][1:]))
        nodes = set(cycle)
        start = cycle.index(next(node for node in graph if node in nodes))
        return cycle[start:] + cycle[:start]
    return []


def _within(graph: Graph) -> dict[str, list[str]]:
    return {node: [other for other in others if other in graph] for node, others in graph.items()}
