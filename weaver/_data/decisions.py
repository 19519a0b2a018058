"""The decision log: what was decided in a run, among what, with which chances, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self, get_args

DecisionKind = Literal["fork", "width", "stop", "vote", "merge"]
RewardSource = Literal["grader", "verifier", "judge", "user"]
KINDS: tuple[DecisionKind, ...] = get_args(DecisionKind)
SOURCES: tuple[RewardSource, ...] = get_args(RewardSource)


@dataclass(frozen=True, slots=True)
class Arm:
    """One of the ways that were considered.

    Args:
        name: ``direct``, ``fork``, ``concat``, ...; never text of a model.
        propensity: the chance with which the policy chooses it, 0 to 1; without exploration 1 or 0.
        seconds, usd, quality: what was predicted of it (quality: the chance of a right answer); None where
            nothing was.
    """

    name: str
    propensity: float
    seconds: float | None = None
    usd: float | None = None
    quality: float | None = None


@dataclass(frozen=True, slots=True)
class Reward:
    """How good an answer turned out to be. Never the run's own confidence.

    Args:
        value: 0 (wrong, useless) to 1 (right).
        source: who says so.
        name: what was judged, such as ``correctness`` or the verifier's name.
    """

    value: float
    source: RewardSource
    name: str = "correctness"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a decision led to, from the decision to the end of its run (or of the thread that made it).

    Args:
        tokens: input and output tokens of all calls.
        seconds: of the clock.
        usd: US dollars; None where a price is unknown.
        status: of the run, or the state of the thread.
    """

    tokens: int
    seconds: float
    usd: float | None
    status: str


@dataclass(frozen=True, slots=True)
class LoggedDecision:
    """One decision.

    Args:
        kind: ``fork`` (or answer directly, or another strategy), ``width`` (how many threads), ``stop``
            (draw no more), ``vote`` (which answer), ``merge`` (how parts become one answer).
        chosen: the name of one of the ``arms``.
        arms: what was considered, the chosen arm included.
        policy: name and version of what decided, such as ``rules/4`` or ``self_consistency.stop/1``.
        reason: in words; "" where the kind says it all.
        thread: path of the thread that decided; "" for the root.
        at_seconds: seconds since the start of the run.
        features: what the policy read, as numbers.
        outcome: None while the run is not finished.
        reward: of the run, None where nobody has judged its answer.
    """

    kind: DecisionKind
    chosen: str
    arms: tuple[Arm, ...]
    policy: str
    reason: str = ""
    thread: str = ""
    at_seconds: float = 0.0
    features: Mapping[str, float] = field(default_factory=dict[str, float])
    outcome: Outcome | None = None
    reward: Reward | None = None

    @property
    def propensity(self) -> float:
        """The chance with which the chosen arm was chosen."""
        return next((arm.propensity for arm in self.arms if arm.name == self.chosen), 1.0)

    def ended(self, outcome: Outcome, reward: Reward | None) -> LoggedDecision:
        """The same decision with what came of it."""
        return LoggedDecision(  # `replace` takes four times as long, and a wide fork has hundreds
            self.kind,
            self.chosen,
            self.arms,
            self.policy,
            self.reason,
            self.thread,
            self.at_seconds,
            self.features,
            outcome,
            reward,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values, which `from_dict` reads back."""
        return {**asdict(self), "arms": [asdict(arm) for arm in self.arms], "features": dict(self.features)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what `as_dict` wrote.

        Raises:
            KeyError, TypeError: it is something else.
        """
        outcome, reward = data.get("outcome"), data.get("reward")
        values: dict[str, Any] = {
            **data,
            "arms": tuple(Arm(**arm) for arm in data["arms"]),
            "outcome": Outcome(**outcome) if outcome else None,
            "reward": Reward(**reward) if reward else None,
        }
        return cls(**values)


def certain(chosen: str, *others: str) -> tuple[Arm, ...]:
    """Return the arms of a decision without chance: ``chosen`` with propensity 1, ``others`` with 0."""
    return Arm(chosen, 1.0), *(Arm(name, 0.0) for name in others if name != chosen)
