"""Regular expressions that are compiled when they are first used.

Compiling all of weaver's long word lists takes a tenth of a second, and most processes use few of them.
"""

from __future__ import annotations

import re
from typing import Any, cast

_METHODS = ("finditer", "findall", "fullmatch", "match", "search", "split", "sub", "subn")


class _LazyPattern:
    """Stands for an `re.Pattern` until somebody asks it something; then its methods are the pattern's."""

    def __init__(self, pattern: str, flags: int) -> None:
        self._source = pattern, flags
        self._lowered: re.Pattern[str] | None = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # copying and pickling look for methods before there is a source
            raise AttributeError(name)
        compiled = re.compile(*self._source)
        for method in _METHODS:
            setattr(self, method, getattr(compiled, method))
        return getattr(compiled, name)

    def __repr__(self) -> str:
        return f"lazily({self._source[0]!r})"

    def is_in(self, text: str) -> bool:
        """See `is_in`."""
        if not text.isascii():  # lower case may be longer there
            return self.search(text) is not None
        if self._lowered is None:
            pattern, flags = self._source
            self._lowered = re.compile(pattern, flags & ~re.IGNORECASE)
        return self._lowered.search(text.lower()) is not None


def lazily(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """Return a pattern of text that is compiled when it is first used."""
    return cast("re.Pattern[str]", _LazyPattern(pattern, flags))


def is_in(words: re.Pattern[str], text: str) -> bool:
    """Tell whether a pattern from `lazily`, of words in lower case and without regard to case, matches.

    The same as ``words.search(text) is not None``, several times as fast: `re` tries each of many words in
    turn when it ignores case, and looks at their first letters otherwise.
    """
    return cast("_LazyPattern", words).is_in(text)
