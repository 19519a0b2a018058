"""Texts cut for people: in messages, titles and traces."""

from __future__ import annotations

MARK = "…"


def shorten(text: str, chars: int) -> str:
    """Return the text, or its beginning and ``…``: ``chars`` characters together."""
    return text if len(text) <= chars else text[: chars - len(MARK)].rstrip() + MARK


def one_line(text: str, chars: int = 200) -> str:
    """Return the beginning of a text on one line, in at most ``chars`` characters; see `shorten`."""
    return shorten(" ".join(text.split()), chars)
