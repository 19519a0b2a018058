r"""Native Parallel Reasoner: plans, steps, a takeaway, nested (Wu et al. 2025, arXiv 2512.07461).

    <guideline> <plan>1: ...</plan> <plan>2: ...</plan> </guideline>
    <step>
    1: ...</step>
    <step>
    2: ...</step>
    <takeaway> ... </takeaway>

Fork at ``</guideline>``; a step begins with ``"\n<step>\nk:"`` and ends with ``</step>``; then the engine
writes ``<takeaway>``. Engine rules of the paper: no fork with no plan or more than 5, deeper than 5, or
with fewer than 1024 tokens left; the text then goes on sequentially.
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

NPR = TagFormat(
    name="npr",
    source="Native Parallel Reasoner, Wu et al. 2025, arXiv 2512.07461",
    plan="guideline",
    outline="plan",
    thread="step",
    conclusion="takeaway",
    conclusion_needed=True,
    opening="<step>\n{key}:",
    before="\n",
    between="\n",
    after="\n<takeaway>\n",
    forks=("</guideline>",),
    max_branches=5,
    max_depth=5,
    min_tokens=1024,
    rounds=32,
)


@strategy("npr", source=NPR.source, needs=("completions",))
async def npr(
    run: Run,
    task: Task,
    *,
    max_tokens: Count = 32_768,
    thread_tokens: Count | None = None,
    temperature: Warmth = 1.0,
    top_p: Share = 0.95,
    patience: Patience = 5.0,
    template: TemplateName = "chatml",
    show: Show = "answer",
) -> Answer:
    """A model trained to fork writes self-contained plans; each becomes a step, then it takes away.

    Args:
        max_tokens: most tokens of the main thread.
        thread_tokens: most tokens of one step; by default what its parent has left.
        patience: once half of the steps are done, the others get this many times their median seconds.
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
    return await answer(run, prompt, NPR, decoding, show=show)
