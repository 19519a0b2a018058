"""JSON as models write it: read for what it means, in one pass, in any pieces."""

from __future__ import annotations

import json
from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weaver._json_reading.streaming import JsonReader
from weaver._json_reading.whole import problem_in, read_json, without_thoughts

NEARLY = {
    '{"city": "Oslo", "inhabitants": 717710,}': {"city": "Oslo", "inhabitants": 717710},
    '[{"n": 1}, {"n": 2},]': [{"n": 1}, {"n": 2}],
    '{"rivers": ["Rhine", "Elbe",], // two\n "seas": 1 /* one */}': {"rivers": ["Rhine", "Elbe"], "seas": 1},
    '{"a": 1, # first\n"b": 2}': {"a": 1, "b": 2},
    "{'name': 'Ada', 'old': True, 'died': None}": {"name": "Ada", "old": True, "died": None},
    "{\"quote\": 'it is \"so\"'}": {"quote": 'it is "so"'},
    '{"poem": "one\ntwo\n\tthree"}': {"poem": "one\ntwo\n\tthree"},
    '{"said": "call it "home" again", "n": 3}': {"said": 'call it "home" again', "n": 3},
    '{"said": "she said "yes", then left", "n": 3}': {"said": 'she said "yes", then left', "n": 3},
    '{"a": "x"\n "b": "y"}': {"a": "x", "b": "y"},
    '{"a": 5 "b": 6}': {"a": 5, "b": 6},
    "{size: 12, unit: mm, about: ~40}": {"size": 12, "unit": "mm", "about": "~40"},
    '{"half": "x \\ud83c y", "whole": "\\ud83d\\ude80"}': {"half": "x \ufffd y", "whole": "🚀"},
    '{"pattern": "\\d+\\.\\w"}': {"pattern": "\\d+\\.\\w"},
    '{"url": "https://example.org/a#b"}': {"url": "https://example.org/a#b"},
    'Fill in {name, size}. Result: {"name": "x"}': {"name": "x"},
    'As shown in [1] and [2, p. 4], {"n": 7}': {"n": 7},
    "Here:\n```json\n{\"n\": 8,}\n```\nDone {}.": {"n": 8},
    '\ufeff{"n": 9}': {"n": 9},
    '[{"a": 1, "b": 2]': [{"a": 1, "b": 2}],
    '(see [the note {"n": 10} there])': {"n": 10},
}  # fmt: skip


@pytest.mark.parametrize(("text", "value"), NEARLY.items())
def test_nearly_json_is_read(text: str, value: Any) -> None:
    assert value in [one.value for one in read_json(text) if not one.cut]


@pytest.mark.parametrize("size", [1, 3, 7])
@pytest.mark.parametrize(("text", "value"), NEARLY.items())
def test_pieces_give_the_same(text: str, value: Any, size: int) -> None:
    reader = JsonReader()
    for at in range(0, len(text), size):
        reader.feed(text[at : at + size])
    assert value in [one.value for one in reader.finish() if not one.cut]


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12,
), st.integers(1, 5), st.booleans())  # fmt: skip
def test_json_is_read_as_the_standard_says(value: Any, size: int, ascii_only: bool) -> None:
    text = json.dumps([value], ensure_ascii=ascii_only)
    assert [one.value for one in read_json(text)] == [[value]]
    reader = JsonReader()
    for at in range(0, len(text), size):
        reader.feed(text[at : at + size])
    assert [one.value for one in reader.finish()] == [[value]]


@given(st.text(alphabet="{}[]\",:\\ \n'tn1/*#<>hik-", max_size=60))
def test_any_text_is_read_without_an_error(text: str) -> None:
    for one in read_json(text):
        json.dumps(one.value)
    problem_in(text)


def test_a_long_text_with_a_slip_is_read() -> None:
    rows = [{"id": f"r{n}", "text": "some words in a row " * 3, "n": n} for n in range(1500)]
    text = json.dumps(rows).replace("}]", "},\n// the end\n]")
    assert len(text) > 120_000
    assert [one.value for one in read_json(text)] == [rows]


def test_drafts_in_thoughts_are_left_out() -> None:
    for text in (
        '<think>perhaps {"n": 1}</think>{"n": 2}',
        '<THINK>\n{"n": 1}\n</THINK>\n\n{"n": 2}',
        'perhaps {"n": 1}, no.\n</think>\n{"n": 2}',  # the opening tag was in the prompt
        '<thinking>{"n": 1}</thinking> so: {"n": 2}',
    ):
        assert [one.value for one in read_json(text)] == [{"n": 2}]
    assert read_json('<think>perhaps {"n": 1}') == []
    assert read_json('{"tag": "<think>x</think>"}')[0].value == {"tag": "<think>x</think>"}
    assert without_thoughts("no tags < here").strip() == "no tags < here"


def test_an_early_end_is_marked() -> None:
    (one,) = read_json('{"a": 1, "b": [2, 3')
    assert one.cut
    assert one.value == {"a": 1, "b": [2]}  # 3 may have been 30


def test_the_open_value_grows_in_place() -> None:
    reader = JsonReader()
    reader.feed('{"parts": [{"n": 1}, {"n": 2')
    assert reader.root == {"parts": [{"n": 1}, {}]}
    first, second = reader.root["parts"]
    assert not reader.is_open(first)
    assert reader.is_open(second)
    reader.feed("5}]}")
    assert [one.value for one in reader.values] == [{"parts": [{"n": 1}, {"n": 25}]}]
    assert reader.root is None


def test_the_place_of_a_mistake() -> None:
    assert str(problem_in('{"a": 1,\n "b" 2}')) == "line 2, column 6: expected ':' delimiter, not '2}'"
    assert problem_in('{"a": 1}') is None
    assert problem_in("prose") is None


HOSTILE = {
    "arrays": "[", "objects": "{", "nested": '{"a":', "deep": "[1,", "quotes": '"', "prose": "see [1] and ",
    "braces": "see { and ", "numbers": "1,", "text": 'x "y" ', "comments": "{// c\n", "tags": "<",
    "open": "<think>", "closed": "</think>", "escapes": "\\", "block": "{/*", "words": '[x"', "commas": '",',
    "digits": "[9",
}  # fmt: skip


@pytest.mark.parametrize("start", ["", '{"a": "', "[", '{"a": ['])
@pytest.mark.parametrize("piece", HOSTILE.values(), ids=HOSTILE)
def test_time_is_linear_and_short(piece: str, start: str) -> None:
    def seconds(chars: int) -> float:
        text = start + piece * (chars // len(piece))
        begin = process_time()
        read_json(text)
        problem_in(text)
        return process_time() - begin

    # About 5 ms on a quiet machine, more on a shared one: the best of several counts.
    assert any(seconds(100_000) < 0.2 for _ in range(3))
    assert any(seconds(800_000) < 1.6 for _ in range(2))
