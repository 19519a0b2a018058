"""What servers say about limits by the minute: in the headers of every answer, and in their refusals."""

from __future__ import annotations

import re
from collections.abc import Mapping

from weaver._models.layers.rates import Allowance, Unit
from weaver._models.openai.errors.complaints import LONGEST_WINDOW, duration
from weaver._text.patterns import lazily

_LARGEST = 1e12
_RATE = lazily(
    r"\b(?:requests?|tokens?)[_ -]{0,3}(?:per|/|a)[_ -]?(?:second|minute|min|sec)\b|\b[RT]P[MS]\b",
    re.IGNORECASE,
)
_TOKENS = lazily(r"tokens?\b|\bTP[MS]\b", re.IGNORECASE)
_AT_ONCE = lazily(r"concurren|at (?:once|the same time)|in parallel|simultaneous", re.IGNORECASE)


def allowances_in(headers: Mapping[str, str]) -> tuple[Allowance, ...]:
    """Read ``x-ratelimit-*`` and ``anthropic-ratelimit-*`` headers, and the draft standard's ``ratelimit-*``.

    A limit without a reset, or one that resets after two minutes (by the day), is passed over.
    """
    named = {name: value for key, value in headers.items() if "ratelimit" in (name := key.lower())}
    if not named:
        return ()
    read: list[Allowance] = []
    for name, value in named.items():
        if "remaining" not in name:
            continue
        remaining = _number(value)
        reset = duration(named.get(name.replace("remaining", "reset")))
        if remaining is None or reset is None or reset > LONGEST_WINDOW:
            continue
        unit: Unit = "tokens" if "token" in name else "requests"
        limit = _number(named.get(name.replace("remaining", "limit"), ""))
        read.append(Allowance(unit, remaining, limit if limit and limit >= remaining else None, reset))
    # One header may name all tokens and others their kinds: what is scarcest counts.
    scarce: dict[Unit, Allowance] = {}
    for allowance in read:
        other = scarce.get(allowance.unit)
        if other is None or allowance.remaining < other.remaining:
            scarce[allowance.unit] = allowance
    return tuple(scarce.values())


def exceeded_in(text: str, allowances: tuple[Allowance, ...]) -> Unit | None:
    """Tell what there was too much of within some time, by text and headers; None: calls at once."""
    if _AT_ONCE.search(text):
        return None
    for allowance in allowances:
        if allowance.remaining < 1.0:
            return allowance.unit
    if _RATE.search(text):
        return "tokens" if _TOKENS.search(text) else "requests"
    return None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return min(value, _LARGEST) if value >= 0 else 0.0 if value < 0 else None
