"""Text that a user hands over in a file or on stdin."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path

from weaver.errors import ConfigurationError, InvalidTaskError

MAX_BYTES = 10_000_000


class UnreadableError(Exception):
    """Why there is no text, as the end of a sentence that begins with the place."""


class TooLongError(UnreadableError):
    """It has more than `MAX_BYTES`."""


def read_text(place: str) -> str:
    """The text of a file in UTF-8, or of stdin.

    Args:
        place: a path; ``-`` for stdin.

    Raises:
        UnreadableError: the file cannot be read, is not text, or is too long.
    """
    path = Path(place).expanduser()
    label = "stdin" if place == "-" else str(path)
    try:
        with nullcontext(sys.stdin.buffer) if place == "-" else path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UnreadableError(f"{label} cannot be read: {error.strerror or error}") from None
    if len(content) > MAX_BYTES:
        raise TooLongError(f"{label} is longer than {MAX_BYTES:,} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnreadableError(f"{label} is not UTF-8 text") from None


def text_from(place: str, what: str, *, hint: str = "") -> str:
    """`read_text` with errors for people.

    Args:
        what: what the text is, for messages: ``question``.
        hint: what to do when it cannot be read.

    Raises:
        ConfigurationError: the file cannot be read, or is not text.
        InvalidTaskError: it has more than `MAX_BYTES`.
    """
    try:
        return read_text(place)
    except TooLongError as problem:
        raise InvalidTaskError(f"The {what} from {problem}.") from None
    except UnreadableError as problem:
        raise ConfigurationError(f"The {what} from {problem}.", hint=hint) from None
