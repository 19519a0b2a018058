"""Planning anew what was lost: the planner sees the old plan, what was found, and why the rest failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from weaver._data.plan import Plan, Subtask
from weaver._data.task import Task
from weaver._planning.planner import make_plan
from weaver._runtime.run import Run
from weaver._runtime.state.thread import Thread
from weaver._text.untrusted import fenced


async def make_replan(
    run: Run, task: Task, old: Plan, findings: Sequence[Thread], lost: Sequence[Thread]
) -> Plan | None:
    """Ask the planner for other subtasks in place of those that were lost.

    Args:
        old: the plan so far; `RunState.plan` becomes that plan with the new subtasks added.
        findings: threads that found something.
        lost: threads that did not, with their errors.

    Returns:
        The added subtasks as a plan; None when the planner has nothing to add, or only repeats itself.

    Raises:
        InvalidPlanError, ModelError, BudgetExceededError: as `make_plan`.
    """
    retold = replace(task, context="\n\n".join(filter(None, [task.context, _story(old, findings, lost)])))
    plan = await make_plan(
        run, retold, agents=tuple(run.context.state.agents.values()), max_subtasks=len(lost) + 1, min_parts=1
    )
    run.context.state.plan = old if run.context.parent is None else run.context.state.plan
    old_prompts = {_words(s.prompt) for s in old.subtasks}
    fresh = tuple(s for s in plan.subtasks if _words(s.prompt) not in old_prompts)
    if not fresh:
        run.note("The planner had nothing new in place of what was lost.")
        return None
    taken = {s.id for s in old.subtasks}
    added = Plan(parallel=True, reason=plan.reason, subtasks=_renamed(fresh, taken))
    because = f"replanned: {plan.reason or 'subtasks were lost'}"
    run.decide(parallel=True, by="planner", because=because, features={"lost": float(len(lost))})
    if run.context.parent is None:
        run.context.state.plan = old.model_copy(update={"subtasks": (*old.subtasks, *added.subtasks)})
    return added


def _story(old: Plan, findings: Sequence[Thread], lost: Sequence[Thread]) -> str:
    parts = [fenced(old.model_dump_json(exclude_defaults=True, exclude={"notes"}), "the plan so far")]
    parts += [fenced(t.text, f"found for {t.title}") for t in findings]
    parts += [fenced(str(t.error or t.state), f"failed: {t.title}") for t in lost]
    parts.append(
        "Plan only what is needed in place of the failed subtasks, in another way than before. Do not repeat "
        "subtasks that are done. If nothing else can be tried, parallel is false."
    )
    return "\n\n".join(parts)


def _renamed(subtasks: Sequence[Subtask], taken: set[str]) -> tuple[Subtask, ...]:
    """Subtasks with ids of their own, depending on each other only."""
    names = {s.id: s.id if s.id not in taken else f"{s.id}-again" for s in subtasks}
    return tuple(
        s.model_copy(
            update={"id": names[s.id], "depends_on": tuple(names[d] for d in s.depends_on if d in names)}
        )
        for s in subtasks
    )


def _words(text: str) -> str:
    return " ".join(text.lower().split())
