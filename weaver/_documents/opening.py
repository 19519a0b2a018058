"""Documents from what a user gives: paths, texts, bytes, parts."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio.to_thread

from weaver._data.parts import FilePart, TextPart
from weaver._documents.content import Content, InFile, InMemory
from weaver._documents.document import Document
from weaver._documents.encodings import as_utf8, encoding_of
from weaver._documents.kinds import kind_of
from weaver._json_reading.json_types import is_tuple
from weaver.errors import InvalidTaskError

T = TypeVar("T")
MAX_DOCUMENTS = 10_000
_SMALL = 200_000
"""Bytes of text that are gone through in about a millisecond."""
_QUICK = {".txt", ".md", ".csv", ".tsv", ".json", ".jsonl", ".log", ".py"}
_PATH = re.compile(r"[^\s<>|*?]{0,300}(?:[/\\][^\s<>|*?]{1,100}|\.[A-Za-z0-9]{1,5})")


def documents_from(values: Sequence[Any]) -> tuple[Document, ...]:
    """Open documents.

    Args:
        values: files as `pathlib.Path`; texts, bytes, `TextPart`, `FilePart`, `Document`; or pairs
            (name, text or bytes). A `str` is never taken for a path: it may come from somebody who must not
            read files.

    Raises:
        InvalidTaskError: one of them is empty, binary, unreadable or something else; the message names it.
    """
    if isinstance(values, str | bytes | Path | Document):
        values = [values]
    if len(values) > MAX_DOCUMENTS:
        raise InvalidTaskError(
            f"There are {len(values):,} documents; at most {MAX_DOCUMENTS:,} can be given."
        )
    documents = [_document(value, f"document {n}") for n, value in enumerate(values, start=1)]
    return tuple(_with_own_names(documents))


async def opened(values: Sequence[Any]) -> tuple[Document, ...]:
    """Open documents, in a worker thread where that takes long.

    Raises:
        InvalidTaskError: as `documents_from`.
    """
    return await off_the_loop(values, partial(documents_from, values))


async def off_the_loop(values: Sequence[Any], work: Callable[[], T]) -> T:
    """Do ``work`` on documents without holding up the event loop; at once where they are small texts."""
    if sum(map(_weight, values)) <= _SMALL:
        return work()
    return await anyio.to_thread.run_sync(work)


def _weight(value: Any) -> int:
    """Bytes; many for formats that take long to read."""
    if isinstance(value, Document):
        return value.size
    if is_tuple(value):
        return sum(map(_weight, value))
    if isinstance(value, Path):
        try:
            return value.stat().st_size * (1 if value.suffix.lower() in _QUICK else 100)
        except OSError:
            return 0
    data = getattr(value, "data", getattr(value, "text", value))
    size = len(data) if isinstance(data, str | bytes | bytearray) else 0
    return size * (100 if data[:5] in {b"%PDF-", b"<!doc", b"<!DOC", b"<html"} else 1) if size else 0


def _document(value: Any, name: str) -> Document:
    if isinstance(value, Document):
        return value
    if is_tuple(value) and len(value) == 2 and isinstance(value[0], str):
        name, value = value
        return _from_bytes(value.encode() if isinstance(value, str) else _bytes(value, name), name)
    if isinstance(value, str) and _PATH.fullmatch(value):
        raise InvalidTaskError(
            f"{name} is the text {value[:80]!r}, which looks like the path of a file.",
            hint="For a file, give pathlib.Path(...); for a text as short as this, a TextPart.",
        )
    if isinstance(value, Path):
        return _from_file(value)
    if isinstance(value, TextPart):
        value = value.text
    if isinstance(value, str):
        return _from_bytes(value.encode("utf-8", "replace"), name)
    if isinstance(value, FilePart):
        if value.data is None:
            raise InvalidTaskError(
                f"The document {value.name} is a URL, and Weaver fetches nothing itself.",
                hint="Download it, and give its path.",
            )
        return _from_bytes(value.data, value.name if value.name != "file" else name)
    return _from_bytes(_bytes(value, name), name)


def _bytes(value: Any, name: str) -> bytes:
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    if isinstance(value, memoryview):
        return value.tobytes()
    raise InvalidTaskError(
        f"The {name} is a {type(value).__name__}.",
        hint="Give paths, texts, bytes, TextPart or FilePart.",
    )


def _from_file(path: Path) -> Document:
    content = InFile(path)
    head = content.read(0, 1024)
    if not head:
        raise InvalidTaskError(f"The document {path} is empty.", hint="Leave it out.")
    if converted := _converted(head, path.name):
        return converted(content.read(0, content.size), path.name)
    return _from_content(content, path.name)


def _from_bytes(data: bytes, name: str) -> Document:
    if not data.strip():
        raise InvalidTaskError(f"The document {name!r} is empty.", hint="Leave it out.")
    if converted := _converted(data[:1024], name):
        return converted(data, name)
    return _from_content(InMemory(data), name)


def _converted(head: bytes, name: str) -> Callable[[bytes, str], Document] | None:
    """The function that makes a text of this format; None for text itself."""
    suffix = Path(name).suffix.lower()
    if b"%PDF-" in head:
        from weaver._documents.pdf import from_pdf

        return from_pdf
    start = head.lstrip()[:200].lower()
    if suffix in {".html", ".htm", ".xhtml"} or start.startswith((b"<!doctype html", b"<html")):
        from weaver._documents.html import from_html

        return from_html
    return None


def _from_content(content: Content, name: str) -> Document:
    encoding = encoding_of(content, name)
    notes: tuple[str, ...] = ()
    if encoding.is_guessed:
        notes = (f"{name} is not UTF-8; it was read as Windows-1252, so some characters may be wrong.",)
    if encoding.name != "utf-8" or encoding.mark:
        content = as_utf8(content, encoding)
    start = content.read(0, 16_384).decode("utf-8", "replace")
    if content.size <= len(start.encode()) and not start.strip():
        raise InvalidTaskError(f"The document {name!r} has no text but blanks.", hint="Leave it out.")
    return Document(name, kind_of(name, start), content, notes=notes)


def _with_own_names(documents: Sequence[Document]) -> list[Document]:
    """Tell documents of the same name apart: ``report.md``, ``report.md (2)``."""
    counts: dict[str, int] = {}
    named: list[Document] = []
    for document in documents:
        counts[document.name] = count = counts.get(document.name, 0) + 1
        if count > 1:
            name = f"{document.name} ({count})"
            document = Document(name, document.kind, document.content, notes=document.notes)  # noqa: PLW2901
        named.append(document)
    return named
