r"""ThreadWeaver: adaptive threads over an unmodified engine (Lian et al. 2025, arXiv 2512.07843).

    ... <Parallel>
    <Outlines>
    <Outline>1: sub-task</Outline>
    <Outline>2: sub-task</Outline>
    </Outlines>
    <Thread>
    1: ...</Thread><Thread>
    2: ...</Thread>
    </Parallel> ...

1. Decode with the stop string ``</Outlines>``. No such stop: done.
2. Read the numbers of the outlines of the last ``<Outlines>``; none: go on sequentially.
3. For each number k decode ``context + "\n<Thread>\nk:"`` with the stop string ``</Thread>``. A thread sees
   all outlines, and no sibling.
4. Join in outline order: ``"\n<Thread>\n1:...</Thread><Thread>\n2:...</Thread>\n"``. The model writes
   ``</Parallel>`` (or a ``<Conclusion>``) itself. Go to 1, at most 32 times.

Hyper-parameters of its evaluation: temperature 0.6, top_p 0.95, a context of 40k tokens (Qwen3-8B), at
most 50 outlines, no nesting. Where the reference stops at a thread that was cut, this engine closes it
and goes on.
"""

from __future__ import annotations

from weaver._data.result import Answer
from weaver._data.task import Task
from weaver._runtime.run import Run
from weaver._strategies.common.option_types import Count, Patience, Share, Warmth
from weaver._strategies.common.registry import strategy
from weaver._strategies.native.common.engine import Show, answer
from weaver._strategies.native.common.line import Decoding
from weaver._strategies.native.common.prompts import TemplateName, prompt_for
from weaver._strategies.native.common.tags import TagFormat

THREADWEAVER = TagFormat(
    name="threadweaver",
    source="ThreadWeaver, Lian et al. 2025, arXiv 2512.07843",
    block="Parallel",
    plan="Outlines",
    outline="Outline",
    thread="Thread",
    conclusion="Conclusion",
    opening="<Thread>\n{key}:",
    before="\n",
    after="\n",
    adjacent=True,
    forks=("</Outlines>",),
    max_branches=50,
    rounds=32,
)


@strategy("threadweaver", source=THREADWEAVER.source, needs=("completions",))
async def threadweaver(
    run: Run,
    task: Task,
    *,
    max_tokens: Count = 40_000,
    thread_tokens: Count | None = None,
    temperature: Warmth = 0.6,
    top_p: Share = 0.95,
    patience: Patience = 5.0,
    template: TemplateName = "chatml",
    show: Show = "answer",
) -> Answer:
    """A model trained to fork writes outlines, and each becomes a thread; the joined text goes on.

    Args:
        max_tokens: most tokens of the main thread.
        thread_tokens: most tokens of one thread; by default what the main thread has left.
        patience: once half of the threads are done, the others get this many times their median seconds.
        template: chat template: ``chatml`` (Qwen), ``gemma`` or ``plain``.
        show: ``answer``, or the whole ``trajectory``.
    """
    prompt = prompt_for(run, task, template)
    decoding = Decoding(
        max_tokens=task.max_tokens or max_tokens,
        thread_tokens=thread_tokens,
        temperature=temperature,
        top_p=top_p,
        patience=patience,
    )
    return await answer(run, prompt, THREADWEAVER, decoding, show=show)
