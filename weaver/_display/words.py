"""Words and numbers as people read them, and model text made safe for a terminal."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from weaver._text import shortening

if TYPE_CHECKING:
    from weaver._data.result import Result
    from weaver._data.usage import Usage

# Everything that could move the cursor, recolour or retitle the terminal, or reorder what is read.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """``text`` without control characters (newline and tab stay): it may come from a model."""
    return _CONTROL.sub("", text.replace("\r\n", "\n"))


def one_line(text: str, width: int = 200) -> str:
    """The start of ``text`` on one line of at most ``width`` characters, safe for a terminal."""
    return shortening.one_line(printable(text), width)


def count(number: int, noun: str) -> str:
    """``1 thread``, ``3 threads``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def seconds(value: float) -> str:
    """``0.4 s``, ``75 s``, ``12 min 5 s``."""
    if value < 10:
        return f"{value:.1f} s"
    if value < 120:
        return f"{value:.0f} s"
    return f"{int(value // 60)} min {int(value % 60)} s"


def money(usage: Usage) -> str:
    """The cost in dollars, or that it is not known."""
    if usage.cost_usd is None:
        return "cost unknown"
    return f"${usage.cost_usd:.4f}" if usage.cost_usd < 1 else f"${usage.cost_usd:,.2f}"


def summary(result: Result[object]) -> str:
    """One line about a finished run: how many threads, calls, tokens, dollars and seconds."""
    usage, metrics = result.usage, result.metrics
    about = "about " if usage.estimated else ""
    parts = [
        count(len(result.threads), "thread"),
        count(usage.calls, "call"),
        f"{about}{count(usage.total_tokens, 'token')}",
        money(usage),
        seconds(metrics.wall_seconds),
    ]
    return " · ".join(parts)
