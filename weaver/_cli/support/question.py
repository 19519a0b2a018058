"""Where a question comes from: the argument itself, stdin, or a file."""

from __future__ import annotations

from weaver._cli.support.reading import text_from
from weaver.errors import InvalidTaskError


def question_from(argument: str) -> str:
    """The question that ``argument`` stands for.

    Args:
        argument: text; ``-`` for stdin; ``@FILE`` for a file in UTF-8.

    Raises:
        InvalidTaskError: nothing but white space, or too long.
        ConfigurationError: the file cannot be read.
    """
    if argument == "-":
        text = text_from("-", "question")
    elif argument.startswith("@") and len(argument) > 1:
        hint = "A question that begins with @ can be given on stdin: weaver run -"
        text = text_from(argument[1:], "question", hint=hint)
    else:
        text = argument
    if not text.strip():
        raise InvalidTaskError(
            "The question is empty.", hint='For example: weaver run "Compare Kyoto and Oslo."'
        )
    return text
