"""Join rules: when a fork's threads have said enough. Immutable values that compose with ``|`` and ``&``.

The default, `All`, lives in `weaver._runtime.threads.join_protocol`, where the contract is. When a rule
cannot be met any more, the join settles at once (reason ``not_needed``), what had succeeded is returned, and
``JoinState.unmet`` names what is missing.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from weaver._coordination.answers.equivalence import equivalence
from weaver._coordination.answers.protocol import Equivalence
from weaver._coordination.answers.votes import Votes
from weaver._data.result import CancelReason, Finding
from weaver._runtime.threads.join_protocol import All, JoinRule, JoinState, Waiting, missing
from weaver.errors import ConfigurationError, WeaverError

__all__ = ["All", "BestOf", "Both", "Either", "First", "Judge", "Predicate", "Quorum", "Settled", "Until"]

Judge = Callable[[Finding], Awaitable[float] | float]
"""Scores one finding; the higher the better."""
Predicate = Callable[[Sequence[Any]], Awaitable[bool] | bool]
"""Looks at the threads that succeeded so far, in the order they finished."""


class Composable:
    """Gives a rule ``a | b`` (whichever is met first) and ``a & b`` (both met)."""

    __slots__ = ()

    def __or__(self, other: JoinRule) -> Either:
        return Either((cast("JoinRule", self), other))

    def __and__(self, other: JoinRule) -> Both:
        return Both((cast("JoinRule", self), other))


@dataclass(frozen=True, slots=True)
class First(Composable):
    """The first thread that succeeds; the others lose the race. Failures are waited out."""

    @property
    def name(self) -> str:
        """``first``."""
        return "first"

    def begin(self) -> JoinState:
        """One join."""
        return _Quorum(1, "stop", "lost_race")


@dataclass(frozen=True, slots=True)
class Quorum(Composable):
    """The first ``k`` threads that succeed.

    Args:
        k: how many, at least 1.
        otherwise: when too few threads are left: ``stop`` cancels them at once, ``wait`` takes what they
            still bring. Either way the successes are returned and the shortfall is named.

    Raises:
        ConfigurationError: ``k`` is below 1.
    """

    k: int
    otherwise: Literal["stop", "wait"] = "stop"

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ConfigurationError(f"quorum({self.k}) makes no sense.", hint="Give at least 1.")
        if self.otherwise not in ("stop", "wait"):
            raise ConfigurationError(f"quorum: {self.otherwise!r} is neither 'stop' nor 'wait'.")

    @property
    def name(self) -> str:
        """``quorum(2)``."""
        return f"quorum({self.k})" if self.otherwise == "stop" else f"quorum({self.k}, wait)"

    def begin(self) -> JoinState:
        """One join."""
        return _Quorum(self.k, self.otherwise, "quorum_met")


class _Quorum(Waiting):
    def __init__(self, k: int, otherwise: Literal["stop", "wait"], met: CancelReason) -> None:
        super().__init__()
        self.k, self.otherwise = k, otherwise
        self.met: CancelReason = met

    @property
    def needed(self) -> int | None:
        return self.k

    @property
    def unmet(self) -> str | None:
        have = len(self.succeeded)
        if have >= self.k:
            return None
        if not self.ended:
            return "There were no threads to join."
        return missing(self.ended, f"{have} of the {self.k} threads that were needed succeeded")

    async def decide(self, thread: Any, outstanding: int) -> CancelReason | None:  # noqa: ARG002
        if len(self.succeeded) >= self.k:
            return self.met
        impossible = self.otherwise == "stop" and len(self.succeeded) + outstanding < self.k
        return "not_needed" if impossible and outstanding else None


@dataclass(frozen=True, slots=True)
class Settled(Composable):
    """Stop when the vote can no longer change; return the threads that voted for the winner.

    Args:
        same: when two answers are the same (see `equivalence`); with an arbiter it is asked.
    """

    same: str | Equivalence | Callable[[str], Any] | None = None

    @property
    def name(self) -> str:
        """``settled`` or ``settled(number)``."""
        return "settled" if self.same is None else f"settled({equivalence(self.same).name})"

    def begin(self) -> JoinState:
        """One join."""
        return _Settled(Votes(self.same))


class _Settled(Waiting):
    def __init__(self, votes: Votes) -> None:
        super().__init__()
        self.votes = votes
        self.voters: dict[int, tuple[Finding, Any]] = {}  # the finding is kept, so its id stays its own

    async def decide(self, thread: Any, outstanding: int) -> CancelReason | None:
        if thread.state == "succeeded" and (finding := thread.finding) is not None:
            self.voters[id(finding)] = (finding, thread)
            await self.votes.cast(finding)
        if outstanding and self.votes.leader is not None and self.votes.settled(outstanding):
            return "settled"
        return None

    def winners(self) -> list[Any]:
        leader = self.votes.leader
        if leader is None:
            return list(self.succeeded)
        return [self.voters[id(ballot)][1] for ballot in leader.ballots]


@dataclass(frozen=True, slots=True)
class BestOf(Composable):
    """Score every success and return the best one (best-of-N).

    A thread is scored while its siblings still run, alone, so no answer biases the judge of another.

    Args:
        judge: the score of a finding, or an awaitable of it. A `WeaverError` of the judge leaves the thread
            unscored, ranked last.
        enough: a score at which the others are cancelled at once (a verifier that passes); None scores all.
    """

    judge: Judge
    enough: float | None = None

    @property
    def name(self) -> str:
        """``best`` or ``best(0.9)``."""
        return "best" if self.enough is None else f"best({self.enough:g})"

    def begin(self) -> JoinState:
        """One join."""
        return _BestOf(self.judge, self.enough)


class _BestOf(Waiting):
    def __init__(self, scorer: Judge, enough: float | None) -> None:
        super().__init__()
        self.scorer, self.enough = scorer, enough
        self.scores: list[tuple[float, Any]] = []
        self.problem: WeaverError | None = None

    @property
    def needed(self) -> int | None:
        return 1

    @property
    def unmet(self) -> str | None:
        if self.succeeded and not self.scores:
            return f"No answer could be scored, so the first one was taken: {self.problem}"
        return super().unmet

    async def decide(self, thread: Any, outstanding: int) -> CancelReason | None:
        if thread.state != "succeeded" or thread.finding is None:
            return None
        try:
            scored = self.scorer(thread.finding)
            score = float(await scored if inspect.isawaitable(scored) else scored)
        except WeaverError as error:
            self.problem = error
            return None
        self.scores.append((score, thread))
        return "settled" if outstanding and self.enough is not None and score >= self.enough else None

    def winners(self) -> list[Any]:
        if not self.scores:
            return self.succeeded[:1]
        return [max(self.scores, key=lambda pair: pair[0])[1]]


@dataclass(frozen=True, slots=True)
class Until(Composable):
    """Stop when ``predicate`` holds for the successes so far; hand all of them up.

    Args:
        predicate: gets the succeeded threads in the order they finished; may be async.
        text: how it reads in YAML and in traces.
    """

    predicate: Predicate
    text: str = ""

    @property
    def name(self) -> str:
        """``until(...)``."""
        return f"until({self.text or getattr(self.predicate, '__name__', '...')})"

    def begin(self) -> JoinState:
        """One join."""
        return _Until(self.predicate, self.name)


class _Until(Waiting):
    def __init__(self, predicate: Predicate, name: str) -> None:
        super().__init__()
        self.predicate, self.name, self.met = predicate, name, False

    @property
    def unmet(self) -> str | None:
        if self.met:
            return None
        return missing(self.ended, f"The threads ended before {self.name} came true")

    async def decide(self, thread: Any, outstanding: int) -> CancelReason | None:  # noqa: ARG002
        if thread.state == "succeeded":
            outcome = self.predicate(tuple(self.succeeded))
            self.met = bool(await outcome if inspect.isawaitable(outcome) else outcome)
        return "settled" if self.met else None


@dataclass(frozen=True, slots=True)
class Either(Composable):
    """Whichever of the rules is met first decides, also about who is returned."""

    rules: tuple[JoinRule, ...]

    @property
    def name(self) -> str:
        """``first | quorum(2)``."""
        return " | ".join(rule.name for rule in self.rules)

    def begin(self) -> JoinState:
        """One join."""
        return _Either([rule.begin() for rule in self.rules])


class _Either(Waiting):
    def __init__(self, parts: list[JoinState]) -> None:
        super().__init__()
        self.parts = parts
        self.met: JoinState | None = None

    @property
    def needed(self) -> int | None:
        numbers = [part.needed for part in self.parts]
        return min((n for n in numbers if n is not None), default=None) if None not in numbers else None

    @property
    def unmet(self) -> str | None:
        reasons = [part.unmet for part in self.parts]
        return None if None in reasons else " ".join(dict.fromkeys(r for r in reasons if r))

    async def decide(self, thread: Any, outstanding: int) -> CancelReason | None:
        impossible = 0
        for part in self.parts:
            reason = await part.finished(thread, outstanding=outstanding)
            if reason is not None and part.unmet is None:
                self.met = part
                return reason
            impossible += reason is not None
        return "not_needed" if impossible == len(self.parts) else None

    def winners(self) -> list[Any]:
        part = self.met or next((p for p in self.parts if p.unmet is None), None)
        return part.winners() if part is not None else list(self.succeeded)


@dataclass(frozen=True, slots=True)
class Both(Composable):
    """All rules have to be met. Returns the threads that any of them would, in the order they finished."""

    rules: tuple[JoinRule, ...]

    @property
    def name(self) -> str:
        """``quorum(2) & settled``."""
        return " & ".join(f"({r.name})" if isinstance(r, Either) else r.name for r in self.rules)

    def begin(self) -> JoinState:
        """One join."""
        return _Both([rule.begin() for rule in self.rules])


class _Both(Waiting):
    def __init__(self, parts: list[JoinState]) -> None:
        super().__init__()
        self.parts = parts

    @property
    def needed(self) -> int | None:
        return max((n for part in self.parts if (n := part.needed) is not None), default=None)

    @property
    def unmet(self) -> str | None:
        return " ".join(dict.fromkeys(r for part in self.parts if (r := part.unmet))) or None

    async def decide(self, thread: Any, outstanding: int) -> CancelReason | None:
        reasons: list[CancelReason | None] = [
            await part.finished(thread, outstanding=outstanding) for part in self.parts
        ]
        for part, reason in zip(self.parts, reasons, strict=True):
            if reason is not None and part.unmet is not None:
                return reason
        return reasons[-1] if None not in reasons else None

    def winners(self) -> list[Any]:
        chosen = {id(t) for part in self.parts for t in part.winners()}
        return [t for t in self.succeeded if id(t) in chosen]
