"""Limits on what a run may spend."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from weaver.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run (or one part of it) may spend; None means no limit.

    Args:
        total_tokens: input plus output tokens of all calls.
        cost_usd: US dollars; needs models whose prices are known.
        calls: model calls.
        threads: threads that may be started, nested ones included.
        depth: how deep threads may fork: 0 forbids forking, 1 allows threads of the root.

    Raises:
        ConfigurationError: a limit is negative or not a number.
    """

    total_tokens: int | None = None
    cost_usd: float | None = None
    calls: int | None = None
    threads: int | None = 256
    depth: int | None = 3

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and (math.isnan(value) or value < 0):
                raise ConfigurationError(
                    f"The limit on {field.name} is {value}.", hint="A limit is zero or more."
                )


@dataclass(frozen=True, slots=True)
class Remaining:
    """What is left of a run's limits and time at this moment; None where there is no limit.

    Attributes:
        seconds: until the deadline of the asking thread.
    """

    seconds: float | None
    tokens: int | None
    cost_usd: float | None
    calls: int | None
    threads: int | None
    depth: int | None
