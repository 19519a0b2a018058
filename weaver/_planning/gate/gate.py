"""Fork or answer directly: both are predicted before either is paid for, and compared with what came."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import anyio

from weaver._data.conversation.sizes import conversation_tokens
from weaver._data.plan import Plan
from weaver._data.result import Forecast
from weaver._data.task import Task
from weaver._data.usage import Usage, estimate_tokens
from weaver._models.costs import EndpointCosts, costs_of
from weaver._models.protocol import Capabilities, Prices
from weaver._planning.estimate import longest_chain
from weaver._planning.gate.formulas import (
    Shape,
    direct_seconds,
    fork_seconds,
    in_threads,
    shape,
    widest,
)
from weaver._planning.gate.lengths import Length, direct_length
from weaver._planning.gate.quality import LENGTH_KEPT, quality_gain
from weaver._planning.gate.speeds import Speeds, speeds_of
from weaver._planning.policy import Features, Judgement
from weaver._runtime.run import Run

SECONDS_PER_USD = 1000.0
"""What a dollar is worth: a second saved may cost 0.001 USD (3.60 USD an hour)."""
SECONDS_PER_QUALITY = 60.0
"""What a right answer is worth against a wrong one: a minute."""
PLAN_TOKENS = (12, 7)  # what a planner writes: this many, and this many for each part
PLANNER_PROMPT = 600
THREAD_PROMPT = 120  # instructions around the task
GUESSED_PARTS = 4  # where nothing in the task says how many
MERGE_TOKENS: dict[str, float] = {"concat": 0, "data": 0, "pick": 0, "reference": 60}
"""Tokens that a merge writes, where that does not depend on the parts."""
WRITTEN_MERGE = 320  # of a merge that writes the answer anew, until such merges are measured

NO_LENGTH = Length(0, 0, "question")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate says.

    Attributes:
        fork: go on towards a fork.
        reason: in words, with both predictions.
        forecast: the predictions; None where nothing is known about the endpoint.
        width: threads that a plan's parts should be put into.
        speculate: a direct answer beside the planner is worth its tokens.
        shape, speeds, length, elapsed: what the predictions rest on, for `Gate.learn`.
    """

    fork: bool
    reason: str
    forecast: Forecast | None = None
    width: int | None = None
    speculate: bool = True
    shape: Shape | None = None
    speeds: Speeds | None = None
    length: Length = NO_LENGTH
    elapsed: float = 0.0


class Gate(Protocol):
    """Decides what pays: before any call, and again when the plan is known."""

    async def before(
        self, run: Run, task: Task, judgement: Judgement, *, listed: Plan | None = None, merge: str = "write"
    ) -> Verdict:
        """Decide whether to plan, or to run ``listed`` parts; ``merge`` is how they will be merged."""
        ...

    async def planned(self, run: Run, task: Task, plan: Plan, *, merge: str = "write") -> Verdict:
        """Decide whether to run ``plan``, and in how many threads."""
        ...

    def learn(self, run: Run, verdict: Verdict, *, forked: bool, seconds: float) -> None:
        """Compare what was predicted with the seconds that the finished run took."""
        ...


@dataclass(frozen=True, slots=True)
class CostGate:
    """The default gate: measured speeds, or priors of the endpoint's kind, in the formulas of `formulas`.

    Args:
        follow: predict, but go where the policy and the planner say, whatever it costs (``gate=off``).
        seconds_per_usd: what a dollar is worth in seconds.
        seconds_per_quality: what a right answer is worth against a wrong one, in seconds.
    """

    follow: bool = False
    seconds_per_usd: float = SECONDS_PER_USD
    seconds_per_quality: float = SECONDS_PER_QUALITY

    async def before(
        self, run: Run, task: Task, judgement: Judgement, *, listed: Plan | None = None, merge: str = "write"
    ) -> Verdict:
        """See `Gate`. What is not known yet is guessed: see `GUESSED_PARTS` and `direct_length`."""
        parts = len(listed.subtasks) if listed is not None else _guessed_parts(task)
        about = await _About.of(run, task, parts)
        if about is None:
            return Verdict(True, "nothing is known about the endpoint's speed yet")
        plan = 0 if listed is not None else PLAN_TOKENS[0] + PLAN_TOKENS[1] * parts
        fork = shape(
            parts,
            about.prompt,
            about.length.written,
            plan=plan,
            planner_prompt=PLANNER_PROMPT + about.prompt,
            merge=about.merge_tokens(merge),
        )
        return self._decided(about, fork, judgement.lean != "direct")

    async def planned(self, run: Run, task: Task, plan: Plan, *, merge: str = "write") -> Verdict:
        """See `Gate`. The plan is paid for already; its time is in both predictions."""
        parts = len(plan.subtasks)
        about = await _About.of(run, task, parts)
        if about is None:
            return Verdict(True, "nothing is known about the endpoint's speed yet")
        verdict = self._decided(about, _shape_of(plan, about, merge), True)
        if about.speeds.basis == "prior" and not verdict.fork:
            # The plan is paid for, and the prediction is a guess.
            return replace(verdict, fork=True, reason=f"{verdict.reason}; the planner is followed")
        return verdict

    def learn(self, run: Run, verdict: Verdict, *, forked: bool, seconds: float) -> None:
        """See `Gate`. An error of the answer's length and one of the formulas are told apart."""
        forecast, fork = verdict.forecast, verdict.shape
        if (
            forecast is None or fork is None or run.context.state.is_resumed
        ):  # a resumed run repeats calls in no time
            return
        costs = costs_of(run.context.model())
        length = verdict.length
        threads = sum(t.usage.output_tokens for t in run.context.state.threads if t.id != "direct")
        actual = float(threads if forked else run.context.path_so_far[0])
        way = "fork" if forked else "direct"
        costs.was(f"{way} length: {length.nature}", predicted=length.uncorrected, actual=actual)
        if length.asked and not forked:
            costs.was(LENGTH_KEPT, predicted=length.uncorrected, actual=actual)
        speeds = verdict.speeds
        if speeds is None or actual <= 0:
            return
        ratio = actual / (length.written if forked else length.tokens)
        if forked:
            scaled = replace(
                fork,
                longest=fork.longest * ratio,
                written=fork.written * ratio,
                merge=round(costs.last_length("synthesizer") or fork.merge) if fork.merge else 0,
            )
            predicted = fork_seconds(speeds, scaled, width=forecast.width)
        else:
            predicted = direct_seconds(speeds, fork.prompt, actual)
        costs.was(f"{way} seconds", predicted=predicted, actual=seconds - verdict.elapsed)

    def _decided(self, about: _About, fork: Shape, wanted: bool) -> Verdict:
        speeds, tokens = about.speeds, about.length.tokens
        gain, why = about.gain
        parts = fork.parts
        if gain:  # parts are answered better apart, so they are not put together into fewer threads
            width = min(parts, parts if about.threads is None else about.threads)
        else:
            width = widest(speeds, fork, about.threads)
        fork = in_threads(fork, width)
        elapsed = about.elapsed
        bias = about.costs.bias
        direct_s = elapsed + direct_seconds(speeds, about.prompt, tokens, busy=about.busy) * bias(
            "direct seconds"
        )
        fork_s = elapsed + fork_seconds(speeds, fork, width=width, busy=about.busy) * bias("fork seconds")
        direct_usd = about.usd(about.prompt, tokens)
        fork_usd = about.fork_usd(fork)
        forecast = Forecast(direct_s, fork_s, direct_usd, fork_usd, tokens, parts, width, speeds.basis)
        extra = (fork_usd - direct_usd) if fork_usd is not None and direct_usd is not None else 0.0
        worth = direct_s - fork_s + gain * self.seconds_per_quality - extra * self.seconds_per_usd
        pays = worth > 0 and width > 1 and about.affordable(fork_s, extra)
        reason = in_words(forecast)
        if gain and pays and fork_s >= direct_s:
            reason += f"; {why}"
        if not pays and self.follow and wanted:
            reason += "; the gate is off"
        if speeds.basis == "prior":
            reason += f"; typical figures of a {speeds.kind} endpoint, not measured yet"
        speculate = (speeds.slots is None or speeds.slots > 1) and speeds.slowdown < 0.3
        return Verdict(
            pays or self.follow,
            reason,
            forecast,
            None if self.follow else width,
            speculate,
            fork,
            speeds,
            about.length,
            elapsed,
        )


def in_words(forecast: Forecast) -> str:
    """Both predictions in words: ``predicted 3.1 s against 5.4 s, +0.0004 USD`` (the fork's first)."""
    text = f"predicted {forecast.fork_seconds:.1f} s forked against {forecast.direct_seconds:.1f} s directly"
    if forecast.fork_usd is not None and forecast.direct_usd is not None:
        text += f", {forecast.fork_usd - forecast.direct_usd:+.4f} USD"
    return text


@dataclass(frozen=True, slots=True)
class _About:
    """What the gate knows when it decides."""

    speeds: Speeds
    costs: EndpointCosts
    prices: Prices | None
    length: Length
    prompt: int
    busy: int
    elapsed: float
    threads: int | None
    left: float | None
    usd_left: float | None
    gain: tuple[float, str]

    @classmethod
    async def of(cls, run: Run, task: Task, parts: int) -> _About | None:
        """None where nothing is known about the endpoint's speed."""
        model = run.context.model()
        can: Capabilities = await model.capabilities()
        costs = costs_of(model)
        if (speeds := speeds_of(model, costs, can)) is None:
            return None
        length = direct_length(task, parts, costs)
        prompt = conversation_tokens(task.conversation) + estimate_tokens(task.context)
        prompt += sum(map(estimate_tokens, run.context.instructions))
        root = run.context.parent is None
        remaining = run.remaining
        return cls(
            speeds,
            costs,
            model.prices,
            length,
            prompt + THREAD_PROMPT,
            costs.in_flight,
            anyio.current_time() - run.context.state.started if root else 0.0,
            remaining.threads,
            remaining.seconds,
            remaining.cost_usd,
            quality_gain(task, parts, length, can, costs),
        )

    def merge_tokens(self, merge: str) -> int:
        """Tokens that a merge writes: as in `MERGE_TOKENS`, else as many as merges wrote until now."""
        tokens = self.costs.length("synthesizer") or WRITTEN_MERGE
        return round(MERGE_TOKENS.get(merge, min(tokens, 1.2 * self.length.tokens)))

    def usd(self, read: float, written: float) -> float | None:
        """US dollars of so many tokens; None where the prices are unknown."""
        if self.prices is None:
            return None
        usage = Usage(calls=1, input_tokens=round(read), output_tokens=round(written))
        return self.prices.cost(usage)

    def fork_usd(self, fork: Shape) -> float | None:
        """US dollars of the planner, the threads and the merge."""
        read: float = fork.parts * fork.prompt + (fork.planner_prompt if fork.plan else 0)
        read += fork.prompt + fork.written if fork.merge else 0
        return self.usd(read, fork.plan + fork.written + fork.merge)

    def affordable(self, seconds: float, extra: float) -> bool:
        """Return True if a fork fits into what is left of the time and the money."""
        in_time = self.left is None or seconds - self.elapsed < self.left
        return in_time and (self.usd_left is None or extra < self.usd_left)


def _guessed_parts(task: Task) -> int:
    features = Features.of(task)
    listed = max(features.items, features.questions, features.counted)
    return listed if listed >= 2 else GUESSED_PARTS


def _shape_of(plan: Plan, about: _About, merge: str) -> Shape:
    """The fork of a plan that is written. Its longest chain rests on the planner's estimates, if any."""
    each = about.costs.length("thread") or about.length.written / len(plan.subtasks)
    tokens = {s.id: float(min(s.max_tokens or each, 2 * each)) for s in plan.subtasks}
    chain = longest_chain(plan, tokens)
    written = sum(tokens.values())
    even = shape(len(plan.subtasks), about.prompt, about.length.written, plan=0)
    longest = sum(tokens[i] for i in chain) if len(plan.levels) > 1 else even.longest
    return replace(
        even,
        longest=longest,
        written=max(written, even.written),
        merge=about.merge_tokens(merge),
    )


GATES = {"on": CostGate(), "off": CostGate(follow=True)}
"""By the names that users type."""
