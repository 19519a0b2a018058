"""Text that a user hands over in a file or on stdin."""

from __future__ import annotations

import sys
from pathlib import Path

from weaver.errors import ConfigurationError, InvalidTask

MAX_BYTES = 10_000_000


def text_from(place: str, what: str, *, hint: str = "") -> str:
    """The text of a file in UTF-8, or of stdin.

    Args:
        place: a path; ``-`` for stdin.
        what: what the text is, for messages: ``question``.
        hint: what to do when the file cannot be read.

    Raises:
        ConfigurationError: the file cannot be read, or is not text.
        InvalidTask: it has more than `MAX_BYTES`.
    """
    if place == "-":
        return _decoded(sys.stdin.buffer.read(MAX_BYTES + 1), what, "stdin")
    path = Path(place).expanduser()
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror or error}.", hint=hint) from None
    return _decoded(content, what, str(path))


def _decoded(content: bytes, what: str, place: str) -> str:
    if len(content) > MAX_BYTES:
        raise InvalidTask(f"The {what} from {place} is longer than {MAX_BYTES:,} bytes.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigurationError(f"The {what} from {place} is not UTF-8 text.") from None
