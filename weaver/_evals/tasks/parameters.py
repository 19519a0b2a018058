"""Parameters of a task as written on the command line: ``terms=4,digits=1..3``."""

from __future__ import annotations

import json
import re
from typing import Any

from weaver.errors import ConfigurationError


def parameters(text: str, task: str) -> dict[str, Any]:
    """The parameters in ``text``: numbers, true and false, JSON and words; ``2..4`` is the tuple (2, 4).

    Commas inside brackets and quotes do not separate.

    Raises:
        ConfigurationError: a piece without ``=``.
    """
    values: dict[str, Any] = {}
    for piece in _pieces(text):
        key, equals, value = piece.partition("=")
        if not equals or not key.strip():
            raise ConfigurationError(
                f"{piece.strip()!r} in task {task!r} is no parameter.", hint="Write NAME:key=value,key=value."
            )
        values[key.strip()] = _value(value.strip())
    return values


def _pieces(text: str) -> list[str]:
    pieces: list[str] = []
    depth = 0
    quote = ""
    start = 0
    for i, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char in "[{(":
            depth += 1
        elif char in "]})":
            depth -= 1
        elif char == "," and depth == 0:
            pieces.append(text[start:i])
            start = i + 1
    return [p for p in (*pieces, text[start:]) if p.strip()]


def _value(text: str) -> Any:
    if match := re.fullmatch(r"(-?\d+(?:\.\d+)?)\.\.(-?\d+(?:\.\d+)?)", text):
        return (_number(match[1]), _number(match[2]))
    try:
        return json.loads(text)
    except ValueError:
        return {"True": True, "False": False, "None": None}.get(text, text)


def _number(text: str) -> int | float:
    return float(text) if "." in text else int(text)
