"""Which merge a task gets: the user's choice, else its output type, else the plan's word, else ``write``."""

from __future__ import annotations

from weaver.plan import Plan
from weaver.result import Answer
from weaver.runtime.run import Run
from weaver.synthesis.concat import concat
from weaver.synthesis.merge import Merge, Parts
from weaver.synthesis.write import write
from weaver.task import Task


class Auto:
    """The default: leaves the choice to the output type and to the plan."""

    name = "auto"

    async def __call__(self, run: Run, task: Task, parts: Parts) -> Answer:
        """See `Merge`."""
        return await chosen(self, task, parts.plan)(run, task, parts)


auto = Auto()
_NAMED: dict[str, Merge] = {"write": write, "concat": concat}
MERGES: dict[str, Merge] = {"auto": auto, **_NAMED}
"""By the names that users type, and plans write."""
_TEXT_ONLY = ("concat",)


def chosen(merge: Merge, task: Task, plan: Plan | None = None) -> Merge:
    """The merge that is meant.

    Args:
        merge: the user's choice, or `auto`.
        plan: its word counts where the user and the output type leave the choice; None while there is none.
    """
    if task.output is not None and (merge is auto or name_of(merge) in _TEXT_ONLY):
        return write
    if merge is not auto:
        return merge
    return _NAMED.get(getattr(plan, "merge", None) or "write", write)


def name_of(merge: Merge) -> str:
    """The name of a merge, for the gate; ``write`` where it has none."""
    return str(getattr(merge, "name", "write"))
