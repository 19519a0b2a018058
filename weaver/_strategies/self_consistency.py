"""Self-consistency: many samples of one prompt, and the answer that most of them agree on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from weaver._coordination.answers.stopping import beta_certainty, dirichlet_certainty
from weaver._coordination.answers.votes import Votes
from weaver._data.result import Answer
from weaver._data.task import Task
from weaver._runtime.run import Run
from weaver._runtime.state.thread import Thread
from weaver._runtime.threads.join_protocol import missing
from weaver._strategies.common.option_types import Count, Same, Share, Warmth
from weaver._strategies.common.registry import strategy
from weaver._strategies.common.sampling import UNNEEDED, log_stop, said, sample_tasks, votes_on, with_losses
from weaver.errors import NoAnswerError

Stop = Literal["none", "beta", "dirichlet", "entropy"]
WINDOW = {"beta": 1, "dirichlet": 1, "entropy": 5}
"""Samples that are drawn at once by each stopping rule; without a rule, all of them."""


def _clash(options: Mapping[str, Any]) -> str:
    samples, first = options["samples"], options["first_m"]
    return f"first_m is {first}, of {samples} samples" if first is not None and first > samples else ""


@strategy("self_consistency", source="Self-consistency, Wang et al. 2022, arXiv 2203.11171", clash=_clash)
async def self_consistency(
    run: Run,
    task: Task,
    *,
    samples: Count = 40,
    temperature: Warmth = 0.7,
    stop: Stop = "none",
    window: Count | None = None,
    threshold: Share = 0.95,
    first_m: Count | None = None,
    same: Same | None = None,
    mark: bool = True,
) -> Answer:
    """Draw samples, and take the answer that most of them agree on.

    Majority voting is Wang et al. 2022 (2203.11171; 40 samples, temperature 0.7; of equally frequent
    answers the one that came first wins). Samples that cannot change the majority any more are cancelled.
    The rules that draw fewer samples: ``beta`` and ``dirichlet`` are Adaptive-Consistency (Aggarwal et al.
    2023, 2305.11860), ``entropy`` is early-stopping self-consistency (ESC, Li et al. 2024, 2401.10480),
    ``first_m`` is short-m@k (Hassid et al. 2025, 2505.17813) with k = ``samples``.

    Args:
        samples: most samples drawn (k; L in ESC).
        temperature: of the samples, unless the task or the run sets one.
        stop: ``beta``: the leader beats the runner-up with certainty ``threshold``; ``dirichlet``: it beats
            all others; ``entropy``: all samples of one window agree (one without an answer does not).
        window: samples drawn at once; by default all, 1 for beta and dirichlet, 5 for entropy (w).
        threshold: certainty that beta and dirichlet ask for (C_thresh).
        first_m: vote among the first m samples to finish and cancel the others; of equally frequent answers
            the shortest sample wins.
        same: when answers are the same: ``number``, ``math``, ``choice``, ... (`equivalence`).
        mark: ask for a last line ``Answer: ...``.
    """
    votes = votes_on(task, same)
    tasks = sample_tasks(run, task, samples, temperature=temperature, mark=mark)
    width = window or (len(tasks) if first_m else WINDOW.get(stop, len(tasks)))
    lengths: dict[int, int] = {}
    ended: list[Thread] = []
    enough = False
    for start in range(0, len(tasks), width):
        drawn = tasks[start : start + width]
        agreed = votes_on(task, same)
        async with run.fork(drawn, name="sample") as threads:
            async for thread in threads.as_finished():
                ended.append(thread)
                if (answer := said(thread)) is None:
                    continue
                if first_m is None or len(votes) < first_m:
                    await votes.cast(answer)
                    await agreed.cast(answer)
                    lengths[id(answer)] = thread.usage.output_tokens
                    run.offer(replace(_winner(votes, lengths if first_m else None), complete=False))
                if first_m is not None and len(votes) == first_m:
                    threads.cancel("quorum_met")
                elif first_m is None and votes.leader is not None and votes.settled(len(tasks) - len(ended)):
                    threads.cancel("settled")
        m_are_there = first_m is not None and len(votes) >= first_m
        enough = m_are_there or _certain(
            stop, threshold, votes, unanimous=[len(group) for group in agreed.groups] == [len(drawn)]
        )
        if enough or (votes.leader and votes.settled(len(tasks) - len(ended))):
            break
    if not len(votes):
        raise NoAnswerError(missing(ended, "No sample came to an answer")) from ended[0].error
    heard = [thread for thread in ended if thread.cancel_reason not in UNNEEDED]
    rule = f"self_consistency.{'first_m' if first_m else stop}/1"
    log_stop(run, rule, len(heard) < len(tasks), len(heard), len(tasks), share=votes.share)
    run.context.voted(votes.counts, votes.share)
    winner = _winner(votes, lengths if first_m else None)
    # Lost samples are missed only where they might have changed the answer.
    enough = enough or (first_m is None and votes.settled(samples - len(votes)))
    return winner if enough else with_losses(run, winner, ended, samples)


def _certain(stop: Stop, threshold: float, votes: Votes, *, unanimous: bool) -> bool:
    counts = [*votes.counts, 0, 0]
    match stop:
        case "beta":
            return beta_certainty(counts[0], counts[1]) >= threshold
        case "dirichlet":
            return dirichlet_certainty(votes.counts) >= threshold
        case "entropy":
            return unanimous
        case _:
            return False


def _winner(votes: Votes, lengths: dict[int, int] | None) -> Answer:
    """The majority's first answer, or its shortest; its confidence is the share of the votes."""
    if lengths is None or votes.leader is None:
        return replace(votes.winner(), confidence=votes.share)
    top_votes = votes.counts[0]
    drawn = [
        b for group in votes.groups if len(group) == top_votes for b in group.ballots if isinstance(b, Answer)
    ]
    return replace(min(drawn, key=lambda answer: lengths[id(answer)]), confidence=votes.share)
