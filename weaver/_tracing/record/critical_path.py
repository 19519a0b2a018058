"""The critical path: what the end had to wait for, step by step, walking back in time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weaver._data.result import ThreadReport


@dataclass(frozen=True, slots=True)
class Node:
    """A piece of work in time.

    Attributes:
        id, parent: ``parent`` is None for the outermost pieces.
        start, end: on any one clock.
        waited_for: False for what nobody waited for: cancelled work, and spans that are only waiting.
        early: True when others may start before it ends, as threads do while a plan is being written.
    """

    id: str
    parent: str | None
    start: float
    end: float
    waited_for: bool = True
    early: bool = False


def critical_path(nodes: Iterable[Node], *, slack: float = 1e-6) -> list[str]:
    """Ids on the critical path, in order of time; a piece comes before the pieces inside it.

    From the end of each piece, the child that ended last is on the path; then the one that ended last
    before that child began, and so on.

    Args:
        slack: how much two pieces that follow each other may overlap, in the nodes' unit of time.
    """
    inside: dict[str | None, list[Node]] = {}
    on_path: set[str] = set()
    for node in nodes:
        on_path.add(node.id)
        if node.waited_for:
            inside.setdefault(node.parent, []).append(node)
    roots = [n for parent, group in inside.items() if parent is None or parent not in on_path for n in group]
    path: list[str] = []
    stack: list[Node] = _chain(roots, float("inf"), slack)[::-1]
    while stack:
        node = stack.pop()
        path.append(node.id)
        stack.extend(reversed(_chain(inside.get(node.id, ()), node.end, slack)))
    return path


def _chain(group: Sequence[Node], until: float, slack: float) -> list[Node]:
    """The siblings on the path up to ``until``, in order of time."""
    chain: list[Node] = []
    waiting = sorted(group, key=lambda n: n.end)
    # A child may outlive its parent by a hair, or by a lot when it was left running: both end with it.
    moment = max(until, waiting[-1].end) if waiting else until
    while waiting:
        node = waiting.pop()
        follows = node.end <= moment + slack and node.start <= moment
        if follows or (node.early and node.start < moment):
            chain.append(node)
            moment = node.start
    return chain[::-1]


def critical_threads(reports: Sequence[ThreadReport]) -> list[str]:
    """Ids of the threads on a run's critical path, in order of time."""
    return critical_path(
        Node(
            id=report.id,
            parent=report.parent,
            start=report.started_at,
            end=report.started_at + report.seconds,
            waited_for=report.state not in ("cancelled", "skipped"),
        )
        for report in reports
        if report.started_at is not None
    )
