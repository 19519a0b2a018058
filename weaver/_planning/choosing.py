"""A policy that may also choose how a task is answered: the learned one is such a policy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weaver._data.decisions import Arm
    from weaver._data.task import Task
    from weaver._planning.gate.gate import Verdict
    from weaver._planning.policy import Judgement
    from weaver._runtime.run import Run


@dataclass(frozen=True, slots=True)
class Choice:
    """What the policy chose.

    Attributes:
        arm, strategy: the name of the arm and what it runs; ``strategy`` is "" for the rules.
        arms: all that were considered.
        reason: in words.
        note: why the rules decide instead of the policy; "" where it decided.
        features: what it read.
        quality: the predicted chance of a right answer; None where it predicted nothing.
    """

    arm: str
    strategy: str
    arms: tuple[Arm, ...]
    reason: str
    note: str
    features: Mapping[str, float]
    quality: float | None = None


class ChoosingPolicy(ABC):
    """A policy that chooses among strategies, at the root of a run."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Name and version."""

    @abstractmethod
    def judge(self, task: Task) -> Judgement:
        """Judge a task where the policy does not choose; see `weaver._planning.policy.Policy`."""

    @abstractmethod
    async def choose(self, run: Run, task: Task, verdict: Verdict, can_run: Callable[[str], bool]) -> Choice:
        """Choose an arm.

        Args:
            verdict: of the gate; its speeds and its forecast of a direct answer count.
            can_run: whether a strategy can be run here; arms that cannot are left out.
        """

    @abstractmethod
    def learn(self, choice: Choice, reward: float | None) -> None:
        """Compare what was predicted with the reward of the finished run, if somebody judged it."""
