"""What a user may give as a document, and what becomes of what is none."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from weaver._data.parts import FilePart, TextPart
from weaver._documents.document import Document
from weaver._documents.opening import documents_from
from weaver.errors import InvalidTaskError


def text(document: Document) -> str:
    return document.text(0, document.size)


def test_files_texts_bytes_and_parts_are_documents(tmp_path):
    file = tmp_path / "notes.md"
    file.write_text("# Notes\n\nFirst.\n", encoding="utf-8")
    part = FilePart(data=b"a,b\n1,2\n", name="table.csv")
    given = [file, "Some text.\n", b"bytes", TextPart("part"), part, ("own.py", "x = 1\n")]
    documents = documents_from(given)
    assert [text(d) for d in documents] == [
        "# Notes\n\nFirst.\n", "Some text.\n", "bytes", "part", "a,b\n1,2\n", "x = 1\n",
    ]  # fmt: skip
    names = ["notes.md", "document 2", "document 3", "document 4", "table.csv", "own.py"]
    assert [d.name for d in documents] == names
    assert [d.kind for d in documents] == ["markdown", "text", "text", "text", "records", "code"]


def test_documents_of_the_same_name_get_names_of_their_own(tmp_path):
    documents = documents_from([("a.md", "one"), ("a.md", "two")])
    assert [d.name for d in documents] == ["a.md", "a.md (2)"]


def test_a_text_is_never_taken_for_a_path(tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("key", encoding="utf-8")
    with pytest.raises(InvalidTaskError, match="looks like the path of a file"):
        documents_from([str(secret)])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (b"", "is empty"),
        ("  \n ", "is empty"),
        (b"\x00\x01\x02ELF" * 20, "is binary"),
        (bytes(range(1, 32)) * 10, "is binary"),
        (42, "is a int"),
        (Path("/nowhere/at/all.md"), "does not exist"),
        (Path("/"), "is a folder"),
        (FilePart(url="https://example.com/a.pdf"), "fetches nothing"),
        (b"%PDF-1.4\nbroken", "not a PDF that can be read"),
        (b"<html><script>x()</script></html>", "has no text"),
    ],
)
def test_what_is_no_document_is_a_clear_error(given, message):
    with pytest.raises(InvalidTaskError, match=message):
        documents_from([given])


def test_an_empty_file_and_one_of_blanks_are_errors(tmp_path):
    for name, content in (("empty.txt", ""), ("blank.txt", "\n \n")):
        (tmp_path / name).write_text(content, encoding="utf-8")
        with pytest.raises(InvalidTaskError, match=name):
            documents_from([tmp_path / name])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "utf-16-le"])
def test_encodings_with_a_mark_are_read(encoding, document):
    mark = b"\xff\xfe" if encoding == "utf-16-le" else b""
    one = document(mark + "Žluťoučký kůň\n".encode(encoding))
    assert (text(one), one.notes) == ("Žluťoučký kůň\n", ())


def test_text_that_is_not_utf8_is_read_with_a_note(document):
    one = document("Größe: 5 €\n".encode("cp1252"))
    assert text(one) == "Größe: 5 €\n"
    assert "not UTF-8" in one.notes[0]


def test_a_large_file_in_another_encoding_stays_out_of_memory(tmp_path, document):
    file = tmp_path / "large.txt"
    file.write_bytes(("Größe\n" * 400_000).encode("cp1252"))
    one = document(file)
    assert one.size == 400_000 * len("Größe\n".encode())
    assert one.text(0, 8) == "Größe\n"


def test_a_file_that_changes_is_an_error(tmp_path, document):
    file = tmp_path / "log.txt"
    file.write_text("line\n" * 1000, encoding="utf-8")
    one = document(file)
    with file.open("r+b") as opened:
        opened.truncate(10)
    with pytest.raises(InvalidTaskError, match="was changed"):
        one.text(0, 1000)


def test_a_page_of_html_becomes_markdown(document):
    page = (
        b"<!doctype html><html><head><title>t</title><style>p{}</style></head><body><h1>Prices</h1>"
        b"<p>Two <b>kinds</b>.</p><ul><li>tea<li>coffee</ul>"
        b"<table><tr><td>tea<td>2</table><script>evil()</script></body>"
    )
    one = document(page)
    assert text(one) == "# Prices\n\nTwo kinds.\n\n- tea\n- coffee\n\ntea | 2\n"
    assert one.kind == "markdown"


def test_html_as_deep_as_it_likes_is_read(document):
    assert text(document(b"<html><body>" + b"<div>" * 50_000 + b"deep")) == "deep\n"


def pdf(*pages: str) -> bytes:
    """A PDF by hand: each page's text in one line."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>"]
    kids = " ".join(f"{4 + 2 * i} 0 R" for i in range(len(pages)))
    objects.append(f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode())
    objects.append(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    for i, page in enumerate(pages):
        stream = f"BT /F1 12 Tf 72 700 Td ({page}) Tj ET".encode()
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /Resources << /Font << /F1 3 0 R >> >> "
            f"/MediaBox [0 0 612 792] /Contents {5 + 2 * i} 0 R >>".encode()
        )
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream))
    out, offsets = io.BytesIO(), []
    out.write(b"%PDF-1.4\n")
    for number, body in enumerate(objects, start=1):
        offsets.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
    table = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    out.writelines(b"%010d 00000 n \n" % offset for offset in offsets)
    out.write(b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, table))
    return out.getvalue()


def test_a_pdf_has_pages(tmp_path, document):
    file = tmp_path / "paper.pdf"
    file.write_bytes(pdf("First page", "Second page"))
    one = document(file)
    assert (text(one), one.kind) == ("First page\n\fSecond page\n", "pages")


def test_a_pdf_without_text_says_so(document):
    with pytest.raises(InvalidTaskError, match="may be a scan"):
        document(pdf(""))
