"""What threads state, gathered into matters: one matter per thing that several threads speak about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from weaver._coordination.answers.equivalence import equivalence
from weaver._coordination.answers.protocol import Equivalence
from weaver._coordination.conflicts.claims import same_claimed, split_claims, value_of, written
from weaver._coordination.conflicts.topics import Topic, topic_of
from weaver._coordination.values.final import final_answer, is_short, shown
from weaver._coordination.values.scalars import Value
from weaver._data.result import Answer, Claim, Conflict, ConflictValue, ThreadState
from weaver._data.task import Task

ANSWER = "answer"
"""The attribute of a conflict between whole answers to the same question."""


class Told(Protocol):
    """What is read of a thread. `weaver._runtime` threads have it."""

    @property
    def id(self) -> str: ...
    @property
    def task(self) -> Task: ...
    @property
    def state(self) -> ThreadState: ...
    @property
    def answer(self) -> Answer | None: ...


@dataclass(frozen=True, slots=True)
class Statement:
    """One claim, or one whole answer, of one thread.

    Attributes:
        text: for people: the value with its unit, or the marked answer.
        value: in the form that is compared.
        claim: None for a whole answer; ``full`` is then its text.
    """

    thread: str
    text: str
    value: Any
    claim: Claim | None = None
    full: str = ""
    confidence: float | None = None


@dataclass(slots=True)
class Matter:
    """One thing that threads speak about, and the groups of statements that agree on it.

    Attributes:
        subject, attribute: in the words of the first statement.
        topic: None for whole answers to the same question.
        groups: in the order of their first statements; an index into it stays valid.
        same: compares two values; None when it cannot tell.
        apart: pairs of groups that were found to exclude each other.
    """

    subject: str
    attribute: str
    topic: Topic | None
    same: Equivalence
    groups: list[list[Statement]] = field(default_factory=list[list[Statement]])
    apart: set[frozenset[int]] = field(default_factory=set[frozenset[int]])
    _side: list[int] = field(default_factory=list[int])

    def add(self, *statements: Statement) -> None:
        """Put statements that agree into the first group that they agree with, or into a new one."""
        verdicts = [self.same.same(group[0].value, statements[0].value) for group in self.groups]
        number = next((i for i, same in enumerate(verdicts) if same), len(self.groups))
        if number == len(self.groups):
            self.groups.append([])
            self._side.append(number)
        self.groups[number].extend(statements)
        # A statement without a unit may leave open what this one, of the same group, excludes.
        self.apart.update(frozenset((i, number)) for i, same in enumerate(verdicts) if same is False)

    @property
    def threads(self) -> set[str]:
        """The threads that make a statement about it."""
        return {s.thread for group in self.groups for s in group}

    @property
    def many_valued(self) -> bool:
        """True if one thread gives several values ("founders"): then they do not exclude each other."""
        speakers = [{s.thread for s in group} for group in self.groups]
        return any(a & b for i, a in enumerate(speakers) for b in speakers[i + 1 :])

    def unsure(self) -> list[tuple[int, int]]:
        """Pairs of groups that could not be compared."""
        pairs = ((i, j) for j in range(len(self.groups)) for i in range(j))
        return [(i, j) for i, j in pairs if frozenset((i, j)) not in self.apart]

    def exclude(self, i: int, j: int) -> None:
        """Two groups cannot both hold."""
        self.apart.add(frozenset((i, j)))

    def unite(self, i: int, j: int) -> None:
        """Two groups can both hold, unless something on the one side excludes something on the other."""
        first, other = sorted((self._side[i], self._side[j]))
        members = {side: [n for n, s in enumerate(self._side) if s == side] for side in (first, other)}
        if any(frozenset((a, b)) in self.apart for a in members[first] for b in members[other]):
            return
        for n in members[other]:
            self._side[n] = first

    @property
    def sides(self) -> list[list[Statement]]:
        """The groups, united ones as one, in the order of their first statements."""
        united: dict[int, list[Statement]] = {}
        for side, group in zip(self._side, self.groups, strict=True):
            united.setdefault(side, []).extend(group)
        return list(united.values())

    @property
    def partition(self) -> set[frozenset[str]]:
        """The threads of each side."""
        return {frozenset(s.thread for s in side) for side in self.sides}

    def conflict(self) -> Conflict | None:
        """The conflict, if there is more than one side."""
        sides = self.sides
        if len(sides) < 2:
            return None
        return Conflict(self.subject, self.attribute, tuple(map(_conflict_value, sides)))


CLAIMED = Equivalence("claim", lambda text: text, same_claimed)


def answered(threads: Iterable[Told]) -> list[Told]:
    """The threads that succeeded with an answer, in their order."""
    return [t for t in threads if t.state == "succeeded" and t.answer is not None]


def answer_matters(threads: Sequence[Told], same: Equivalence | None = None) -> list[Matter]:
    """One matter per question that several threads answered.

    Prose cannot be compared mechanically. Where every thread has claims, those are compared instead.
    """
    by_question: dict[tuple[str, str], list[Told]] = {}
    for thread in answered(threads):
        key = (" ".join(thread.task.question.split()), thread.task.context)
        by_question.setdefault(key, []).append(thread)
    matters: list[Matter] = []
    for group in by_question.values():
        if len(group) < 2:
            continue
        how = same or equivalence(group[0].task.equivalence)
        matter = Matter(group[0].task.label, ANSWER, None, how)
        statements = [s for thread in group if (s := _answer_statement(thread, how)) is not None]
        claimed = all(_claims_of(t) for t in group)
        if claimed and any(_is_prose(s) for s in statements):
            continue
        for statement in statements:
            matter.add(statement)
        matters.append(matter)
    return matters


def claim_matters(threads: Sequence[Told]) -> list[Matter]:
    """One matter per topic of claims."""
    matters: list[Matter] = []
    by_words: dict[frozenset[str], list[Matter]] = {}  # topics that are the same have the same words
    for thread in answered(threads):
        for claim in _claims_of(thread):
            value = value_of(claim)
            if value is None:
                continue
            topic = topic_of(claim)
            alike = by_words.setdefault(topic.words, [])
            matter = next((m for m in alike if m.topic is not None and m.topic.same(topic)), None)
            if matter is None:
                matter = Matter(claim.subject, claim.attribute, topic, CLAIMED)
                matters.append(matter)
                alike.append(matter)
            matter.add(Statement(thread.id, written(claim), value, claim, confidence=claim.confidence))
    return matters


def _claims_of(thread: Told) -> tuple[Claim, ...]:
    assert thread.answer is not None
    return thread.answer.claims or split_claims(thread.answer.text)[1]


def _answer_statement(thread: Told, same: Equivalence) -> Statement | None:
    assert thread.answer is not None
    text = split_claims(thread.answer.text)[0]
    value = same.read(text)
    if value is None:
        return None
    return Statement(thread.id, shown(text), value, full=text, confidence=thread.answer.confidence)


def _is_prose(statement: Statement) -> bool:
    if not isinstance(statement.value, Value) or statement.value.kind != "text":
        return False
    return final_answer(statement.full) is None and not is_short(statement.full)


def _conflict_value(group: list[Statement]) -> ConflictValue:
    stated = [s.confidence for s in group if s.confidence is not None]
    threads = tuple(dict.fromkeys(s.thread for s in group))
    return ConflictValue(group[0].text, threads, sum(stated) / len(stated) if stated else None)
