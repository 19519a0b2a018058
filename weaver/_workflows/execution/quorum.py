"""Joins that need so many successes: with fewer the step has failed, whoever was quick."""

from __future__ import annotations

from typing import Any

from weaver._data.result import CancelReason
from weaver._runtime.threads.join_protocol import Around, JoinRule, JoinState


class Enough:
    """A rule that returns nothing unless as many threads succeeded as it needs.

    A quorum is given up as soon as it cannot be met. What had succeeded by then is a matter of chance, so it
    must not decide whether the step has an output.
    """

    def __init__(self, rule: JoinRule) -> None:
        self.name = rule.name
        self._rule = rule

    def begin(self) -> JoinState:
        """One join."""
        return _EnoughState(self._rule.begin())


class _EnoughState(Around):
    def __init__(self, state: JoinState) -> None:
        super().__init__(state)
        self._succeeded = 0

    async def finished(self, thread: Any, *, outstanding: int) -> CancelReason | None:
        self._succeeded += thread.state == "succeeded"
        return await super().finished(thread, outstanding=outstanding)

    def winners(self) -> list[Any]:
        return [] if self._succeeded < (self.needed or 0) else super().winners()
