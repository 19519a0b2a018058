"""A learned policy at work: which arm for this task, at this endpoint, within these limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path

from weaver._data.decisions import Arm
from weaver._data.task import Task
from weaver._planning.choosing import Choice, ChoosingPolicy
from weaver._planning.features import features_of
from weaver._planning.gate.gate import Verdict
from weaver._planning.gate.speeds import PRIORS
from weaver._planning.learned.drift import Drift
from weaver._planning.learned.file import PolicyFile, read_policy
from weaver._planning.learned.fitted import RULES, Expected, best, thompson
from weaver._planning.learned.objective import OBJECTIVES, Objective
from weaver._planning.policy import Judgement, Rules
from weaver._runtime.run import Run
from weaver.errors import ConfigurationError

ROOM = 3.0
"""Exploring needs this many times the seconds and the dollars of the dearest arm."""


class LearnedPolicy(ChoosingPolicy):
    """A policy from a file. Where it does not know better, the rules decide.

    Args:
        file: of `read_policy`.
        objective: another one than the file's; its evidence then says nothing.
        explore: choose by Thompson sampling, so that logs can judge other policies; never where time or
            money is tight.

    Raises:
        ConfigurationError: the policy was not accepted.
    """

    def __init__(
        self, file: PolicyFile, *, objective: Objective | None = None, explore: bool = False
    ) -> None:
        if not file.evidence.accepted:
            raise ConfigurationError(
                f"The policy {file.name} is refused: {'; '.join(file.evidence.reasons)}.",
                hint="Fit it on more results, or leave the decisions to the rules.",
            )
        self.file = file
        self.objective = objective or file.objective
        self.explore = explore
        self.drift = Drift()
        self._rules = Rules()

    @property
    def name(self) -> str:
        """Name and version."""
        return f"{self.file.name}/{self.file.weaver_policy}"

    def judge(self, task: Task) -> Judgement:
        """Judge as the rules do: they decide wherever the policy does not."""
        return self._rules.judge(task)

    async def choose(self, run: Run, task: Task, verdict: Verdict, can_run: Callable[[str], bool]) -> Choice:
        """Choose an arm.

        Args:
            verdict: of the gate; its speeds and its forecast of a direct answer count.
            can_run: whether a strategy can be run here; arms that cannot are left out.
        """
        features = features_of(task)
        stranger = self.file.fitted.domain.stranger(self.file.fitted.inputs, features)
        self.drift.saw(is_stranger=bool(stranger))
        why = self.file.other_version and f"it was fitted for other versions ({self.file.other_version})"
        why = why or (stranger and f"this kind of task is unknown to it: {stranger}")
        why = why or (self.drift.reason and f"it has drifted: {self.drift.reason}")
        if why:
            note = f"The policy {self.file.name} leaves the decision to the rules: {why}."
            return Choice(RULES, "", (Arm(RULES, 1.0),), why, note, features)
        expected = {
            name: values
            for name, values in self.expect(run, features, verdict).items()
            if name == RULES or can_run(self.file.fitted.arms[name].strategy)
        }
        feasible = _within_limits(run, expected)
        chosen = best(feasible, self.objective, self.file.threshold)
        chances = {name: float(name == chosen) for name in expected}
        if self.explore and not _is_tight(run, feasible):
            chances |= thompson(feasible, self.objective, run.random)
            names = list(feasible)
            chosen = run.random.choices(names, [chances[name] for name in names])[0]
        values = expected[chosen]
        note = ""
        if self.objective != self.file.objective:
            note = (
                f"The policy {self.file.name} was accepted for the objective {self.file.objective.name}, "
                f"not for {self.objective.name}."
            )
        return Choice(
            chosen,
            "" if chosen == RULES else self.file.fitted.arms[chosen].strategy,
            tuple(
                Arm(name, chances[name], round(e.seconds, 3), e.usd, round(e.quality, 4))
                for name, e in expected.items()
            ),
            f"{chosen}: {100 * values.quality:.0f} % right in {values.seconds:.1f} s expected",
            note,
            features,
            values.quality,
        )

    def expect(self, run: Run, features: Mapping[str, float], verdict: Verdict) -> dict[str, Expected]:
        """Predict every arm at the endpoint of the run's model."""
        model = run.context.model()
        forecast = verdict.forecast
        return self.file.fitted.expect(
            features,
            model=model.name,
            speeds=verdict.speeds or PRIORS["hosted"],
            prices=model.prices,
            direct_seconds=None if forecast is None else forecast.direct_seconds - verdict.elapsed,
        )

    def learn(self, choice: Choice, reward: float | None) -> None:
        """Compare what was predicted with the reward of the finished run, if somebody judged it."""
        if reward is not None and choice.quality is not None:
            self.drift.rewarded(choice.quality, reward)


def _within_limits(run: Run, expected: Mapping[str, Expected]) -> dict[str, Expected]:
    """The arms that fit into what is left of time, money and threads; the rules always."""
    remaining = run.remaining
    return {
        name: values
        for name, values in expected.items()
        if name == RULES
        or (
            (remaining.seconds is None or values.seconds < remaining.seconds)
            and (remaining.cost_usd is None or (values.usd or 0.0) < remaining.cost_usd)
        )
    }


def _is_tight(run: Run, expected: Mapping[str, Expected]) -> bool:
    remaining = run.remaining
    seconds = max(values.seconds for values in expected.values())
    usd = max(values.usd or 0.0 for values in expected.values())
    return (remaining.seconds is not None and remaining.seconds < ROOM * seconds) or (
        remaining.cost_usd is not None and remaining.cost_usd < ROOM * usd
    )


def load_policy(path: str | Path, *, objective: str = "", explore: bool = False) -> LearnedPolicy:
    """Return the policy of a file; the same object as long as the file stays the same.

    Args:
        objective: the name of another objective than the file's.

    Raises:
        ConfigurationError: the file cannot be used, see `read_policy`, or its policy was not accepted.
    """
    path = Path(path).expanduser()
    try:
        about = path.stat()
        version = (about.st_mtime_ns, about.st_size)
    except OSError:
        version = (0, 0)
    return _loaded(path, version, objective, explore)


@lru_cache(maxsize=8)
def _loaded(path: Path, _version: tuple[int, int], objective: str, explore: bool) -> LearnedPolicy:
    return LearnedPolicy(read_policy(path), objective=OBJECTIVES.get(objective), explore=explore)
