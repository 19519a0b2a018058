"""Which merge a task gets: the user's choice, else its output type, else the plan's word, else ``write``."""

from __future__ import annotations

from typing import get_origin

from weaver._data.plan import Plan
from weaver._data.result import Answer
from weaver._data.task import Task
from weaver._runtime.run import Run
from weaver._synthesis.concat import concat
from weaver._synthesis.data import Data, data
from weaver._synthesis.merge import Merge, Parts
from weaver._synthesis.pick import pick
from weaver._synthesis.reference import reference
from weaver._synthesis.write import write


class Auto:
    """The default: leaves the choice to the output type and to the plan."""

    name = "auto"

    async def __call__(self, run: Run, task: Task, parts: Parts) -> Answer:
        """See `Merge`."""
        return await chosen(self, task, parts.plan)(run, task, parts)


auto = Auto()
NAMED: dict[str, Merge] = {
    "write": write,
    "concat": concat,
    "data": data,
    "pick": pick,
    "reference": reference,
}
"""The merges that are no choice between others."""
MERGES: dict[str, Merge] = {"auto": auto, **NAMED}
"""By the names that users type, and plans write."""
_TEXT_ONLY = (concat, pick, reference)
_data_if_it_fits = Data(asked=False)


def chosen(merge: Merge, task: Task, plan: Plan | None = None) -> Merge:
    """The merge that is meant.

    Args:
        merge: the user's choice, or `auto`.
        plan: its word counts where the user and the output type leave the choice; None while there is none.
    """
    if task.output is not None and (merge is auto or merge in _TEXT_ONLY):
        fits = get_origin(task.output) in (list, dict) and plan is not None and len(plan.levels) == 1
        return _data_if_it_fits if fits else write
    if merge is not auto:
        return merge
    return NAMED.get((plan.merge if plan is not None else None) or "write", write)


def name_of(merge: Merge) -> str:
    """The name of a merge, for the gate; ``write`` where it has none."""
    return str(getattr(merge, "name", "write"))
