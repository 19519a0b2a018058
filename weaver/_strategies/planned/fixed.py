"""Static decomposition: the planner must split the task into exactly k parts, whatever the task is."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from weaver._data.messages import system, user
from weaver._data.plan import Plan, Subtask
from weaver._data.result import Answer
from weaver._data.task import Task
from weaver._models.protocol import Request
from weaver._planning.features import TaskFeatures
from weaver._planning.part_questions import merge_of_named
from weaver._runtime.output.structured_output import Shape
from weaver._runtime.run import Run
from weaver._strategies.common.option_types import Count
from weaver._strategies.common.registry import strategy
from weaver._strategies.common.sampling import shown
from weaver._strategies.common.seams import checked, merge_named
from weaver._strategies.planned.plan_runner import Following, Manner
from weaver._strategies.sequential import sequential
from weaver._synthesis.merge import Merge
from weaver.errors import InvalidOutputError, ModelError
from weaver.events import Planned

SPLIT = """\
Split a task into exactly %(k)d parts that can be worked on at the same time, without knowing each other. Do \
not solve anything. Write for each part a prompt that is complete in itself, with every number and name it \
needs: the worker sees nothing else. Somebody else merges the results."""


class Part(BaseModel):
    """One part, as the planner writes it."""

    title: str = Field(max_length=100)
    prompt: str = Field(min_length=1)


@strategy("fixed", source="docs/strategies.md")
async def fixed(
    run: Run, task: Task, *, k: Count = 4, merge: Annotated[Merge | str, checked(merge_named)] = "auto"
) -> Answer:
    """Split every task into exactly ``k`` independent parts, and merge their answers.

    The static fork-join that adaptive methods are compared with: how wide is imposed from outside.

    Args:
        k: parts.
        merge: how one answer is made of the parts, as for `adaptive`; ``auto``: by the output type, and parts
            that the question names stay as they are.
    """
    run.decide(
        parallel=True, by="user", because=f"every task is split into {k} parts", features=TaskFeatures(task)
    )
    parts = Shape[list[Part]](Annotated[list[Part], Field(min_length=k, max_length=k)], name="parts")
    request = Request((system(SPLIT % {"k": k}), user(shown(task))), temperature=0.0)
    try:
        written = await run.parsed(request, parts, role="planner", name="plan")
    except (ModelError, InvalidOutputError) as error:
        run.note(f"There is no plan ({error.message}); the task is answered directly.")
        run.decide(parallel=False, by="fallback", because=error.message, features=TaskFeatures(task))
        return await sequential(run, task)
    plan = Plan(
        parallel=True,
        merge=merge_of_named(task.user_words, [part.title for part in written]),
        subtasks=tuple(
            Subtask(id=f"p{i}", title=part.title, prompt=part.prompt)
            for i, part in enumerate(written, start=1)
        ),
    )
    if run.context.parent is None:
        run.context.state.plan = plan
    run.emit(Planned(plan, run.context.thread_id))
    manner = Manner(body=_work, replans=0, prune=None, merge=merge_named(merge))
    async with manner.open_threads(run) as threads:
        following = Following(run, task, threads, manner)
        for subtask in plan.subtasks:
            following.start(subtask)
        threads.close()
        return await following.answer(plan)


async def _work(run: Run, task: Task) -> Answer:
    return await run.reason(task)
