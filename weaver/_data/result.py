"""What a run hands back: answers, findings, claims, conflicts, threads, metrics, the result."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from weaver._data.decisions import LoggedDecision, Reward
from weaver._data.messages import Message
from weaver._data.usage import NOTHING, Usage
from weaver._display import markdown, one_line, terminal
from weaver.errors import MissingOutputError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from weaver._data.plan import Plan
    from weaver._documents.places import Source

T_co = TypeVar("T_co", covariant=True)

ThreadState = Literal["waiting", "running", "succeeded", "failed", "timed_out", "cancelled", "skipped"]
CancelReason = Literal[
    "lost_race",
    "quorum_met",
    "settled",
    "pruned",
    "not_needed",
    "budget",
    "deadline",
    "refused",
    "parent",
    "user",
]
OutputState = Literal["text", "typed", "missing"]
Status = Literal["complete", "partial", "failed"]
DecidedBy = Literal["policy", "planner", "user", "fallback"]


@dataclass(frozen=True, slots=True)
class Claim:
    """One comparable statement of a thread.

    Args:
        subject, attribute, value: "Paris", "population", "2.1 million".
        unit: unit of ``value``, or "".
        confidence: 0 to 1, or None when the thread did not say.
        evidence: why the thread believes it, in its own words.
    """

    subject: str
    attribute: str
    value: str
    unit: str = ""
    confidence: float | None = None
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a strategy (or a thread's body) comes back with.

    Args:
        text: the answer.
        output: the parsed value when the task has an output type, else None.
        summary: one or two sentences, or "".
        claims: statements that can be compared with other threads'.
        confidence: 0 to 1, or None when unknown.
        complete: False when something is missing or was cut short.
        missing: what is missing, in words.
        steps: tool calls and their results that led to it, as messages, where one thread made it.
        sources: the places in documents that it rests on.
    """

    text: str
    output: Any = None
    summary: str = ""
    claims: tuple[Claim, ...] = ()
    confidence: float | None = None
    complete: bool = True
    missing: tuple[str, ...] = ()
    steps: tuple[Message, ...] = ()
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """What a thread returns to its parent: its answer, without its transcript."""

    thread: str
    title: str
    answer: Answer
    usage: Usage = NOTHING

    @property
    def text(self) -> str:
        """The answer's text."""
        return self.answer.text


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a direct answer and a fork were expected to take, before either was paid for.

    Attributes:
        direct_seconds, fork_seconds: from the decision to the answer.
        direct_usd, fork_usd: US dollars; None when the model's prices are unknown.
        direct_tokens: expected length of a direct answer.
        parts: parts of the plan, as far as known or guessed.
        width: threads that work on them at the same time.
        basis: ``measured`` at this endpoint, or ``prior``: typical figures of endpoints of its kind.
        actual_seconds, actual_usd: what the run took in the end; None while it is not finished.
    """

    direct_seconds: float
    fork_seconds: float
    direct_usd: float | None
    fork_usd: float | None
    direct_tokens: int
    parts: int
    width: int
    basis: Literal["measured", "prior"]
    actual_seconds: float | None = None
    actual_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether the run forked, who decided that, and why.

    Attributes:
        forecast: what was predicted for both; None when nothing was predicted.
        policy: name and version of the policy that was asked, or "".
        arms: what was considered, each with the probability that it is chosen (1 or 0 without exploration).
    """

    parallel: bool
    by: DecidedBy
    reason: str
    forecast: Forecast | None = None
    policy: str = ""
    arms: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class ConflictValue:
    """One of the values that cannot all hold, and the threads that claim it."""

    value: str
    threads: tuple[str, ...]
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Resolution:
    """How a conflict was settled: by which policy, for which value, on what evidence."""

    policy: str
    value: str
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Conflict:
    """Claims or answers of threads that cannot all hold. ``resolution`` is None while unresolved."""

    subject: str
    attribute: str
    values: tuple[ConflictValue, ...]
    resolution: Resolution | None = None


@dataclass(frozen=True, slots=True)
class ThreadReport:
    """How one thread went.

    Attributes:
        id, parent: ``parent`` is None for threads of the root.
        depth: 1 for threads of the root.
        state, cancel_reason: the one state that the thread ended in; the reason if cancelled.
        answer: its answer, or what it had said so far if it was cut; None if it said nothing.
        attempts: how often its work was started.
        usage: of its own calls, those of nested threads not included.
        seconds: from its start to its end; 0 if it never started.
        started_at: seconds since the run's start, or None if it never started.
        error: the message if it failed.
    """

    id: str
    parent: str | None
    title: str
    depth: int
    state: ThreadState
    cancel_reason: CancelReason | None = None
    answer: str | None = None
    attempts: int = 1
    usage: Usage = NOTHING
    seconds: float = 0.0
    started_at: float | None = None
    error: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The shape that ``weaver run --json`` prints."""
        return {**{name: getattr(self, name) for name in self.__slots__}, "usage": self.usage.as_dict()}


@dataclass(frozen=True, slots=True)
class Metrics:
    """The field's standard measures of a run (definitions: docs/metrics.md).

    Attributes:
        critical_path_tokens: generated tokens on the longest chain from task to answer.
        total_output_tokens: generated tokens of all calls.
        acceleration_ratio: 1 - critical path / total; 0 is sequential.
        self_parallel_speedup: total / critical path.
        wall_seconds: from the run's start to its result.
        critical_path_seconds: seconds of calls and tools on the slowest chain, queueing not included.
        queue_seconds: summed over calls: time spent waiting for an endpoint's limits.
        threads, cancelled_threads: how many were created, and how many were cancelled.
        max_in_flight: most model calls that ran at the same time.
    """

    critical_path_tokens: int = 0
    total_output_tokens: int = 0
    acceleration_ratio: float = 0.0
    self_parallel_speedup: float = 1.0
    wall_seconds: float = 0.0
    critical_path_seconds: float = 0.0
    queue_seconds: float = 0.0
    threads: int = 0
    cancelled_threads: int = 0
    max_in_flight: int = 0


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """The error that failed a run: the class name and the message for people."""

    type: str
    message: str


@dataclass(frozen=True, slots=True, repr=False)
class Result(Generic[T_co]):
    """Everything a run produced (architecture contract "weaver run --json").

    Attributes:
        status: ``complete``; ``partial`` when something is missing from the answer; ``failed``.
        answer: the answer's text; "" when failed.
        typed_output: the parsed answer when the task has an output type, else None: see `output`.
        notes: every fallback or degradation, in words.
        trace_id: of the OpenTelemetry trace, 32 hex digits, or None when nothing records it.
        output_state: ``text`` when the task has no output type; else whether the output was made (``typed``)
            or is ``missing``.
        messages: this turn of the conversation: the question, tool calls and their results, the answer; empty
            where there is no answer.
        history: the conversation before this turn.
        sources: the places in the task's documents that the answer rests on.
        verified: whether the answer passed the check of ``verify=``; None where there was none, or nothing in
            the answer that it could check.
        decision_log: every decision of the run, with what it led to.
        rewards: how good the answer is, as far as a verifier or a judge said so during the run.
    """

    run_id: str
    status: Status
    answer: str
    strategy: str
    model: str
    typed_output: T_co | None = None
    decision: Decision | None = None
    plan: Plan | None = None
    threads: tuple[ThreadReport, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    usage: Usage = NOTHING
    metrics: Metrics = field(default_factory=Metrics)
    notes: tuple[str, ...] = ()
    trace_id: str | None = None
    error: ErrorReport | None = None
    output_state: OutputState = "text"
    messages: tuple[Message, ...] = ()
    history: tuple[Message, ...] = ()
    decision_log: tuple[LoggedDecision, ...] = ()
    rewards: tuple[Reward, ...] = ()
    sources: tuple[Source, ...] = ()
    verified: bool | None = None

    @property
    def all_messages(self) -> tuple[Message, ...]:
        """The whole conversation, ready to be the ``history`` of the next run."""
        return (*self.history, *self.messages)

    @property
    def output(self) -> T_co:
        """The answer in the type that was asked for: text where none was.

        Raises:
            MissingOutputError: the run made none; ``has_output`` tells before.
        """
        if self.output_state == "typed" or self.typed_output is not None:
            return self.typed_output  # type: ignore[return-value]  # None is a value of an optional type
        if self.output_state == "text" and self.answer:
            return self.answer  # type: ignore[return-value]  # T is str then
        raise MissingOutputError(
            f"Run {self.run_id} is {self.status} and has no output of the type that was asked for."
            if self.output_state == "missing"
            else f"Run {self.run_id} has failed and has no answer.",
            hint="result.answer has the text that there is, result.error and result.notes say what happened.",
        )

    @property
    def has_output(self) -> bool:
        """False where `output` raises."""
        has_text = self.output_state == "text" and bool(self.answer)
        return has_text or self.output_state == "typed" or self.typed_output is not None

    def __repr__(self) -> str:
        return one_line.of_result(self)

    def _repr_markdown_(self) -> str:
        return markdown.of_result(self)

    def __rich__(self) -> RenderableType:
        return terminal.of_result(self)

    def as_dict(self) -> dict[str, Any]:
        """One JSON-able object, as ``weaver run --json`` prints it."""
        from pydantic_core import to_jsonable_python

        return {
            "run_id": self.run_id,
            "status": self.status,
            "answer": self.answer,
            "output": to_jsonable_python(self.typed_output, fallback=str),
            "strategy": self.strategy,
            "model": self.model,
            "decision": asdict(self.decision) if self.decision else None,
            "plan": self.plan.model_dump(mode="json") if self.plan else None,
            "threads": [t.as_dict() for t in self.threads],
            "conflicts": [asdict(c) for c in self.conflicts],
            "usage": self.usage.as_dict(),
            "metrics": asdict(self.metrics),
            "notes": list(self.notes),
            "sources": [source.as_dict() for source in self.sources],
            "verified": self.verified,
            "trace_id": self.trace_id,
            "error": asdict(self.error) if self.error else None,
            "decision_log": [decision.as_dict() for decision in self.decision_log],
            "rewards": [asdict(reward) for reward in self.rewards],
        }
