"""Parallel-R1: one prefix, several seeds, then a summary (Zheng et al. 2025, arXiv 2509.07980).

    ... <Parallel><Path>...</Path><Path>...</Path></Parallel>
    <Summary>...</Summary> ...

1. Decode with the stop string ``<Parallel>``. No such stop: done.
2. Decode ``context + "<Path>"`` twice, with different seeds and temperature 1.0, to ``</Path>``. Paths get no
   subtask: they differ by their seeds only. Unterminated paths are closed.
3. Append the paths, ``</Parallel>``, a newline and ``<Summary>``; decode to ``</Summary>``; go to 1.

``<Parallel>`` opens something, so a server that does not name the matched stop string cannot be told from
one whose model has finished: the engine then asks for the next few tokens once (``which_stop``).
"""

from __future__ import annotations

from dataclasses import replace

from weaver._data.result import Answer
from weaver._data.task import Task
from weaver._runtime.run import Run
from weaver._strategies.common.option_types import Count, Patience, Share, Warmth
from weaver._strategies.common.registry import strategy
from weaver._strategies.native.common.engine import Show, answer
from weaver._strategies.native.common.line import Decoding
from weaver._strategies.native.common.prompts import TemplateName, prompt_for
from weaver._strategies.native.common.tags import TagFormat

PARALLEL_R1 = TagFormat(
    name="parallel_r1",
    source="Parallel-R1, Zheng et al. 2025, arXiv 2509.07980",
    block="Parallel",
    thread="Path",
    summary="Summary",
    width=2,
    opening="<Path>",
    before="",
    after="</Parallel>\n<Summary>",
    forks=("<Parallel>",),
    ambiguous=("<Parallel>",),
    then_until="</Summary>",
    rounds=8,
)


@strategy("parallel_r1", source=PARALLEL_R1.source, needs=("completions",))
async def parallel_r1(
    run: Run,
    task: Task,
    *,
    samples: Count = 2,
    max_tokens: Count = 32_768,
    path_tokens: Count = 4096,
    temperature: Warmth = 1.0,
    top_p: Share = 1.0,
    patience: Patience = 5.0,
    template: TemplateName = "chatml",
    show: Show = "answer",
) -> Answer:
    """A model trained to fork writes ``<Parallel>``; several seeds continue the same text, then it sums up.

    Args:
        samples: how many seeds.
        max_tokens: most tokens of the main thread.
        path_tokens: most tokens of one path.
        patience: once half of the paths are done, the others get this many times their median seconds.
        template: chat template: ``chatml`` (Qwen), ``gemma`` or ``plain``.
        show: ``answer``, or the whole ``trajectory``.
    """
    prompt = prompt_for(run, task, template)
    decoding = Decoding(
        max_tokens=task.max_tokens or max_tokens,
        thread_tokens=path_tokens,
        temperature=temperature,
        top_p=top_p,
        own_seeds=True,
        patience=patience,
    )
    return await answer(run, prompt, replace(PARALLEL_R1, width=samples), decoding, show=show)
