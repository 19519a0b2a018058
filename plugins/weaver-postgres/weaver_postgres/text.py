"""Text as PostgreSQL can keep it: without NUL and lone surrogates, whatever models wrote."""

from __future__ import annotations


def plain(text: str) -> str:
    """Return ``text`` in ASCII; most of ours stays as it is."""
    return text if text.isascii() and "\\" not in text and "\0" not in text else _escaped(text)


def text_of(stored: str) -> str:
    """Return the text of `plain`."""
    return stored.encode("ascii").decode("unicode_escape") if "\\" in stored else stored


def _escaped(text: str) -> str:
    return text.encode("unicode_escape").decode("ascii")
