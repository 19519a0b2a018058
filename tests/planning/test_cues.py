"""Short ways to look for cues find what the patterns themselves find."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weaver._planning import cues, enumerations, policy
from weaver._text.patterns import is_in, lazily

WORDS = [
    "for", "each", "OF", "compare", "Versus", "vs.", "and", "AND", "then", "Then,", ";", ".", ":",
    "start", "with", "3", "three", "TWO", "12", "123", "sections", "Poems", "(a)", "b)", "1.", "2)",
    "(3)", "iv)", "step", "each", "Every", "separately", "write", "a", "story", "\u00e9", "und",
    "\u0130", "\u017f", "\u2460", "\uff09", "\uff082\uff09", "\u7b2c", "\u4e24", "\u90e8\u5206",
    "\u6bb5", "\u7136\u540e", "\u548c",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join) | st.text(max_size=60)


@pytest.mark.parametrize(
    "words",
    [cues.SEVERAL, cues.COMPARISON, cues.EACH, policy._CHAIN, policy._AND],
    ids=["several", "comparison", "each", "chain", "and"],
)
@given(text=TEXTS)
def test_words_are_found_as_by_the_pattern(words: re.Pattern[str], text: str) -> None:
    assert is_in(words, text) == (words.search(text) is not None)


def test_case_does_not_matter() -> None:
    words = lazily(r"\bcompare\b", re.IGNORECASE)
    assert is_in(words, "COMPARE them")
    assert is_in(words, "Compare é")
    assert not is_in(words, "compared")


@given(text=TEXTS)
def test_texts_without_numbers_ask_for_no_number_of_texts(text: str) -> None:
    match = policy._COUNTED.search(text)
    assert (policy._counted(text) > 0) == (match is not None and match[1] not in ("0", "00"))


@given(text=TEXTS)
def test_texts_without_signs_of_marks_have_no_inline_marks(text: str) -> None:
    if enumerations._INLINE_MARK.search(text):
        assert enumerations._IN_INLINE_MARKS.search(text)
