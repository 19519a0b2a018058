"""Pieces: nothing is lost, they fit, and they end where the document has a seam."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from weaver._documents.opening import documents_from
from weaver._documents.sizes import tokens_in
from weaver._documents.splitting import LEAST_TOKENS, batches, split

WORDS = ["a", "word ", "\n", "\n\n", "# H\n", "```\n", "ž", "😀", "12345", '"', "\r\n", "\f", ". "]
TEXT = st.lists(st.sampled_from(WORDS), min_size=1, max_size=400).map("".join).filter(str.strip)
NAMES = st.sampled_from(["a.md", "a.py", "a.csv", "a.txt", "a.jsonl"])


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TEXT, NAMES, st.integers(LEAST_TOKENS, 80))
def test_pieces_are_the_document_and_fit(text, name, most):
    [document] = documents_from([(name, text)])
    pieces = list(split(document, most))
    joined = "".join(document.text(p.start, p.end) for p in pieces)
    assert "".join(joined.split()) == "".join(text.encode().decode().split())
    assert [p.start for p in pieces] == sorted({p.start for p in pieces})
    for piece in pieces:
        # A single character may be more than its share.
        assert piece.tokens <= most + 3 or piece.end - piece.start <= 4
        before = document.text(0, piece.start).count("\n") + 1
        assert piece.place.first_line == before


def test_markdown_is_cut_before_headings_and_not_inside_code(document):
    sections = "".join(f"## Part {n}\n\nSome words here.\n\n```\ncode\n\nmore\n```\n\n" for n in range(20))
    pieces = list(split(document(("a.md", "# Book\n\n" + sections)), 60))
    assert all(p.text.startswith(("# ", "## ")) for p in pieces)
    assert all(p.text.count("```") % 2 == 0 for p in pieces)
    assert pieces[5].place_of(3).heading.startswith("Book > Part ")


def test_code_is_cut_before_definitions(document):
    code = "".join(f"def f{n}(x):\n    y = x\n\n    return y\n\n\n" for n in range(30))
    assert all(p.text.startswith("def ") for p in split(document(("a.py", code)), 80))


def test_records_keep_their_header_and_quoted_line_ends(document):
    rows = "".join(f'{n},"two\nlines",3\n' for n in range(100))
    pieces = list(split(document(("a.csv", "id,text,n\n" + rows)), 100))
    assert len(pieces) > 3
    assert all(p.text.count('"') % 2 == 0 for p in pieces)
    assert {p.header for p in pieces[1:]} == {"id,text,n"}


def test_pages_know_their_number(document):
    from tests.documents.test_opening import pdf

    one = document(pdf(*(f"Page {n} " + "words " * 30 for n in range(1, 8))))
    for piece in split(one, 60):
        assert f"Page {piece.place.page} " in piece.text


def test_a_line_without_any_seam_is_cut_between_characters(document):
    one = document(("a.txt", "ž" * 100_000))
    pieces = list(split(one, 500))
    assert "".join(p.text for p in pieces) == "ž" * 100_000
    assert "from byte" in str(pieces[3].place)


def test_a_line_of_ten_megabytes_is_read_in_linear_time_and_small_memory(tmp_path, document):
    file = tmp_path / "one-line.json"
    file.write_text('{"a": 1, "b": "text"},' * 500_000, encoding="utf-8")
    one = document(file)
    tracemalloc.start()
    count = sum(1 for _ in split(one, 4000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count > 1000
    assert peak < 2_000_000


def test_small_documents_are_read_together_and_large_ones_alone():
    documents = documents_from([(f"{n}.txt", "A few words.\n") for n in range(50)])
    some = list(batches(documents, 100))
    assert 3 < len(some) < 25
    assert sum(len(batch.pieces) for batch in some) == 50
    assert some[0].title.startswith("0.txt, line 1 to ")


@pytest.mark.parametrize("lines", [1, 7])
def test_a_batch_has_at_most_so_many_lines(document, lines):
    one = document(("a.csv", "id,n\n" + "1,2\n" * 60))
    assert all(b.pieces[0].text.count("\n") < lines for b in batches([one], 10_000, max_lines=lines))


def test_halves_of_a_piece_are_the_piece(document):
    piece = next(iter(split(document(("a.txt", "One line.\n" * 50)), 100)))
    halves = piece.halves()
    assert len(halves) >= 2
    assert (halves[0].start, halves[-1].end) == (piece.start, piece.end)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=300))
def test_the_estimate_of_tokens_is_never_less_than_a_quarter_of_the_bytes(text):
    data = text.encode()
    assert tokens_in(data) >= len(data) // 4


def test_lines_are_found_by_number(document):
    one = document(("a.txt", "".join(f"line {n}\n" for n in range(1, 100_001))))
    assert one.lines.count == 100_000
    for number in (1, 2, 777, 65_536, 100_000):
        at = one.lines.offset_of(number)
        assert one.text(at, one.lines.offset_of(number + 1)) == f"line {number}\n"
    assert one.lines.offset_of(100_001) == one.size
