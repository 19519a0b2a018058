"""Looking into documents: words, exact texts, lines by number, whatever the size."""

from __future__ import annotations

import tracemalloc

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from weaver._documents.opening import documents_from
from weaver._documents.searching import LINE_CHARS, count_of, lines_from, lines_with

TEXT = "The Red house.\nA blue car.\nThe car is red, not blue.\n"


def test_lines_have_all_words_in_any_order_and_case(document):
    one = document(TEXT)
    assert [line.number for line in lines_with(one, "RED the")] == [1, 3]
    assert list(lines_with(one, "green")) == []
    assert list(lines_with(one, "  ")) == []


def test_counts_are_of_the_exact_text(document):
    assert count_of(document(TEXT), "car") == (2, 2)
    assert count_of(document("red red\nred\n"), "RED") == (2, 3)
    assert count_of(document(TEXT), "blue car") == (1, 1)


def test_lines_by_number_end_where_the_document_does(document):
    one = document(TEXT)
    assert [line.text for line in lines_from(one, 2, 99)] == ["A blue car.", "The car is red, not blue."]
    assert lines_from(one, 99, 100) == []


def test_of_a_long_line_the_part_around_the_word_is_shown(document):
    [line] = lines_with(document("x " * 5000 + "needle " + "y " * 5000), "needle")
    assert "needle" in line.text
    assert len(line.text) <= LINE_CHARS + 2


def test_a_large_document_is_searched_in_blocks(tmp_path, document):
    file = tmp_path / "large.txt"
    with file.open("w", encoding="utf-8") as out:
        for n in range(400_000):
            out.write(f"line {n} of many\n")
    one = document(file)
    tracemalloc.start()
    assert [line.number for line in lines_with(one, "399999")] == [400_000]
    assert count_of(one, "of many") == (400_000, 400_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < file.stat().st_size


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(["a", "B", "ab", "", "ž a"]), min_size=1, max_size=60).filter(any))
def test_counting_is_the_same_as_by_hand(lines):
    [one] = documents_from(["\n".join(lines) + "\n"])
    own = [line.casefold().count("a") for line in lines]
    assert count_of(one, "A") == (sum(map(bool, own)), sum(own))


def test_a_part_keeps_the_numbers_of_its_lines(document):
    part = document("".join(f"line {n}\n" for n in range(1, 101))).part(40, 60)
    from weaver._documents.splitting import split

    [piece] = split(part, 1000)
    assert (piece.place.first_line, piece.place.last_line) == (40, 60)
    assert piece.place_of(3).first_line == 42
