"""What is wrong with a workflow file, and where: ``file:line:column: where: what; did you mean ...``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from weaver._text.names import closest
from weaver._text.shortening import shorten
from weaver.errors import InvalidWorkflowError

MOST = 100
"""Problems shown of one file; a file with more is broken as a whole."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A position in a text; both counted from one, columns in characters."""

    line: int = 1
    column: int = 1

    def after(self, text: str) -> Place:
        """The position just behind ``text`` that begins here."""
        lines = text.count("\n")
        if not lines:
            return Place(self.line, self.column + len(text))
        return Place(self.line + lines, len(text) - text.rfind("\n"))


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        file: the path as the user gave it.
        place: line and column.
        where: the path of keys (``steps.search.timeout``), or "" for the file as a whole.
        what: the sentence that says what is wrong, without its full stop.
        hint: what to do, or "".
    """

    file: str
    place: Place
    where: str
    what: str
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.where}: " if self.where else ""
        hint = f"; {self.hint}" if self.hint else ""
        return f"{self.file}:{self.place.line}:{self.place.column}: {where}{self.what}{hint}"


@dataclass(slots=True)
class Problems:
    """Problems of a workflow and of the workflows it uses, each said once.

    Attributes:
        warnings: what is probably a mistake; the workflow can be run all the same.
    """

    _found: dict[Problem, None] = field(default_factory=dict[Problem, None])
    warnings: list[Problem] = field(default_factory=list[Problem])

    @property
    def found(self) -> list[Problem]:
        """All problems, in the order in which they were met."""
        return list(self._found)

    def add(self, problem: Problem) -> None:
        """Record a problem."""
        self._found.setdefault(problem)

    def __bool__(self) -> bool:
        return bool(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def raise_if_any(self) -> None:
        """Raise all of them as one error.

        Raises:
            InvalidWorkflowError: there is at least one problem.
        """
        if self._found:
            raise invalid(self._found)


def invalid(problems: Iterable[Problem]) -> InvalidWorkflowError:
    """One error for all ``problems``, in the order of the file; its ``problems`` attribute has them."""
    ordered = sorted(problems)
    lines = [str(problem) for problem in ordered[:MOST]]
    if len(ordered) > MOST:
        lines.append(f"... and {len(ordered) - MOST} more.")
    error = InvalidWorkflowError("\n".join(lines))
    error.problems = tuple(ordered)
    return error


def did_you_mean(name: str, known: Iterable[str], *, most: int = 12, cutoff: float = 0.6) -> str:
    """A hint for a name that is not known: the closest known one, or the list of them."""
    names = sorted(known)
    if (meant := closest(name, names, cutoff=cutoff)) is not None:
        return f"did you mean {meant!r}?"
    return listed(names, most=most)


def listed(names: Sequence[str], *, most: int = 12) -> str:
    """A hint with the first ``most`` of the names that are known."""
    if not names or not most:
        return ""
    listing = ", ".join(names[:most])
    return f"known: {listing}" + (", ..." if len(names) > most else "")


def listed_or(names: Sequence[str]) -> str:
    """``a``, ``a or b``, ``a, b or c``."""
    return " or ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def shortened(name: str) -> str:
    """A name as messages show it."""
    return shorten(name, 40)


def dotted(path: Iterable[str | int]) -> str:
    """``steps.search.needs[0]`` for a path of keys and indices."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif not re.fullmatch(r"[\w-]+", part):
            text += f"[{shortened(part)!r}]"
        else:
            text += f".{part}" if text else part
    return text
