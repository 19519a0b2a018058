"""What calls consumed: tokens, calls and money."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, calls and cost of one or several model calls. Immutable; add with ``+``.

    Args:
        calls: model calls that were sent to a model.
        input_tokens: prompt tokens, cached ones included.
        output_tokens: generated tokens, reasoning tokens included.
        reasoning_tokens: the part of ``output_tokens`` that was hidden reasoning.
        cached_tokens: the part of ``input_tokens`` that the server read from a cache.
        cache_written_tokens: the part of ``input_tokens`` that the server wrote into a cache.
        cost_usd: US dollars, or None if any part of it is unknown.
        estimated: True if any part was estimated rather than reported by the server.
    """

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cached_tokens: int = 0
    cost_usd: float | None = 0.0
    estimated: bool = False
    cache_written_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Input plus output tokens."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        cost = None if self.cost_usd is None or other.cost_usd is None else self.cost_usd + other.cost_usd
        return Usage(
            self.calls + other.calls,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            self.cached_tokens + other.cached_tokens,
            cost,
            self.estimated or other.estimated,
            self.cache_written_tokens + other.cache_written_tokens,
        )

    def as_dict(self) -> dict[str, int | float | bool | None]:
        """The shape that ``weaver run --json`` prints."""
        return {
            "calls": self.calls,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "reasoning_tokens": self.reasoning_tokens,
            "cached_tokens": self.cached_tokens,
            "cache_written_tokens": self.cache_written_tokens,
            "total_tokens": self.total_tokens,
            "cost_usd": self.cost_usd,
            "estimated": self.estimated,
        }


NOTHING = Usage()


def total(usages: Iterable[Usage]) -> Usage:
    """The sum of ``usages``. Money is added exactly, so the order does not matter."""
    every = list(usages)
    costs = [u.cost_usd for u in every]
    return Usage(
        sum(u.calls for u in every),
        sum(u.input_tokens for u in every),
        sum(u.output_tokens for u in every),
        sum(u.reasoning_tokens for u in every),
        sum(u.cached_tokens for u in every),
        None if None in costs else math.fsum(c for c in costs if c is not None),
        any(u.estimated for u in every),
        sum(u.cache_written_tokens for u in every),
    )


def estimate_tokens(text: str) -> int:
    """A rough token count: one token per four bytes of UTF-8, at least one for any text."""
    return (len(text.encode("utf-8", "replace")) + 3) // 4
