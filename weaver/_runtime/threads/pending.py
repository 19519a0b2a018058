"""The unfinished threads of a fork, as a pruner sees them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from weaver._data.task import Agent
from weaver._runtime.state.thread import Thread


class PendingThreads:
    """The threads of a fork that have not finished and are not being cancelled.

    Each thread's task is read once, so that a fork of n threads costs n and not n squared.

    Args:
        threads: all threads of the fork; more may be added to it.
    """

    def __init__(self, threads: Sequence[Thread]) -> None:
        self._threads = threads
        self._indexed = 0
        self._by_task: dict[tuple[bytes, Agent | None], list[Thread]] = {}

    def __iter__(self) -> Iterator[Thread]:
        return (thread for thread in self._threads if _is_pending(thread))

    def alike(self, thread: Thread, /) -> list[Thread]:
        """Those with the same task (the same words) and agent as ``thread``."""
        while self._indexed < len(self._threads):
            other = self._threads[self._indexed]
            self._by_task.setdefault(_key(other), []).append(other)
            self._indexed += 1
        return [other for other in self._by_task.get(_key(thread), ()) if _is_pending(other)]


def _is_pending(thread: Thread) -> bool:
    return not thread.finished and thread.cancel_reason is None


def _key(thread: Thread) -> tuple[bytes, Agent | None]:
    words = " ".join(thread.task.question.lower().split())
    return hashlib.blake2b(words.encode("utf-8", "surrogatepass"), digest_size=16).digest(), thread.task.agent
