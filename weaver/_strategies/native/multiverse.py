r"""Multiverse: map, process, reduce, nested (Yang et al. 2025, arXiv 2506.09991).

    <Parallel>
    <Goal> <Outline>1: ...</Outline> <Outline>2: ...</Outline> </Goal>
    <Path>
    1: ...</Path>
    <Path>
    2: ...</Path>
    <Conclusion> ... </Conclusion>
    </Parallel>

Fork at ``</Goal>``; a path begins with ``"\n<Path>\nk:"`` and ends with ``</Path>``; a path may fork
again (ids ``1.1``, ``1.2``). When all are done the engine writes ``<Conclusion>`` and the model goes on.

The reference concatenates the paths' KV caches, with positions that restart in each path. Over a
completions endpoint the joined text is read again instead: no change to the engine, but not the positions
it was trained with. Its system prompt and the sentence that switches parallel thinking on are the
defaults. The reference has no limit on depth and warns of endless nesting; here it is 5.
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

MULTIVERSE = TagFormat(
    name="multiverse",
    source="Multiverse, Yang et al. 2025, arXiv 2506.09991",
    block="Parallel",
    plan="Goal",
    outline="Outline",
    thread="Path",
    conclusion="Conclusion",
    conclusion_needed=True,
    opening="<Path>\n{key}:",
    before="\n",
    between="\n",
    after="\n<Conclusion>\n",
    forks=("</Goal>",),
    max_depth=5,
    rounds=32,
)

SYSTEM = r"Please think step by step and in parallel. Put your final answer within \boxed{}."
SWITCH = " Think step by step and in parallel before answering."


@strategy("multiverse", source=MULTIVERSE.source, needs=("completions",))
async def multiverse(
    run: Run,
    task: Task,
    *,
    max_tokens: Count = 32_768,
    thread_tokens: Count | None = None,
    temperature: Warmth = 0.6,
    top_p: Share = 0.95,
    patience: Patience = 5.0,
    template: TemplateName = "chatml",
    show: Show = "answer",
) -> Answer:
    """A model trained to fork writes goals with outlines; each becomes a path, which may fork again.

    Args:
        max_tokens: most tokens of the main thread.
        thread_tokens: most tokens of one path; by default what its parent has left.
        patience: once half of the paths are done, the others get this many times their median seconds.
        template: chat template: ``chatml`` (Qwen), ``gemma`` or ``plain``.
        show: ``answer``, or the whole ``trajectory``.
    """
    prompt = prompt_for(run, task, template, system=SYSTEM, suffix=SWITCH)
    decoding = Decoding(
        max_tokens=task.max_tokens or max_tokens,
        thread_tokens=thread_tokens,
        temperature=temperature,
        top_p=top_p,
        patience=patience,
    )
    return await answer(run, prompt, MULTIVERSE, decoding, show=show)
