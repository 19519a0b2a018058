"""Where a question comes from: the argument itself, stdin, or a file."""

from __future__ import annotations

import sys
from pathlib import Path

from weaver.errors import ConfigurationError, InvalidTask

MAX_BYTES = 10_000_000


def question_from(argument: str) -> str:
    """The question that ``argument`` stands for.

    Args:
        argument: text; ``-`` for stdin; ``@FILE`` for a file in UTF-8.

    Raises:
        InvalidTask: nothing but white space, or more than `MAX_BYTES`.
        ConfigurationError: the file cannot be read.
    """
    if argument == "-":
        text = _decoded(sys.stdin.buffer.read(MAX_BYTES + 1), "stdin")
    elif argument.startswith("@") and len(argument) > 1:
        path = Path(argument[1:]).expanduser()
        try:
            with path.open("rb") as file:
                text = _decoded(file.read(MAX_BYTES + 1), str(path))
        except OSError as error:
            raise ConfigurationError(
                f"{path} cannot be read: {error.strerror or error}.",
                hint="A question that begins with @ can be given on stdin: weaver run -",
            ) from None
    else:
        text = argument
    if not text.strip():
        raise InvalidTask("The question is empty.", hint='For example: weaver run "Compare Kyoto and Oslo."')
    return text


def _decoded(content: bytes, place: str) -> str:
    if len(content) > MAX_BYTES:
        raise InvalidTask(f"The question from {place} is longer than {MAX_BYTES:,} bytes.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigurationError(f"The question from {place} is not UTF-8 text.") from None
