"""One thread, one line of reasoning: the baseline of every comparison."""

from __future__ import annotations

from weaver.events import AnswerStarted
from weaver.result import Answer
from weaver.runtime.run import Run
from weaver.strategies.registry import strategy
from weaver.synthesis import answer_listener
from weaver.task import Task


@strategy("sequential")
async def sequential(run: Run, task: Task) -> Answer:
    """Answer in one line of reasoning, without forking."""
    if run.parent is not None:
        return await run.reason(task)
    run.emit(AnswerStarted("direct"))
    return await run.reason(task, listen=answer_listener(run))
