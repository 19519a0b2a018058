"""How many tokens a text has, roughly and rather too many than too few."""

from __future__ import annotations

_DIGITS = b"0123456789"
_MARKS = b"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~\n\t"
_LATIN = bytes(range(128))

BYTES_A_TOKEN = 4
"""Of plain words; nothing has more."""


def tokens_in(data: bytes) -> int:
    """Return an upper estimate of the tokens of UTF-8 text.

    Words of Latin letters have about four bytes a token, digits and marks one or two, other scripts two to
    three.
    """
    size = len(data)
    digits = size - len(data.translate(None, _DIGITS))
    marks = size - len(data.translate(None, _MARKS))
    other = len(data.translate(None, _LATIN))
    return int((size - digits - marks - other) / BYTES_A_TOKEN + digits / 1.3 + marks / 1.5 + other / 2.2) + 1
