"""On which terms a thread works: what it does, for how long, and what its failure means to others."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from weaver._data.result import Answer
from weaver._data.task import Task
from weaver._models.protocol import Model
from weaver._runtime.state.context import ThreadContext
from weaver.errors import ConfigurationError

Body = Callable[[Any, Task], Awaitable[Answer]]


class Handle(Protocol):
    """What bodies, pruners and strategies are given: `weaver.Run`."""

    context: ThreadContext

    def __init__(self, context: ThreadContext) -> None: ...


"""``async def body(run: Run, task: Task) -> Answer``: what a thread does."""
OnError = Literal["keep", "skip", "fail_fast"]
OnTimeout = Literal["partial", "fail", "fallback"]


@dataclass(frozen=True, slots=True)
class Hedge:
    """When a straggler gets a second attempt, whose first success wins.

    A thread is hedged once it has run ``factor`` times as long as the ``quantile`` of its finished siblings,
    or ``after`` seconds, whichever is known.

    Args:
        quantile: of the durations of siblings that succeeded.
        least: siblings that must have succeeded before their durations say anything.
        after: seconds (a prediction) to use while siblings say nothing; None waits for siblings.
        share: most hedged threads, as a share of the fork's threads; one is always allowed.
        model: the model of second attempts, for example on another endpoint; None takes the same.
    """

    quantile: float = 0.75
    factor: float = 1.5
    least: int = 2
    after: float | None = None
    share: float = 0.1
    model: Model | None = None

    def __post_init__(self) -> None:
        if not (0 < self.quantile <= 1 and self.factor >= 1 and self.least >= 1 and 0 < self.share <= 1):
            raise ConfigurationError(f"{self!r} is no rule for hedging.", hint="See weaver.options.Hedge.")

    def patience(self, ordered: Sequence[float]) -> float | None:
        """Seconds a thread may run before it is hedged; None while nothing is known.

        Args:
            ordered: seconds of the siblings that succeeded, the shortest first.
        """
        if len(ordered) < self.least:
            return self.after
        seconds = self.factor * ordered[max(0, math.ceil(self.quantile * len(ordered)) - 1)]
        return seconds or self.after  # siblings that took no time, as under a virtual clock, say nothing

    def most(self, threads: int) -> int:
        """Return how many of so many threads may be hedged."""
        return max(1, math.floor(self.share * threads))


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of a fork's threads; each thread may have its own.

    Args:
        body: what the thread does.
        timeout: seconds from its start, or None.
        deadline_at: event-loop time at which it is stopped.
        on_error: ``keep``: a failure is data, and what depends on it is skipped; ``skip``: what depends on
            it goes on without its finding; ``fail_fast``: the others are cancelled and the join raises it.
        on_timeout: ``partial``: what was said so far counts as a (cut) finding; ``fail``: it counts as a
            failure; ``fallback``: ``fallback`` is run instead, for at most ``timeout`` again.
        fallback: a body for ``on_timeout="fallback"``; it is tried after an error too.
        hedge: second attempts for stragglers.

    Raises:
        ConfigurationError: ``fallback`` is asked for and not given, or a policy is unknown.
    """

    body: Body
    timeout: float | None = None
    deadline_at: float = float("inf")
    on_error: OnError = "keep"
    on_timeout: OnTimeout = "partial"
    fallback: Body | None = None
    hedge: Hedge | None = None

    def __post_init__(self) -> None:
        if self.on_error not in ("keep", "skip", "fail_fast"):
            raise ConfigurationError(f"on_error is {self.on_error!r}.", hint="Use keep, skip or fail_fast.")
        if self.on_timeout not in ("partial", "fail", "fallback"):
            raise ConfigurationError(
                f"on_timeout is {self.on_timeout!r}.", hint="Use partial, fail or fallback."
            )
        if self.on_timeout == "fallback" and self.fallback is None:
            raise ConfigurationError("on_timeout is 'fallback', but there is no fallback to run.")

    def changed(self, **given: Any) -> Terms:
        """These terms with those replaced that are given (not None)."""
        changes = {name: value for name, value in given.items() if value is not None}
        return replace(self, **changes) if changes else self
