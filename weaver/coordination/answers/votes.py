"""Votes: which answer most of the findings agree on, and when that can no longer change.

Weights are added exactly (as fractions), so `Votes.settled` is a proof and not an estimate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from weaver.coordination.answers.equivalence import equivalence
from weaver.coordination.answers.protocol import Equivalence
from weaver.errors import ConfigurationError, NoAnswer
from weaver.result import Answer, Finding

Ballot = Finding | Answer | str
"""What can be voted with."""


@dataclass(slots=True)
class Group:
    """Ballots that say the same.

    Attributes:
        value: what the equivalence read from the first of them.
        ballots: in the order they were cast.
        weight: sum of their weights.
    """

    value: Any
    ballots: list[Ballot] = field(default_factory=list)
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

    __slots__ = ("_equivalence", "_max_weight", "abstained", "groups")

    def __init__(
        self, same: str | Equivalence | Callable[[str], Any] | None = None, *, max_weight: float = 1.0
    ) -> None:
        if not max_weight > 0:
            raise ConfigurationError(f"max_weight is {max_weight}; it must be above 0.")
        self._equivalence = equivalence(same)
        self._max_weight = Fraction(max_weight)
        self.groups: list[Group] = []
        self.abstained: list[Ballot] = []

    def __len__(self) -> int:
        return sum(map(len, self.groups)) + len(self.abstained)

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
        found = next((g for g in self.groups if self._equivalence.same(g.value, value)), None)
        return self._put(ballot, weight, value, found)

    async def cast(self, ballot: Ballot, weight: float = 1.0) -> Group | None:
        """Like `add`, but ask the equivalence's arbiter (algebra, a judge) about what cannot be compared.

        Asks once per ballot that equals no group, about all groups that it may equal.
        """
        value = self._read(ballot, weight)
        if value is None:
            return None
        verdicts = [self._equivalence.same(g.value, value) for g in self.groups]
        found = next((g for g, same in zip(self.groups, verdicts, strict=True) if same), None)
        unsure = [g for g, same in zip(self.groups, verdicts, strict=True) if same is None]
        if found is None and unsure and self._equivalence.arbiter is not None:
            said = await self._equivalence.arbiter([(g.text, text_of(ballot)) for g in unsure])
            found = next((g for g, same in zip(unsure, said, strict=False) if same), None)
        return self._put(ballot, weight, value, found)

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

    def _put(self, ballot: Ballot, weight: float, value: Any, group: Group | None) -> Group:
        if group is None:
            group = Group(value)
            self.groups.append(group)
        group.ballots.append(ballot)
        group.exact += Fraction(weight)
        return group

    @property
    def ranking(self) -> list[Group]:
        """The groups, the winning one first."""
        return sorted(self.groups, key=lambda g: -g.exact)

    @property
    def leader(self) -> Group | None:
        """The group that would win now; None before the first answer."""
        return max(self.groups, key=lambda g: g.exact, default=None)

    @property
    def counts(self) -> list[int]:
        """Ballots per group, the winning group first."""
        return [len(g) for g in self.ranking]

    @property
    def margin(self) -> float:
        """By how much the leader outweighs the next group; 0 before the first answer."""
        ranking = self.ranking
        if not ranking:
            return 0.0
        return float(ranking[0].exact - (ranking[1].exact if len(ranking) > 1 else 0))

    @property
    def share(self) -> float:
        """The leader's part of the weight of all answers, 0 to 1; 0 before the first answer."""
        total = sum((g.exact for g in self.groups), Fraction(0))
        return float(self.leader.exact / total) if self.leader is not None and total else 0.0

    def settled(self, outstanding: int) -> bool:
        """Whether the winning group stays the same whatever the ``outstanding`` ballots will say."""
        if outstanding <= 0:
            return True
        leader = self.leader
        if leader is None:
            return False
        coming = outstanding * self._max_weight
        earlier = True
        for group in self.groups:
            if group is leader:
                earlier = False
            # A tie goes to whoever came first, so an earlier group needs less to win than a later one.
            elif (leader.exact <= group.exact + coming) if earlier else (leader.exact < group.exact + coming):
                return False
        return leader.exact >= coming  # a group that does not exist yet would be a later one

    def winner(self) -> Answer:
        """The winning group's first answer.

        Without any answer, the first ballot that abstained: an odd text is better than none.

        Raises:
            NoAnswer: no ballot was cast.
        """
        leader = self.leader
        ballots = leader.ballots if leader is not None else self.abstained
        if not ballots:
            raise NoAnswer("There was nothing to vote on: no thread came to an answer.")
        return answer_from(ballots[0])


def text_of(ballot: Ballot) -> str:
    """The text of a finding, an answer or a string."""
    return ballot if isinstance(ballot, str) else ballot.text


def answer_from(ballot: Ballot) -> Answer:
    """The answer of a finding, an answer or a string."""
    if isinstance(ballot, Finding):
        return ballot.answer
    return Answer(ballot) if isinstance(ballot, str) else ballot


def confidence_weight(ballot: Ballot, default: float = 0.5) -> float:
    """The answer's own confidence, 0 to 1; ``default`` when it does not say or says nonsense."""
    confidence = None if isinstance(ballot, str) else answer_from(ballot).confidence
    return confidence if confidence is not None and 0 <= confidence <= 1 else default
