"""What a way to compare answers is; the ways themselves are in `weaver._coordination.answers.equivalence`."""

from __future__ import annotations

import operator
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

Arbiter = Callable[[Sequence[tuple[str, str]]], Awaitable[Sequence[bool | None]]]
"""Asked about pairs of answer texts that could not be compared; says for each whether they are the same."""


@dataclass(frozen=True, slots=True)
class Equivalence:
    """A way to compare answers. Callable: gives the value it reads, as `Task.equivalence` wants it.

    Args:
        name: its text form (``auto``, ``number(0.01)``).
        read: the value that a text gives; None when the text has no such answer (it then abstains).
        same: whether two values are the same; None when that cannot be told here.
        arbiter: asked about the pairs for which ``same`` says None; without one they count as different.
        keys: keys of a value. Two values can only be the same where they share one, so that many values need
            not all be compared with each other. None, for a value or for all: compare with every other.
    """

    name: str
    read: Callable[[str], Any]
    same: Callable[[Any, Any], bool | None] = operator.eq
    arbiter: Arbiter | None = None
    keys: Callable[[Any], tuple[Hashable, ...] | None] | None = None

    def __call__(self, text: str) -> Any:
        """The value of a text."""
        return self.read(text)

    def compare(self, one: str, other: str) -> bool | None:
        """Compare two texts without asking anybody. None: cannot be told, or one of them has no answer."""
        a, b = self.read(one), self.read(other)
        return None if a is None or b is None else self.same(a, b)
