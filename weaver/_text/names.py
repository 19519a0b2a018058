"""Names that are nearly right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

CUTOFF = 0.6
"""How alike two names must be, from 0 to 1."""


def closest(name: str, known: Iterable[str], *, cutoff: float = CUTOFF) -> str | None:
    """Return the known name that ``name`` is probably a misspelling of; capitals do not count."""
    lower = {other.lower(): other for other in known}
    close = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=cutoff)
    return lower[close[0]] if close else None


def did_you_mean(name: str, known: Iterable[str], *, form: str = "{!r}", cutoff: float = CUTOFF) -> str:
    """Return a hint for a name that is not known: the closest known name, or else all of them.

    Args:
        form: how the hint writes the closest name: ``{}=``.
    """
    names = sorted(known)
    meant = closest(name, names, cutoff=cutoff)
    return f"Did you mean {form.format(meant)}?" if meant else f"Known: {', '.join(names) or 'none'}."
