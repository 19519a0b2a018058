"""What each part's worker is asked, where the plan only names the parts and the task lists them.

"What are the capitals of France, Peru and Japan?" becomes "What are the capitals of France?". Small models
mix up parts that stand side by side, and the shorter question needs no template from the planner.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from weaver._data.plan import MergeName
from weaver._data.usage import estimate_tokens
from weaver._planning import cues
from weaver._text.patterns import lazily

MOST_TOKENS = 1000
"""Longer questions are given whole: providers keep a beginning of 1,024 tokens that threads share."""
_SENTENCE_END = lazily(r"(?<=[?!\uff1f\u061f\u3002\n])|(?<=\.)(?=\s)")
_QUESTION_MARKS = ("?", "\uff1f", "\u061f")
MOST_PLACES = 20
"""Places of the first name that are tried."""
# What stands between two items of a list: marks, and at most two short words ("and", "et la").
_GAP = lazily(r"[\s,;:&/|*\-\u2022\u3001\uff0c\uff1b]{1,8}(?:[^\W\d_]{1,4}\s{1,4}){0,2}")


_GOES_ON = lazily(r"\s{0,4}[,;/&\u3001\uff0c\uff1b]")
_BEGAN_BEFORE = lazily(r"[,;/&\u3001\uff0c\uff1b]\s{0,4}\Z")
_SHORT_WORD = lazily(r"\s{1,4}[^\W\d_]{1,4}\s")


def asks_one_answer(question: str) -> bool:
    """Tell whether the parts of a question are only means to one answer about all of them."""
    if cues.EACH.search(question):
        return False
    if cues.ONE_ANSWER.search(question):
        return True
    compared = cues.COMPARISON.search(question)
    # "Compare tea and coffee: price, taste" lists aspects, each with its own answer.
    return compared is not None and not re.search("[:\uff1a]", question[compared.end() :])


def merge_of_named(question: str, names: Sequence[str]) -> MergeName | None:
    """Choose the merge of parts that a plan says nothing about: those that the question names stay a list.

    Returns:
        ``concat``; None where the question does not name all parts, or asks one answer about them.
    """
    if len(names) < 2 or asks_one_answer(question):
        return None
    return "concat" if all(is_named_in(question, name) for name in names) else None


def is_named_in(question: str, name: str) -> bool:
    """Tell whether ``name`` stands in ``question`` as whole words."""
    return _place(question, name, 0) is not None


def part_questions(question: str, names: Sequence[str]) -> list[str] | None:
    """Return the question of each part: ``question`` with the one name in the place of the list of all.

    Args:
        question: the whole task.
        names: of all parts, in the plan's order.

    Returns:
        As many questions as names; None where the names are no list in ``question``, or are asked about
        together, or it is very long.
    """
    if len(names) < 2 or estimate_tokens(question) > MOST_TOKENS:
        return None
    # A small model that is asked for a text with one section writes all that it can think of.
    if asks_one_answer(question) or cues.SECTIONS.search(question):
        return None
    sentences = _SENTENCE_END.split(question)
    named_in = {
        place: {name for name in names if is_named_in(sentence, name)}
        for place, sentence in enumerate(sentences)
        if sentence.rstrip().endswith(_QUESTION_MARKS)
    }
    named_in = {place: named for place, named in named_in.items() if named}
    if len(named_in) > 1:
        return _with_own_questions(sentences, named_in, names)
    return _with_one_item(question, names)


def _with_own_questions(
    sentences: Sequence[str], named_in: Mapping[int, set[str]], names: Sequence[str]
) -> list[str] | None:
    """The text without the questions that name only others; None where a question names several parts."""
    if any(len(named) > 1 for named in named_in.values()) or set().union(*named_in.values()) != set(names):
        return None
    own = [[s for i, s in enumerate(sentences) if name in named_in.get(i, (name,))] for name in names]
    return ["".join(parts).strip() for parts in own]


def _with_one_item(question: str, names: Sequence[str]) -> list[str] | None:
    """The question with one name in the place of the list of all."""
    at = 0
    for _ in range(MOST_PLACES):
        first = _place(question, names[0], at)
        if first is None:
            return None
        places = _places_from(question, names, first)
        if places is not None:
            start, end = places[0][0], places[-1][1]
            if _has_more_items(question, start, end, question[places[-2][1] : places[-1][0]]):
                return None
            return [f"{question[:start]}{question[a:b]}{question[end:]}" for a, b in places]
        at = first[1]
    return None


def _places_from(question: str, names: Sequence[str], first: tuple[int, int]) -> list[tuple[int, int]] | None:
    """Find where the names stand, if each follows the one before, with no more than a separator between."""
    places = [first]
    for name in names[1:]:
        gap = _GAP.match(question, places[-1][1])
        if gap is None:
            return None
        place = _place(question, name, places[-1][1])
        if place is None or _GAP.fullmatch(question, places[-1][1], place[0]) is None:
            return None
        places.append(place)
    return places


def _has_more_items(question: str, start: int, end: int, last_gap: str) -> bool:
    """Tell whether the list has items that the plan does not name."""
    if _GOES_ON.match(question, end) or _BEGAN_BEFORE.search(question[max(0, start - 8) : start]):
        return True
    # In "a, b and c", what stands before the last item is a word.
    return not any(map(str.isalpha, last_gap)) and _SHORT_WORD.match(question, end) is not None


def _place(question: str, name: str, start: int) -> tuple[int, int] | None:
    words = r"\s+".join(map(re.escape, name.split()))
    if not words:
        return None
    match = re.compile(rf"(?<!\w){words}(?!\w)", re.IGNORECASE).search(question, start)
    return match.span() if match else None
