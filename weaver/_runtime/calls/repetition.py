"""Text that repeats itself without end, as small models write it until a cap stops them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weaver._models.protocol import Request

REPETITION = "repetition"
"""The finish word of a call that was ended because it repeated itself."""
FIRST_LOOK = 500
"""Bytes of text before a reply is looked at for the first time."""
NEVER = 1 << 62

_TAIL = 2400
_PROBE = 24
_PLACES = 8
_BLANKS = re.compile(r"\s+")


def next_look(size: int) -> int:
    """Return the size at which a text of ``size`` bytes is looked at again: seldom enough to stay linear."""
    return size + size // 4 + 256


def repeated_unit(texts: Sequence[str], request: Request) -> str | None:
    """Return what the end of a text repeats, or None if the text goes on properly.

    The same words count as repeated from five times and 400 characters on. Words that stand in the question
    may be repeated for ever, as a user may have asked for that; so may signs without letters. Lines that
    differ by a number are no repetition: a model may well have been asked for two hundred of them. Neither
    are the entries of a list in JSON.

    Args:
        texts: pieces of the text, in their order; only the last 2,400 characters are read.
        request: what the text answers.
    """
    if request.output is not None or request.json_object or "".join(texts[:8]).lstrip()[:1] in {"{", "["}:
        return None
    tail = _tail(texts)
    unit = _period(tail)
    times = max(5, -(-400 // len(unit))) if unit else 0
    if not unit or not tail.endswith(unit * times):
        return None
    words = _BLANKS.sub(" ", unit).strip(" ,.;:-*#")
    return None if words in _BLANKS.sub(" ", _asked(request)) else unit


def _asked(request: Request) -> str:
    """What others than the model have written."""
    if request.prompt is not None:
        return request.prompt
    return "\n".join(message.text for message in request.messages if message.role != "assistant")


def _tail(texts: Sequence[str]) -> str:
    length = 0
    pieces: list[str] = []
    for text in reversed(texts):
        pieces.append(text[-_TAIL:])
        length += len(pieces[-1])
        if length >= _TAIL:
            break
    return "".join(reversed(pieces))[-_TAIL:]


def _period(text: str) -> str:
    """Return the unit that the end of ``text`` may be a repetition of; it has letters and something else."""
    probe, end = text[-_PROBE:], len(text) - 1
    for _ in range(_PLACES):
        end = text.rfind(probe, 0, end)
        if end < 0:
            return ""
        unit = text[end + len(probe) :]
        if text.endswith(unit * 2):
            has_letters = any(sign.isalpha() for sign in unit)
            return unit if has_letters and not unit.isalpha() else ""
        end += len(probe) - 1
    return ""
