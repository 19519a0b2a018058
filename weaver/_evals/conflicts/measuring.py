"""Running the cases under each way of handling conflicts, and counting what came of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from weaver._data.plan import Plan, Subtask
from weaver._data.result import Answer, Conflict, Result
from weaver._data.task import Agent, Task
from weaver._evals.conflicts.cases import Case
from weaver._evals.conflicts.models import Actors, Competence
from weaver._facade.weaver import Weaver
from weaver._runtime.run import Run
from weaver._settings.settings import Settings
from weaver._strategies.planned.adaptive import adaptive

Outcome = Literal["right", "wrong", "open"]


@dataclass(frozen=True, slots=True)
class Measured:
    """One case under one ladder.

    Attributes:
        found: whether the contradiction was found: the right and the wrong threads stand on different sides.
        alarm: for a control: whether any conflict was reported.
        resolved: how the contradiction was settled; ``open`` if not found or not settled.
        answered: what the final answer says; ``open`` if it says that the value is disputed.
    """

    case: Case
    found: bool
    alarm: bool
    resolved: Outcome
    answered: Outcome
    tokens: int
    calls: int


async def measure(
    cases: Sequence[Case], ladder: str, *, competence: Competence | None = None, seed: int = 0
) -> list[Measured]:
    """Run every case with the ladder of that text (``off``: threads are not compared at all)."""
    can = competence or Competence()
    return [await _one(case, ladder, can, seed) for case in cases]


async def _one(case: Case, ladder: str, competence: Competence, seed: int) -> Measured:
    actors = Actors(case, competence, seed)

    async def strategy(run: Run, task: Task) -> Answer:
        return await adaptive(run, task, conflicts=ladder, prune="off", hedge=False, replans=0)

    weaver = Weaver(
        actors.model,
        settings=Settings(),
        strategy=strategy,
        seed=seed,
        agents=[Agent("expert", model=actors.expert)],
    )
    subtasks = tuple(
        Subtask(id=f"s{i}", title=f"source {i}", prompt=f"Consult source {i}. {case.question}")
        for i in range(1, len(case.threads) + 1)
    )
    result = await weaver.run(case.question, plan=Plan(parallel=True, subtasks=subtasks))
    hit = _hit(case, result.conflicts)
    return Measured(
        case,
        found=hit is not None,
        alarm=bool(result.conflicts) and not case.contradicts,
        resolved=_resolved(case, hit),
        answered=_answered(case, result),
        tokens=result.usage.total_tokens,
        calls=result.usage.calls,
    )


def _hit(case: Case, conflicts: Sequence[Conflict]) -> Conflict | None:
    """The conflict that separates right threads from wrong ones."""
    right = {f"s{i}" for i, t in enumerate(case.threads, 1) if t.right}
    for conflict in conflicts:
        sides = [set(v.threads) for v in conflict.values]
        if case.contradicts and any(s <= right for s in sides) and any(not s & right for s in sides):
            return conflict
    return None


def _resolved(case: Case, conflict: Conflict | None) -> Outcome:
    if conflict is None or conflict.resolution is None:
        return "open"
    return "right" if case.is_right(conflict.resolution.value) else "wrong"


def _answered(case: Case, result: Result[object]) -> Outcome:
    if "this stays open" in result.answer:
        return "open"
    set_right = re.findall(r"was settled as: (.*)\.", result.answer)
    written = re.findall(r"the value is (.*)", result.answer)
    last_answer = (set_right or written or [""])[-1]
    return "right" if case.is_right(last_answer.strip()) else "wrong"
