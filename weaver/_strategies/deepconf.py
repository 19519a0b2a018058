"""DeepConf: self-consistency that stops unsure samples early and weighs votes by the model's confidence."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace
from functools import partial
from typing import Any

from weaver._data.result import Answer
from weaver._data.task import Task
from weaver._models.protocol import Logprobs, Request, TokenLogprob
from weaver._runtime.default_body import opening, thread_listener
from weaver._runtime.output.asking import with_schema
from weaver._runtime.output.structured_output import Shape
from weaver._runtime.run import Run
from weaver._runtime.state.thread import Thread
from weaver._runtime.threads.join_protocol import missing
from weaver._strategies.common.option_types import Count, Percent, Same, Share, Warmth
from weaver._strategies.common.registry import strategy
from weaver._strategies.common.sampling import (
    log_stop,
    said,
    sample_tasks,
    told_without_tools,
    votes_on,
    with_losses,
)
from weaver.errors import MissingCapabilityError, NoAnswerError

MOST = 1000.0
"""Bound on a confidence, for tokens whose alternatives have no probability at all."""


@strategy("deepconf", source="DeepConf, Fu et al. 2025, arXiv 2508.15260", needs=("logprobs",))
async def deepconf(
    run: Run,
    task: Task,
    *,
    warmup: Count = 16,
    samples: Count = 256,
    eta: Percent = 10.0,
    window: Count = 2048,
    tau: Share = 0.95,
    top_logprobs: Count = 20,
    temperature: Warmth = 0.6,
    top_p: Share = 0.95,
    parallel: Count = 16,
    same: Same | None = None,
    mark: bool = True,
) -> Answer:
    """Stop samples whose confidence falls below that of a few whole ones; weigh votes by confidence.

    Online DeepConf (Fu et al. 2025). The confidence of a token is the negative mean log-probability of its
    ``top_logprobs`` best alternatives; of a trace, the lowest mean over any ``window`` of its tokens. The
    threshold is what the best ``eta`` percent of the warm-up traces reach. Every later trace whose running
    window falls below it is stopped at once by closing its stream. Traces at or above it vote, weighted by
    their confidence. No more are started once the leading answer has the share ``tau`` of the weight. With
    ``warmup`` equal to ``samples`` this is the offline method with its lowest-group confidence.

    Args:
        warmup, samples: traces that are never stopped, and traces in all.
        eta: percent of the traces to keep: 10 (DeepConf-low) or 90 (DeepConf-high).
        window: tokens of a group. A trace shorter than that is one group and is never stopped.
        tau: share of the weight of votes that ends the search.
        top_logprobs, temperature, top_p: of the requests; the task's or the run's temperature wins.
        parallel: traces that run at the same time after the warm-up.
        same, mark: see `self_consistency`.

    Raises:
        MissingCapabilityError: none of the warm-up's traces came with log-probabilities.
    """
    told_without_tools(run, task)
    traces = sample_tasks(run, task, samples, temperature=temperature, mark=mark)
    confidence: dict[str, float] = {}
    trace = partial(_trace, confidence=confidence, top_logprobs=top_logprobs, top_p=top_p, window=window)
    async with run.fork(traces[:warmup], body=partial(trace, threshold=None), name="warmup") as threads:
        first = await threads.join()
    warmed = threads.all
    if not confidence:
        raise MissingCapabilityError(
            f"Strategy 'deepconf' needs log-probabilities, and {run.context.model().name} sent none.",
            hint="Choose another strategy (self_consistency needs none) or an endpoint that sends them.",
        )
    threshold = _percentile(list(confidence.values()), 100 - eta)
    votes = votes_on(task, same, max_weight=MOST)

    async def vote(thread: Thread) -> None:
        answer, weight = said(thread), confidence.get(thread.id)
        if answer is not None and weight is None:
            run.note("A trace that came without log-probabilities has no vote.")
        elif answer is not None and answer.complete and weight is not None and weight >= threshold:
            await votes.cast(answer, weight)
            run.offer(replace(votes.winner(), confidence=votes.share, complete=False))

    for thread in first:
        await vote(thread)
    waiting = traces[warmup:][::-1]
    async with run.fork(body=partial(trace, threshold=threshold), name="trace") as threads:
        while waiting and votes.share < tau and len(threads.all) < parallel:
            threads.start(waiting.pop())
        if not threads.all:
            threads.close()
        async for thread in threads.as_finished():
            await vote(thread)
            if votes.share >= tau:
                waiting.clear()
                threads.cancel("settled")
            if waiting:
                threads.start(waiting.pop())
            elif threads.running == 0:
                threads.close()
    if not votes.groups:
        raise NoAnswerError(missing([*first, *threads.all], "No trace came to an answer"))
    log_stop(
        run, "deepconf.tau/1", votes.share >= tau, len(first) + len(threads.all), samples, share=votes.share
    )
    run.context.voted(votes.counts, votes.share)
    winner = replace(votes.winner(), confidence=votes.share)
    drawn = [*warmed, *threads.all]
    return with_losses(run, winner, drawn, len(drawn) if votes.share >= tau else samples, what="traces")


async def _trace(
    run: Run,
    task: Task,
    *,
    threshold: float | None,
    confidence: dict[str, float],
    top_logprobs: int,
    top_p: float,
    window: int,
) -> Answer:
    """One trace; ``complete=False`` if it was stopped for falling below the threshold."""
    request = Request(opening(task), max_tokens=task.max_tokens, top_p=top_p, logprobs=top_logprobs)
    if task.output is not None:
        request = with_schema(request, Shape[Any](task.output).schema)
    hear, meter = thread_listener(run), Meter(window)
    async with run.call(request) as call:
        async for delta in call:
            if hear is not None:
                hear(delta)
            if not isinstance(delta, Logprobs):
                continue
            for token in delta.tokens:
                meter.add(token)
            if threshold is not None and meter.full and meter.mean < threshold:
                call.cancel_reason = "pruned"
                break
    if not meter.empty:
        confidence[run.path] = meter.lowest
    return Answer(call.reply.text.strip(), complete=call.reply.is_complete)


class Meter:
    """The confidence of a trace while it is being written.

    Args:
        window: tokens of a group.

    Attributes:
        mean: of the latest group.
        lowest: of all full groups; of what there is while none is full; at most `MOST`.
    """

    def __init__(self, window: int) -> None:
        self._window = window
        self._group: deque[float] = deque()
        self._sum = 0.0
        self._lowest = MOST

    def add(self, token: TokenLogprob) -> None:
        """One more token."""
        top = [logprob for _, logprob in token.top] or [token.logprob]
        confidence = min(MOST, max(0.0, -math.fsum(top) / len(top)))
        self._group.append(confidence)
        self._sum += confidence
        if len(self._group) > self._window:
            self._sum -= self._group.popleft()
        if self.full:
            self._lowest = min(self._lowest, self.mean)

    @property
    def empty(self) -> bool:
        """True if there was no token yet."""
        return not self._group

    @property
    def full(self) -> bool:
        """True if there are enough tokens for one group."""
        return len(self._group) == self._window

    @property
    def mean(self) -> float:
        """The mean of the latest group."""
        return self._sum / len(self._group) if self._group else 0.0

    @property
    def lowest(self) -> float:
        """The lowest mean of all full groups."""
        return max(0.0, self._lowest if self._lowest < MOST else self.mean)


def _percentile(values: list[float], percent: float) -> float:
    """The value below which ``percent`` of ``values`` lie, linearly interpolated."""
    ordered = sorted(values)
    at = (len(ordered) - 1) * percent / 100
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)
