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

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # copying and pickling look for methods before there is a source
            raise AttributeError(name)
        compiled = re.compile(*self._source)
        for method in _METHODS:
            setattr(self, method, getattr(compiled, method))
        return getattr(compiled, name)

    def __repr__(self) -> str:
        return f"lazily({self._source[0]!r})"


def lazily(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """Return a pattern of text that is compiled when it is first used."""
    return cast("re.Pattern[str]", _LazyPattern(pattern, flags))
