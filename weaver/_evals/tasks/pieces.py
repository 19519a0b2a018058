"""Cutting work of known structure into pieces: what a sensible planner does. Only for simulations.

In our tasks the result of a part is needed by one other part at most, so parts form trees: the root is
worked out last. A piece is the parts below some roots, or the *head* of a tree that was cut: its root, and
what hangs on it in one line. The head of the whole is nobody's piece: whoever merges what was found works it
out.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from weaver._evals.items import Part

Numbers = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """Some parts of an item that one thread works on.

    Attributes:
        members: numbers of its parts, in the order of work.
        results: the parts among them whose answers are returned.
        after: the pieces, by their place in the list of pieces, that it needs the answers of.
    """

    members: Numbers
    results: Numbers
    after: Numbers = ()


def pieces(parts: Sequence[Part], most: int) -> list[Piece]:
    """Cut a tree into at most ``most`` pieces, each after those that it needs."""
    cut = _Cut(parts)
    cut.down_to(most, with_heads=True)
    groups = [(cut.below(tree), tree) for tree in cut.trees] + [(head, head[-1:]) for head in cut.heads[::-1]]
    home = {part: number for number, (members, _) in enumerate(groups) for part in members}
    matches: list[Piece] = []
    for number, (members, results) in enumerate(groups):
        after = {home[need] for member in members for need in parts[member].after} - {number}
        matches.append(Piece(members, results, tuple(sorted(after))))
    return matches


def independent_pieces(parts: Sequence[Part], most: int) -> list[Piece]:
    """Cut a tree into at most ``most`` independent pieces; the merge works out all heads."""
    cut = _Cut(parts)
    cut.down_to(most, with_heads=False)
    return [Piece(cut.below(tree), tree) for tree in cut.trees]


class _Cut:
    """Trees, each given by its roots (several where there was no room for a piece each), and their heads."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = parts
        self.heads: list[Numbers] = []
        needed = {need for part in parts for need in part.after}
        self.whole = tuple(number for number in range(len(parts)) if number not in needed)
        self.trees = [self.whole]

    def down_to(self, most: int, *, with_heads: bool) -> None:
        """Cut the largest tree again and again, as long as there is room."""
        while True:
            room = most - len(self.trees) + 1 - len(self.heads)
            for tree in sorted(self.trees, key=self.work, reverse=True):
                head, branches = self.head(tree)
                keep = with_heads and bool(head) and tree != self.whole
                if len(branches) > 1 and room - keep > 1:
                    place = self.trees.index(tree)
                    self.trees[place : place + 1] = _shared_out(branches, room - keep)
                    self.heads += [head] if keep else []
                    break
            else:
                return

    def head(self, tree: Numbers) -> tuple[Numbers, Numbers]:
        """The line from the root down to where branches begin, in the order of work, and the branches."""
        line: list[int] = []
        while len(tree) == 1:
            line.insert(0, tree[0])
            tree = self.parts[tree[0]].after
        return tuple(line), tree

    def below(self, tree: Numbers) -> Numbers:
        """All parts of a tree, in the order of work."""
        nodes = set(tree)
        for number in range(max(tree, default=-1), -1, -1):
            if number in nodes:
                nodes.update(self.parts[number].after)
        return tuple(sorted(nodes))

    def work(self, tree: Numbers) -> int:
        """Count the operations of all parts of a tree."""
        return sum(self.parts[number].work for number in self.below(tree))


def _shared_out(numbers: Numbers, most: int) -> list[Numbers]:
    """Divide into at most ``most`` runs of about the same length."""
    count = min(most, len(numbers))
    edges = [round(i * len(numbers) / count) for i in range(count + 1)]
    return [numbers[a:b] for a, b in itertools.pairwise(edges)]
