"""Durations (``30s``), money (``$0.50``), sizes (``20k``) and variables (``${env:NAME}``), as written."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

ENVIRONMENT = re.compile(r"\$\{env:([^}]*)\}")

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+"
_MONEY = r"\$\d+(?:\.\d+)?"
_TIMES = {"": 1, "k": 1_000, "M": 1_000_000}
_SIZE = r"\d+(?:\.\d+)?[kM]?"


def parse_duration(value: Any) -> float:
    """Seconds in ``30s``, ``1m30s``, ``500ms``, ``2h``, a plain number of seconds, or a `timedelta`.

    Raises:
        ValueError: it is none of these, zero or negative.
    """
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, str) and re.fullmatch(_DURATION, value):
        parts = re.findall(r"([\d.]+)(ms|s|m|h|d)", value)
        value = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("write a duration like 30s, 1m30s, 500ms or 2h")
    if not (math.isfinite(value) and value > 0):
        raise ValueError("a duration is more than zero")
    return float(value)


def format_duration(seconds: float) -> str:
    """The shortest text that `parse_duration` reads as exactly ``seconds``."""
    for unit in ("d", "h", "m", "s", "ms"):
        count = round(seconds / _SECONDS[unit])
        if count and parse_duration(f"{count}{unit}") == seconds:
            return f"{count}{unit}"
    return f"{_plainly(seconds)}s"


def _plainly(number: float) -> str:
    """The shortest decimals, without an exponent, that read back as exactly ``number``."""
    return format(Decimal(repr(number)), "f")


def parse_money(value: Any) -> float:
    """US dollars in ``$0.50`` or a plain number.

    Raises:
        ValueError: it is neither, or negative.
    """
    if isinstance(value, str) and re.fullmatch(_MONEY, value):
        value = float(value[1:])
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("write US dollars like $0.50")
    if not (math.isfinite(value) and value >= 0):
        raise ValueError("an amount of money is zero or more")
    return float(value)


def format_money(dollars: float) -> str:
    """``$0.50``; the text that `parse_money` reads as exactly ``dollars``."""
    text = f"{dollars:.2f}"
    return f"${text if float(text) == dollars else _plainly(dollars)}"


def parse_size(value: Any) -> int:
    """A count in ``20k``, ``1.5M``, ``800`` or a whole number.

    Raises:
        ValueError: it is none of these, or not a whole number of things.
    """
    if isinstance(value, str) and re.fullmatch(_SIZE, value):
        unit = value[-1] if value[-1] in "kM" else ""
        number = float(value.removesuffix(unit)) * _TIMES[unit]
        value = round(number) if math.isclose(number, round(number)) else number
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("write a whole number like 800, 20k or 1.5M")
    if value < 1:
        raise ValueError("it must be 1 or more")
    return value


def format_size(count: int) -> str | int:
    """``20k`` for 20,000; numbers that are not whole thousands stay numbers."""
    if count % 1_000_000 == 0:
        return f"{count // 1_000_000}M"
    return f"{count // 1_000}k" if count % 1_000 == 0 else count


def _text_or_number(pattern: str, example: str, kind: str = "number") -> WithJsonSchema:
    return WithJsonSchema(
        {
            "anyOf": [{"type": "string", "pattern": f"^{pattern}$"}, {"type": kind, "minimum": 0}],
            "examples": [example],
        }
    )


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration),
    _text_or_number(_DURATION, "30s"),
]
"""Seconds; written ``30s``."""

Money = Annotated[
    float,
    BeforeValidator(parse_money),
    PlainSerializer(format_money),
    _text_or_number(r"\$\d+(?:\.\d+)?", "$0.50"),
]
"""US dollars; written ``$0.50``."""

Size = Annotated[
    int, BeforeValidator(parse_size), PlainSerializer(format_size), _text_or_number(_SIZE, "20k", "integer")
]
"""A count of one or more; written ``20k``."""
