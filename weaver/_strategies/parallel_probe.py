"""Parallel-Probe: branches are asked for their answer while they think; agreement ends them all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from zlib import crc32

from weaver._coordination.answers.protocol import Equivalence
from weaver._coordination.answers.votes import Votes
from weaver._data.messages import assistant, user
from weaver._data.result import Answer
from weaver._data.task import Task
from weaver._models.protocol import Request
from weaver._runtime.calls.model_calls import answer_of
from weaver._runtime.default_body import opening, thread_listener
from weaver._runtime.run import Run
from weaver._runtime.threads.join_protocol import missing
from weaver._strategies.common.option_types import Count, Same, Share, Warmth
from weaver._strategies.common.registry import strategy
from weaver._strategies.common.sampling import (
    equivalence_of,
    log_stop,
    said,
    sample_tasks,
    told_without_tools,
    with_losses,
)
from weaver._strategies.common.streaming import END, THINK, Said
from weaver.errors import BudgetExceededError, ModelError, NoAnswerError

FORCE = "\n\nFinal answer:"
ASK = "Stop here. Give only the final answer that you believe in now, without any explanation."


@strategy("parallel_probe", source="Parallel-Probe, Zheng et al. 2026, arXiv 2602.03845")
async def parallel_probe(
    run: Run,
    task: Task,
    *,
    samples: Count = 8,
    interval: Count = 500,
    first_probe: Count = 2,
    consensus: Share = 0.5,
    stable: Count = 3,
    patience: Count = 3,
    probe_tokens: Count = 32,
    temperature: Warmth = 0.6,
    same: Same | None = None,
) -> Answer:
    """Probe all branches for an answer as they think; stop on a stable consensus, prune who stays outside.

    Parallel-Probe (Zheng et al. 2026). Every ``interval`` tokens a branch is asked for its answer: where the
    endpoint can continue an unfinished message the branch's text plus "Final answer:" is continued, else
    it is asked in a further turn. Depth control: once the same answer has led the latest probes, with more
    than the share ``consensus``, at ``stable`` depths in a row, all branches are stopped. Width control: a
    branch whose probes miss the consensus ``patience`` times in a row is pruned. Else the majority wins.

    The defaults other than ``samples`` are ours; too early a first probe or too low a threshold finds a
    false consensus.

    Args:
        samples: branches that think in parallel.
        interval: tokens between the probes of a branch.
        first_probe: depth (in intervals) before which nothing is stopped or pruned.
        consensus: share of the branches that must agree (0 to 1).
        stable: depths in a row with the same consensus that stop all.
        patience: misses in a row that prune a branch.
        probe_tokens: most tokens of one probe's answer.
    """
    told_without_tools(run, task)
    board = Board(equivalence_of(task, same), consensus=consensus, stable=stable, patience=patience)

    async def branch(own: Run, task: Task) -> Answer:
        heard, depth = Said(thread_listener(own)), 0
        async with own.call(Request(opening(task), max_tokens=task.max_tokens)) as call:
            async for delta in call:
                heard.hear(delta)
                if call.tokens_so_far < (depth + 1) * interval:
                    continue
                depth += 1
                if depth < first_probe:
                    continue
                # The stream stays open meanwhile: the server goes on while the probe is answered.
                answer = await _probe(own, task, heard.text, probe_tokens)
                pruned = board.post(own.path, answer)
                if answer:
                    run.offer(replace(board.answer(), complete=False))
                if board.settled:
                    threads.cancel("settled")
                elif pruned:
                    threads.prune(*(t for t in threads.all if t.id in pruned))
        return answer_of(own.context, call.reply)

    tasks = sample_tasks(run, task, samples, temperature=temperature)
    async with run.fork(tasks, body=branch, name="branch") as threads:
        board.begin(t.id for t in threads.all)
        async for thread in threads.as_finished():
            if (answer := said(thread)) is not None:
                board.finish(thread.id, answer)
                run.offer(replace(board.answer(), complete=False))
            else:
                board.leave(thread.id)
    if not board.heard:
        raise NoAnswerError(missing(threads.all, "No branch came to an answer"))
    log_stop(
        run, "parallel_probe.consensus/1", board.settled, len(threads.all), samples, share=board.votes.share
    )
    run.context.voted(board.votes.counts, board.votes.share)
    answer = board.answer()
    return answer if board.settled else with_losses(run, answer, threads.all, samples, what="branches")


async def _probe(run: Run, task: Task, text: str, tokens: int) -> str:
    """The answer that a branch would give now; "" when it could not be asked."""
    if (await run.capabilities()).prefill:
        close = END if text.startswith(THINK) and END.strip() not in text else ""
        request = Request((*opening(task), assistant(text.rstrip() + close + FORCE)), prefill=True)
    else:
        request = Request((*opening(task), assistant(text), user(ASK)))
    # Named by what it asks about: a resumed branch thinks anew, and its probes are not those of before.
    name = f"probe-{crc32(text.encode()):08x}"
    try:
        reply = await run.think(replace(request, max_tokens=tokens, temperature=0.0), name=name)
    except (ModelError, BudgetExceededError) as error:
        run.note(f"A probe failed: {error.message}")
        return ""
    return reply.text.strip().partition("\n")[0]


class Board:
    """What the branches would answer, and what follows from it.

    Judged once per sweep: whenever as many probes came in as there are branches that still think, so one
    slow branch does not hold up the others.

    Args:
        same: when answers are the same.

    Attributes:
        settled: the consensus has been stable for long enough.
    """

    def __init__(self, same: Equivalence, *, consensus: float, stable: int, patience: int) -> None:
        self._thinking: set[str] = set()
        self._same = same
        self._consensus, self._stable, self._patience = consensus, stable, patience
        self._probed: dict[str, str] = {}
        self._finished: dict[str, Answer] = {}
        self._misses: Counter[str] = Counter()
        self._leader = ""
        self._streak = self._posts = 0
        self.settled = False

    def begin(self, branches: Iterable[str]) -> None:
        """The ids of the branches, before they have begun to think."""
        self._thinking.update(branches)

    def post(self, branch: str, answer: str) -> list[str]:
        """Take a probe's answer. Returns the branches that are to be pruned."""
        self._probed[branch] = answer
        self._posts += 1
        if self._posts < len(self._thinking):
            return []
        self._posts = 0
        votes = self.votes
        leader = votes.leader
        everyone = self._thinking | self._probed.keys() | self._finished.keys()
        if leader is None or len(leader) <= self._consensus * len(everyone):
            self._leader, self._streak = "", 0
            return []
        same_as_before = self._streak > 0 and self._same.compare(leader.text, self._leader)
        self._streak = self._streak + 1 if same_as_before else 1
        self._leader = leader.text
        self.settled = self._streak >= self._stable
        for name in sorted(self._thinking):
            agrees = self._same.compare(self._probed.get(name, ""), self._leader)
            self._misses[name] = 0 if agrees else self._misses[name] + 1
        pruned = [name for name in sorted(self._thinking) if self._misses[name] >= self._patience]
        for name in pruned:
            self.leave(name)
            self._probed.pop(name, None)
        return pruned

    def finish(self, branch: str, answer: Answer) -> None:
        """A branch came to its end by itself: its answer replaces its probes."""
        self.leave(branch)
        self._probed.pop(branch, None)
        self._finished[branch] = answer

    def leave(self, branch: str) -> None:
        """A branch thinks no more; what it said in its latest probe still counts."""
        self._thinking.discard(branch)

    @property
    def heard(self) -> bool:
        """True if any branch has said anything."""
        return bool(self._finished) or any(self._probed.values())

    def answer(self) -> Answer:
        """The consensus or, without one, what most branches say.

        Raises:
            NoAnswerError: no branch has said anything.
        """
        votes = self.votes
        return replace(votes.winner(), confidence=votes.share)

    @property
    def votes(self) -> Votes:
        """The answers of finished branches, and the latest probes of the others."""
        votes = Votes(self._same)
        for answer in self._finished.values():
            votes.add(answer)
        for probed in self._probed.values():
            if probed:
                votes.add(probed)
        return votes
