"""One engine for all native formats, over an unmodified completions endpoint.

A line (the main thread, or a thread of a block) is decoded until it stops at a fork. The branches it asks
for become threads whose prompts begin with the line's exact text, so that the server's prefix cache hits.
When they are done, their texts are joined in outline order and the line goes on.

What the reference implementations lack is here: time and token limits, partial joins, a limit on how long
the slowest thread is waited for, closing of what was left open, and a fall back to going on sequentially.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from weaver._data.result import Answer
from weaver._runtime.run import Run
from weaver._strategies.native.common.format import Format
from weaver._strategies.native.common.line import Decoding, Line
from weaver._strategies.native.common.trajectory import Statistics, Trajectory, measure, words
from weaver.errors import MissingCapabilityError

Show = Literal["answer", "trajectory"]
"""What a native strategy answers with: what is meant for the reader, or the whole text with its tags."""


@dataclass(frozen=True, slots=True)
class Woven:
    """What came of a prompt.

    Attributes:
        text: the trajectory: everything after the prompt, joined and closed.
        tree: what really ran, the threads' whole texts included (in APR the parent's text has only results).
        complete: False when it was cut, or when a thread was.
    """

    form: Format
    text: str
    tree: Trajectory
    complete: bool

    @property
    def answer(self) -> str:
        """The text that is meant for the reader."""
        return self.form.answer(self.text)

    @property
    def statistics(self) -> Statistics:
        """Critical path, ratios and threads per block, in words (the run's metrics have the tokens)."""
        return measure(self.tree, words)


async def weave(run: Run, prompt: str, form: Format, decoding: Decoding | None = None) -> Woven:
    """Decode ``prompt`` with a model that forks by itself.

    Raises:
        MissingCapabilityError: the endpoint has no raw completions.
        ModelError: a call of the main thread failed. A failed thread is data: it is joined as unfinished.
    """
    can = await run.capabilities()
    if not can.completions:
        raise MissingCapabilityError(
            f"{form.name} writes raw completions, and {run.context.model().name} has none.",
            hint="Use a completions endpoint (vLLM, SGLang, llama.cpp) and a model trained for it.",
        )
    decoding = decoding or Decoding()
    line = Line(run, form, decoding, prompt, decoding.max_tokens, depth=0, window=can.context)
    await line.write()
    text = line.text
    woven = Woven(form, text + form.closing(text), line.tree, line.complete)
    blocks = list(woven.tree.blocks())
    threads = sum(len(block.threads) for block in blocks)
    because = f"The model forked {len(blocks)} times into {threads} threads."
    features = {"forks": float(len(blocks)), "threads": float(threads)}
    run.decide(threads > 0, "planner", because if threads else "The model did not fork.", features=features)
    return woven


async def answer(run: Run, prompt: str, form: Format, decoding: Decoding, *, show: Show = "answer") -> Answer:
    """`weave`, as the answer of a strategy. ``show="trajectory"`` answers with the whole trajectory."""
    woven = await weave(run, prompt, form, decoding)
    text = woven.text if show == "trajectory" else woven.answer
    missing = () if woven.complete else ("the model's text was cut, or one of its threads was",)
    return Answer(text, complete=woven.complete, missing=missing)
