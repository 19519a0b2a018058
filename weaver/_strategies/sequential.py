"""One thread, one line of reasoning: the baseline of every comparison. Optionally with budget forcing."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from weaver._data.result import Answer
from weaver._data.task import Task
from weaver._models.protocol import Request
from weaver._runtime.calls.model_calls import answer_of
from weaver._runtime.default_body import opening, thread_listener
from weaver._runtime.run import Run
from weaver._strategies.common.option_types import Count, Needs, Number
from weaver._strategies.common.registry import strategy
from weaver._strategies.common.streaming import END, THINK, Turn, must_continue, speaking
from weaver._text.untrusted import fenced

WAIT = "\nWait"
FINAL = "Final Answer:"


@strategy("sequential", source="Budget forcing: s1, Muennighoff et al. 2025, arXiv 2501.19393")
async def sequential(
    run: Run,
    task: Task,
    *,
    wait: Annotated[Number, Needs("prefill")] = 0,
    think_tokens: Annotated[Count | None, Needs("prefill")] = None,
) -> Answer:
    """Answer in one line of reasoning, without forking.

    With an option it is budget forcing (s1, Muennighoff et al. 2025): the model thinks between ``<think>``
    and ``</think>``; its end of thinking is dropped ``wait`` times and "Wait" is put in its place; at
    ``think_tokens`` the end is put in, and "Final Answer:" after it. That needs an endpoint that can
    continue an unfinished message.

    Args:
        wait: how often thinking is prolonged (the paper tries up to 6).
        think_tokens: most tokens of thinking.

    Raises:
        MissingCapabilityError: with an option, when the endpoint cannot continue a message.
    """
    if wait or think_tokens is not None:
        return await _forced(run, task, wait, think_tokens)
    return await run.reason(task, listen=speaking(run, "direct"))


async def _forced(run: Run, task: Task, wait: int, think_tokens: int | None) -> Answer:
    await must_continue(run, "Budget forcing")
    turn = Turn(run, opening(task), THINK)
    while True:
        tokens_left = None if think_tokens is None else max(1, think_tokens - turn.tokens)
        thinking = Request(stop=("</think>",), max_tokens=tokens_left)
        reply = await turn.go_on(thinking, name="thinking", listen=thread_listener(run))
        cut = reply.finish == "length"
        if cut or wait == 0:
            break
        wait -= 1
        turn.text = turn.text.rstrip() + WAIT
    listen = speaking(run, "direct")
    if task.output is not None or task.tools:
        thoughts = fenced(turn.text.removeprefix(THINK), "thoughts on the task")
        context = "\n\n".join(filter(None, (task.context, thoughts)))
        return await run.reason(replace(task, context=context), listen=listen)
    turn.text = turn.text.rstrip() + END + (FINAL if cut else "")
    reply = await turn.go_on(Request(max_tokens=task.max_tokens), name="answer", listen=listen)
    return answer_of(run.context, reply)
