"""Files that a client attaches to its question, as documents for the strategy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeGuard

from weaver._data.messages import Message
from weaver._data.parts import FilePart, TextPart

_READABLE = ("text/", "application/pdf", "application/json", "application/xml", "application/xhtml")
_UNKNOWN = ("", "application/octet-stream")
"""Types of clients that do not say what a file is: its bytes decide."""


def split_off(messages: Sequence[Message]) -> tuple[tuple[Message, ...], tuple[FilePart, ...]]:
    """Take the files out of the last message, if it is the user's.

    Files by URL, images and sound stay: the model's provider reads them.

    Returns:
        The messages without the files, and the files.
    """
    *earlier, last = messages
    files = tuple(filter(_is_document, last.parts)) if last.role == "user" else ()
    if not files:
        return tuple(messages), ()
    rest = [part for part in last.parts if not _is_document(part)]
    texts = [part.text for part in rest if isinstance(part, TextPart)]
    content = "\n\n".join(texts) if len(texts) == len(rest) else rest
    return (*earlier, replace(last, content=content)), files


def _is_document(part: object) -> TypeGuard[FilePart]:
    if not isinstance(part, FilePart) or part.data is None:
        return False
    return part.media_type.startswith(_READABLE) or part.media_type in _UNKNOWN
