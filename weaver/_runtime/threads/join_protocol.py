"""What a join rule is, and the default one.

A rule is an immutable value (`All`, or one of `weaver._coordination.joins.rules`). It begins one `JoinState`
per join; the runtime tells the state about every thread that reaches its final state, one at a time, and the
state says when no later thread can matter.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from weaver._data.result import Answer, CancelReason, Finding, ThreadState
from weaver._text.shortening import one_line

MORE = sys.maxsize
"""``outstanding`` while more threads may still be started: nothing is settled by running out of threads."""


class Joined(Protocol):
    """What a rule reads of a thread. `weaver._runtime` threads have it; so has any plain test object."""

    @property
    def id(self) -> str: ...
    @property
    def state(self) -> ThreadState: ...
    @property
    def answer(self) -> Answer | None: ...
    @property
    def finding(self) -> Finding | None: ...
    @property
    def error(self) -> BaseException | None: ...


class JoinState(Protocol):
    """One join under way.

    Attributes:
        needed: how many successes the rule waits for, where that is a number; else None.
        unmet: why the rule is not met (yet), as one sentence that names what is missing; None when it is met.
            Read it when the join is over: without winners `NoAnswerError` is raised with this sentence;
            with winners they are returned (finished work is never lost) and the sentence is noted, so the
            result is partial.
    """

    @property
    def needed(self) -> int | None: ...

    @property
    def unmet(self) -> str | None: ...

    async def finished(self, thread: Any, *, outstanding: int) -> CancelReason | None:
        """Take note of a thread that has just reached its final state.

        Args:
            thread: a `Joined`. Cancelled (pruned) and skipped threads are told too: they can make a rule
                impossible.
            outstanding: threads of this join that the state has not been told about yet (also those that
                have just finished); `MORE` while others may be started.

        Returns:
            A reason once the join is settled, met or not: the rest is cancelled with it. None to wait on.
            After a reason was given, further calls change nothing and give the same reason.
        """
        ...

    def winners(self) -> list[Any]:
        """The threads that the join returns, in the order they finished; the best first for a contest."""
        ...


class JoinRule(Protocol):
    """When a join is settled. Immutable; ``name`` is its text form (``all``, ``quorum(2)``)."""

    @property
    def name(self) -> str: ...

    def begin(self) -> JoinState: ...


class Around:
    """A `JoinState` around another one, which it asks for everything."""

    def __init__(self, state: JoinState) -> None:
        self.inner = state

    @property
    def needed(self) -> int | None:
        """See `JoinState`."""
        return self.inner.needed

    @property
    def unmet(self) -> str | None:
        """See `JoinState`."""
        return self.inner.unmet

    async def finished(self, thread: Any, *, outstanding: int) -> CancelReason | None:
        """See `JoinState`."""
        return await self.inner.finished(thread, outstanding=outstanding)

    def winners(self) -> list[Any]:
        """See `JoinState`."""
        return self.inner.winners()


class Pending(Protocol):
    """The unfinished threads of a fork, in order. Iterating looks at each; `alike` does not."""

    def __iter__(self) -> Iterator[Any]: ...

    def alike(self, thread: Any, /) -> list[Any]:
        """Those with the same task (the same words) and agent as ``thread``."""
        ...


class Pruner(Protocol):
    """Names threads that a result has made unnecessary (`weaver._coordination.joins.pruning`)."""

    async def __call__(self, run: Any, finished: Any, pending: Pending, /) -> Sequence[Any]:
        """Return which of ``pending`` to drop, now that ``finished`` has succeeded."""
        ...


def missing(threads: list[Any], what: str) -> str:
    """``what``, followed by the threads that did not succeed and how they ended, the same end once."""
    ends: dict[str, list[str]] = {}
    for t in threads:
        if t.state != "succeeded":
            why = f" ({type(t.error).__name__}: {_short(t.error)})" if t.error else ""
            ends.setdefault(f"{t.state}{why}", []).append(t.id)
    ended = [f"{_listed(ids)} {end}" for end, ids in ends.items()]
    if len(ended) > 8:
        ended[8:] = [f"and {len(ended) - 8} more"]
    return f"{what}: {'; '.join(ended)}." if ended else f"{what}."


def _listed(ids: Sequence[str]) -> str:
    listing = ", ".join(ids[:8])
    return listing if len(ids) <= 8 else f"{listing} and {len(ids) - 8} more"


def _short(error: BaseException) -> str:
    return one_line(str(error))


class Waiting:
    """Base of states: knows who has ended and who of them succeeded. By itself it waits for every thread.

    Attributes:
        ended: all threads told about; ``succeeded``: those that succeeded; both in the order they finished.
        settled: the reason, once one was given.
    """

    def __init__(self) -> None:
        self.ended: list[Any] = []
        self.succeeded: list[Any] = []
        self.settled: CancelReason | None = None

    @property
    def needed(self) -> int | None:
        """No number."""
        return None

    @property
    def unmet(self) -> str | None:
        """See `JoinState`."""
        if self.succeeded:
            return None
        return missing(self.ended, "No thread succeeded") if self.ended else "There were no threads to join."

    async def finished(self, thread: Any, *, outstanding: int) -> CancelReason | None:
        """Note the thread; ask `decide` whether that settles the join."""
        if self.settled is None:
            self.ended.append(thread)
            if thread.state == "succeeded":
                self.succeeded.append(thread)
            self.settled = await self.decide(thread, outstanding)
        return self.settled

    async def decide(self, thread: Any, outstanding: int) -> CancelReason | None:  # noqa: ARG002
        """Return True if the join is settled now; None waits for every thread."""
        return None

    def winners(self) -> list[Any]:
        """The succeeded threads, in the order they finished."""
        return list(self.succeeded)


@dataclass(frozen=True, slots=True)
class All:
    """Wait for every thread; return those that succeeded. The default."""

    @property
    def name(self) -> str:
        """``all``."""
        return "all"

    def begin(self) -> JoinState:
        """One join."""
        return Waiting()
