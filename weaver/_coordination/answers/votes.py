"""Votes: which answer most of the findings agree on, and when that can no longer change.

Weights are added exactly (as fractions), so `Votes.settled` is a proof and not an estimate.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from weaver._coordination.answers.equivalence import equivalence
from weaver._coordination.answers.protocol import Equivalence
from weaver._data.result import Answer, Finding
from weaver.errors import ConfigurationError, NoAnswerError

Ballot = Finding | Answer | str
"""What can be voted with."""


@dataclass(slots=True)
class Group:
    """Ballots that say the same.

    Attributes:
        value: what the equivalence read from the first of them.
        number: how many groups came before it.
        ballots: in the order they were cast.
        weight: sum of their weights.
    """

    value: Any
    number: int = 0
    ballots: list[Ballot] = field(default_factory=list[Ballot])
    exact: Fraction = Fraction(0)

    @property
    def weight(self) -> float:
        """The sum of the weights, as a float."""
        return float(self.exact)

    @property
    def text(self) -> str:
        """The text of the first ballot."""
        return text_of(self.ballots[0])

    def __len__(self) -> int:
        return len(self.ballots)


class Votes:
    """A count of answers, for self-consistency (Wang et al. 2022, arXiv 2203.11171) and its kin.

    The heaviest group wins; of equally heavy ones the one whose first ballot came first. A ballot in which
    the equivalence finds no answer abstains. Where the equivalence is not transitive (a tolerance), a ballot
    joins the first group whose first ballot it equals.

    Args:
        same: when two answers are the same: anything that `equivalence` takes.
        max_weight: the most that one ballot may weigh; `settled` relies on it.

    Attributes:
        groups: in the order of their first ballots.
        abstained: ballots without an answer.
    """

    __slots__ = (
        "_by_key",
        "_count",
        "_equivalence",
        "_max_weight",
        "_order",
        "_total",
        "_without_keys",
        "abstained",
        "groups",
    )

    def __init__(
        self, same: str | Equivalence | Callable[[str], Any] | None = None, *, max_weight: float = 1.0
    ) -> None:
        if not max_weight > 0:
            raise ConfigurationError(f"max_weight is {max_weight}; it must be above 0.")
        self._equivalence = equivalence(same)
        self._max_weight = Fraction(max_weight)
        self.groups: list[Group] = []
        self.abstained: list[Ballot] = []
        self._by_key: dict[Hashable, list[int]] = {}
        self._without_keys: list[int] = []
        self._count = 0
        self._total = Fraction(0)
        # A heap of (-weight, number of the group). A group's latest entry counts, earlier ones are stale.
        self._order: list[tuple[Fraction, int]] = []

    def __len__(self) -> int:
        return self._count + len(self.abstained)

    def add(self, ballot: Ballot, weight: float = 1.0) -> Group | None:
        """Count a ballot without asking anybody; answers that cannot be compared count as different.

        Returns:
            The group it went to; None when it abstains.

        Raises:
            ConfigurationError: the weight is negative or above ``max_weight``.
        """
        value = self._read(ballot, weight)
        if value is None:
            return None
        return self._put(ballot, weight, value, self._equal(value))

    async def cast(self, ballot: Ballot, weight: float = 1.0) -> Group | None:
        """Like `add`, but ask the equivalence's arbiter (algebra, a judge) about what cannot be compared.

        Asks once per ballot that equals no group, about all groups that it may equal.
        """
        value = self._read(ballot, weight)
        if value is None:
            return None
        group = self._equal(value)
        arbiter = self._equivalence.arbiter
        if group is None and arbiter is not None:
            unsure = [g for g in self.groups if self._equivalence.same(g.value, value) is None]
            verdicts = await arbiter([(g.text, text_of(ballot)) for g in unsure]) if unsure else ()
            group = next((g for g, same in zip(unsure, verdicts, strict=False) if same), None)
        return self._put(ballot, weight, value, group)

    def _read(self, ballot: Ballot, weight: float) -> Any:
        if not 0 <= weight <= self._max_weight:
            raise ConfigurationError(
                f"A ballot weighs {weight}; these votes allow 0 to {float(self._max_weight)}.",
                hint="Say so with Votes(max_weight=...).",
            )
        value = self._equivalence.read(text_of(ballot))
        if value is None:
            self.abstained.append(ballot)
        return value

    def _equal(self, value: Any) -> Group | None:
        """The first group with the same value, as far as can be told without asking anybody."""
        keys = self._keys_of(value)
        numbers: Iterable[int] = range(len(self.groups))
        if keys is not None:
            numbers = sorted({*self._without_keys, *(n for key in keys for n in self._by_key.get(key, ()))})
        same = self._equivalence.same
        return next((self.groups[n] for n in numbers if same(self.groups[n].value, value)), None)

    def _keys_of(self, value: Any) -> tuple[Hashable, ...] | None:
        return None if self._equivalence.keys is None else self._equivalence.keys(value)

    def _put(self, ballot: Ballot, weight: float, value: Any, group: Group | None) -> Group:
        is_first = group is None
        if group is None:
            group = Group(value, len(self.groups))
            self.groups.append(group)
            keys = self._keys_of(value)
            if keys is None:
                self._without_keys.append(group.number)
            for key in dict.fromkeys(keys or ()):
                self._by_key.setdefault(key, []).append(group.number)
        group.ballots.append(ballot)
        group.exact += Fraction(weight)
        self._total += Fraction(weight)
        self._count += 1
        if weight or is_first:
            heapq.heappush(self._order, (-group.exact, group.number))
        return group

    def _first_two(self) -> tuple[Group, Group | None] | None:
        """The winning group and the next one."""
        top = self._next_in_order()
        if top is None:
            return None
        entry = heapq.heappop(self._order)
        following = self._next_in_order()
        heapq.heappush(self._order, entry)
        return top, following

    def _next_in_order(self) -> Group | None:
        while self._order:
            weight, number = self._order[0]
            if -weight == self.groups[number].exact:
                return self.groups[number]
            heapq.heappop(self._order)
        return None

    @property
    def ranking(self) -> list[Group]:
        """The groups, the winning one first."""
        return sorted(self.groups, key=lambda g: -g.exact)

    @property
    def leader(self) -> Group | None:
        """The group that would win now; None before the first answer."""
        return self._next_in_order()

    @property
    def counts(self) -> list[int]:
        """Ballots per group, the winning group first."""
        return [len(g) for g in self.ranking]

    @property
    def share(self) -> float:
        """The leader's part of the weight of all answers, 0 to 1; 0 before the first answer."""
        leader = self.leader
        return float(leader.exact / self._total) if leader is not None and self._total else 0.0

    def settled(self, outstanding: int) -> bool:
        """Return True if the winning group stays the same whatever the ``outstanding`` ballots will say."""
        if outstanding <= 0:
            return True
        if (pair := self._first_two()) is None:
            return False
        leader, following = pair
        coming = outstanding * self._max_weight
        if leader.exact < coming:  # a group that does not exist yet could win
            return False
        if following is None:
            return True
        # A tie goes to whoever came first, so an earlier group needs less to win than a later one. Of equal
        # groups the earliest follows, so it speaks for all.
        reach = following.exact + coming
        return leader.exact > reach if following.number < leader.number else leader.exact >= reach

    def winner(self) -> Answer:
        """The winning group's first answer.

        Without any answer, the first ballot that abstained: an odd text is better than none.

        Raises:
            NoAnswerError: no ballot was cast.
        """
        leader = self.leader
        ballots = leader.ballots if leader is not None else self.abstained
        if not ballots:
            raise NoAnswerError("There was nothing to vote on: no thread came to an answer.")
        return answer_from(ballots[0])


def text_of(ballot: Ballot) -> str:
    """The text of a finding, an answer or a string."""
    return ballot if isinstance(ballot, str) else ballot.text


def answer_from(ballot: Ballot) -> Answer:
    """The answer of a finding, an answer or a string."""
    if isinstance(ballot, Finding):
        return ballot.answer
    return Answer(ballot) if isinstance(ballot, str) else ballot
