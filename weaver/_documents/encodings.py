"""Finding out how bytes encode text, and making UTF-8 of them without holding all of it."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass

from weaver._documents.content import BLOCK, Content, InMemory, blocks, in_temporary_file
from weaver.errors import InvalidTaskError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
FALLBACK = "cp1252"
"""What text that is not UTF-8 most often is. Bytes that it does not define become U+FFFD."""
_CONTROL = bytes({*range(32)} - {7, 8, 9, 10, 12, 13, 27})
_MOST_CONTROL = 0.05
_LARGE = 4 * BLOCK


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a text is encoded.

    Attributes:
        mark: bytes of its byte order mark.
        is_guessed: nothing says so; it is only what it most often is.
    """

    name: str
    mark: int = 0
    is_guessed: bool = False


def encoding_of(content: Content, name: str) -> Encoding:
    """Find out how a text is encoded. All of it is gone through, block by block.

    Raises:
        InvalidTaskError: it is not text.
    """
    start = content.read(0, 8192)
    for mark, encoding in _MARKS:
        if start.startswith(mark):
            return Encoding(encoding, len(mark))
    control = len(start) - len(start.translate(None, _CONTROL))
    if b"\0" in start or control > _MOST_CONTROL * len(start):
        raise InvalidTaskError(
            f"The document {name} is binary, not text.",
            hint="Text, Markdown, code, CSV, JSON, HTML and PDF can be read. Convert other formats first.",
        )
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for _, block in blocks(content):
            decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return Encoding(FALLBACK, is_guessed=True)
    return Encoding("utf-8")


def as_utf8(content: Content, encoding: Encoding) -> Content:
    """Return the text as UTF-8. Large ones stand in a temporary file, which is gone with the object."""
    if content.size <= _LARGE:
        return InMemory(b"".join(_recoded(content, encoding)))
    return in_temporary_file(_recoded(content, encoding))


def _recoded(content: Content, encoding: Encoding) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding.name)(errors="replace")
    for start, block in blocks(content):
        yield decoder.decode(block[encoding.mark :] if start == 0 else block).encode()
    yield decoder.decode(b"", final=True).encode()
