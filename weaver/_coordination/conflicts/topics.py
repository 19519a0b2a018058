"""What a claim speaks about, and whether two claims speak about the same."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from weaver._coordination.values.final import plain
from weaver._coordination.values.units import unit_of
from weaver._data.result import Claim

# Words that do not change what is spoken about.
_LEFT_OUT = frozenset((
    "of", "in", "for", "at", "on", "and", "or", "to", "by", "with", "from", "as", "per", "s", "is", "was",
    "are", "were", "be", "current", "currently", "latest", "total", "approximate", "approximately",
    "estimated", "estimate", "exact", "actual",
))  # fmt: skip
# Attributes that only say that there is a value; the subject then says all.
_EMPTY = frozenset(("value", "number", "amount", "figure", "count", "answer", "result", "quantity"))
_UNIT_AT_END = re.compile(r"\s+(?:in\s+([^\d()]+)|\(\s*(?:in\s+)?([^\d()]+?)\s*\))\s*$")


@dataclass(frozen=True, slots=True)
class Topic:
    """What a claim speaks about, as words without case, articles and plurals."""

    subject: frozenset[str]
    attribute: frozenset[str]

    @property
    def words(self) -> frozenset[str]:
        """All its words."""
        return self.subject | self.attribute

    def same(self, other: Topic) -> bool:
        """The same thing for certain: the same words, however they are split into subject and attribute.

        Not when the subjects are two different things ("A, owner of B" and "B, owner of A").
        """
        if self.words != other.words:
            return False
        return self.subject <= other.subject or other.subject <= self.subject

    def near(self, other: Topic) -> bool:
        """Perhaps the same thing: half of the words in common, and no number or year different.

        Subjects without a common word (two cities) are never the same thing.
        """
        shared, all_words = self.words & other.words, self.words | other.words
        if not (self.subject & other.words and other.subject & self.words):
            return False
        if any(c.isdigit() for word in all_words - shared for c in word):
            return False
        return 2 * len(shared) >= len(all_words)


def near_pairs(topics: Sequence[Topic]) -> list[tuple[int, int]]:
    """Return the pairs of ``topics`` that are near each other, as indexes, in order.

    Only topics that can be near are compared. They have the same words with digits. And of two sets that have
    half of all their words in common, the rarer halves of their words meet (the prefix filter of Chaudhuri,
    Ganti and Kaushik, "A primitive operator for similarity joins", 2006).
    """
    frequency = Counter(word for topic in topics for word in topic.words)
    by_word: dict[tuple[frozenset[str], str], list[int]] = {}
    pairs: list[tuple[int, int]] = []
    for index, topic in enumerate(topics):
        words = sorted(topic.words, key=lambda word: (frequency[word], word))
        digits = frozenset(word for word in words if any(c.isdigit() for c in word))
        earlier: set[int] = set()
        for word in words[: len(words) // 2 + 1]:
            alike = by_word.setdefault((digits, word), [])
            earlier.update(alike)
            alike.append(index)
        pairs += [(other, index) for other in earlier if topics[other].near(topic)]
    return sorted(pairs)


def topic_of(claim: Claim) -> Topic:
    """The claim's topic. A unit in the attribute ("height in metres", "cost (USD)") is no part of it."""
    attribute = claim.attribute
    unit = _UNIT_AT_END.search(attribute)
    if unit is not None and unit_of(unit[1] or unit[2]) is not None:
        attribute = attribute[: unit.start()]
    return Topic(_words(claim.subject), _words(attribute) - _EMPTY)


def _words(text: str) -> frozenset[str]:
    words = plain(text).split()
    return frozenset(_singular(w) for w in words if w not in _LEFT_OUT) or frozenset(words)


def _singular(word: str) -> str:
    if len(word) <= 3 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "xes", "zes", "sses")):
        return word[:-2]
    return word[:-1]
