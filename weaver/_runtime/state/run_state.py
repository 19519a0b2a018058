"""What all threads of one run share."""

from __future__ import annotations

import hashlib
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from weaver._data.budget import Limits
from weaver._data.result import Answer, CancelReason, Conflict, Decision
from weaver._data.usage import Usage
from weaver._hooks.chain import NO_HOOKS, Hooks
from weaver._models.clock import current_time
from weaver._models.costs import EndpointCosts, costs_of
from weaver._models.layers.call_log import Change, Dropped, Fallback, Retry
from weaver._models.protocol import Model
from weaver._models.reply import Reply
from weaver._runtime.limits.accounting import Accounting
from weaver._runtime.limits.budget_ledger import Ledger
from weaver._runtime.state import log
from weaver._runtime.state.decision_log import DecisionLog
from weaver._runtime.state.shared_prefix import SharedPrefixes
from weaver._tools.run_tools import RunTools
from weaver._tracing.tracer import Tracing
from weaver.errors import WeaverError
from weaver.events import AnswerDelta, AnswerStarted, CallRetried, Event, ModelFellBack, Noted

if TYPE_CHECKING:
    from weaver._data.plan import Plan
    from weaver._data.task import Agent
    from weaver._journal.port import Journal
    from weaver._runtime.published.event_log import EventLog
    from weaver._runtime.state.guards import Withheld
    from weaver._runtime.state.record import Record
    from weaver._runtime.state.thread import Thread
    from weaver._verification.protocol import Verification

ANSWERING = ("thread", "synthesizer")
"""Roles whose text may be (part of) an answer; a planner's or a judge's never is."""
MAX_ANSWER_BYTES = 1_000_000
"""Bytes of text that one model call may generate: some 250,000 tokens, more than models write at once."""
ROLES = ("planner", "thread", "judge", "synthesizer")


class RunState:
    """Models, limits, records and listeners of one run, shared by its whole tree of threads.

    Args:
        models: a model for each role of `ROLES`.
        agents: workers that a planner may assign subtasks to.
        instructions: for every model call of the run, see `weaver._runtime.state.instructions`; "" for none.
        given_plan: the plan of a user who does not want a planner to be asked.
        deadline_at: event-loop time by which the run must have answered, or infinity.
        deadline: the seconds that this was set to, for messages; None without one.
        thread_timeout: default seconds a thread may take, or None.
        temperature, seed: sampling defaults of the run.
        listen: called with every event, or None when nobody listens.
        journal, about: records finished steps; JSON that it keeps with a new run.
        events: publishes the run's events in the journal; it is one of those who `listen`.
        max_answer: bytes of text that one model call may generate; `MAX_ANSWER_BYTES` by default.
        stop_repetition: end calls that write the same words again and again.
        verification: the check of the run's answer, or None.
        hooks: of the run, see `weaver.hooks`.
        tools: what tool calls share; without dependencies and with the default limits by default.

    Attributes:
        withheld: what listeners do not get before the checks of `hooks` have passed; None without checks.
        halted_by: the refusal, or the failure of a hook or the journal, that ends the run.
        on_halt: called when `halted_by` is set.
        answered_by: name of the model that wrote the latest text that may be an answer.
        refused_media: models, and the kinds of parts that their servers have refused.
        reasoners: names of the models that have been seen to reason before they answer.
    """

    def __init__(
        self,
        run_id: str,
        models: Mapping[str, Model],
        *,
        agents: Sequence[Agent] = (),
        instructions: str = "",
        given_plan: Plan | None = None,
        limits: Limits | None = None,
        deadline_at: float = float("inf"),
        deadline: float | None = None,
        thread_timeout: float | None = None,
        temperature: float | None = None,
        seed: int | None = None,
        listen: Callable[[Event], None] | None = None,
        tracing: Tracing | None = None,
        journal: Journal | None = None,
        events: EventLog | None = None,
        about: Mapping[str, Any] | None = None,
        accept_changes: bool = False,
        tools: RunTools | None = None,
        hooks: Hooks = NO_HOOKS,
        max_answer: int | None = None,
        stop_repetition: bool = True,
        verification: Verification | None = None,
    ) -> None:
        self.id = run_id
        self.models = models
        self.agents = {agent.name: agent for agent in agents}
        self.instructions = instructions.strip()
        self.given_plan = given_plan
        self.limits = limits or Limits()
        self.ledger = Ledger(self.limits)
        self.started = current_time()
        self.deadline_at = deadline_at
        self.deadline = deadline
        self.thread_timeout = thread_timeout
        self.temperature = temperature
        self.seed = seed
        self.listen = listen
        self.tracing = tracing or Tracing()
        self.journal = journal
        self.events = events
        self.about = dict(about or {})
        self.accept_changes = accept_changes
        self.record: Record | None = None
        self.stop_repetition = stop_repetition
        self.max_answer = MAX_ANSWER_BYTES if max_answer is None else max_answer
        self.tools = tools or RunTools(emit=None if listen is None else self.emit)
        self.hooks = hooks
        self.verification = verification
        self.withheld: Withheld | None = None
        self.halted_by: WeaverError | None = None
        self.on_halt: Callable[[], None] | None = None
        self.threads: list[Thread] = []
        self.accounting = Accounting()
        self._costs: dict[int, EndpointCosts] = {}  # by the ids of models, which live as long as the run
        self.conflicts: list[Conflict] = []
        self.reasoners: set[str] = set()
        self.refused_media: set[tuple[str, str]] = set()
        self.prefixes = SharedPrefixes()
        self.notes: list[str] = []
        self._noted: set[str] = set()
        self.decision: Decision | None = None
        self.decisions = DecisionLog(self.accounting, self.threads)
        self.plan: Plan | None = None
        self.offered: Answer | None = None
        self._spoken: list[str] = []
        self.cancel_reason: CancelReason | None = None
        self.answered_by = ""
        self.queue_seconds = 0.0
        self.in_flight = 0
        self.max_in_flight = 0

    def emit(self, event: Event) -> None:
        """Hand an event to the listener. Hot paths check `listen` before they build one."""
        if self.listen is not None:
            if self.withheld is not None:
                admitted = self.withheld.admitted(event)
                if admitted is None:
                    return
                event = admitted
            if isinstance(event, AnswerDelta):
                self._spoken.append(event.text)
            elif isinstance(event, AnswerStarted):
                self._spoken.clear()
            self.listen(event)

    @property
    def spoken(self) -> str:
        """The answer as listeners have heard it so far."""
        return "".join(self._spoken)

    @property
    def is_resumed(self) -> bool:
        """True for a run that goes on with what a journal had recorded of it."""
        return self.record is not None and self.record.is_resumed

    def note(self, text: str) -> None:
        """Record a fallback or degradation, in words; the same words once."""
        if text not in self._noted:
            self._noted.add(text)
            self.notes.append(text)
            log.write(logging.INFO, self.id, text)
            self.emit(Noted(text))

    def pass_input(self) -> None:
        """The input checks beside the first calls have passed: tools may run, and events that waited come."""
        if self.withheld is not None:
            for event in self.withheld.pass_input():
                self.emit(event)

    def halt(self, error: WeaverError, reason: CancelReason = "refused") -> None:
        """End the run with this error; the first one stays."""
        if self.halted_by is None:
            self.halted_by = error
            self.stop_for(reason)
            if self.on_halt is not None:
                self.on_halt()

    def count_earlier_calls(self, usage: Usage, is_lost: bool) -> None:
        """Count calls of an earlier process that this one did not repeat, against the limits.

        Args:
            is_lost: they were cut off by a crash, and are no part of what made the answer.
        """
        if not is_lost:
            self.accounting.record(usage, ledger=self.ledger, thread=None)
            return
        self.ledger.spend(usage)
        words = "1 earlier call" if usage.calls == 1 else f"{usage.calls} earlier calls"
        self.note(
            f"{words} of this run ({usage.total_tokens} tokens) had been paid for and cut off. Limits count "
            "them; the usage of this result does not."
        )

    def stop_for(self, reason: CancelReason) -> None:
        """Say why the run is being stopped; the first reason stays."""
        if self.cancel_reason is None:
            self.cancel_reason = reason

    def random_for(self, path: str) -> random.Random:
        """A generator that depends on the run's seed (or id) and the structural path only."""
        key = f"{self.id if self.seed is None else self.seed}/{path}"
        return random.Random(hashlib.sha256(key.encode()).digest())

    def costs_of(self, model: Model) -> EndpointCosts:
        """Return the costs of a model's endpoint, looked for once in a run."""
        costs = self._costs.get(id(model))
        if costs is None:
            costs = self._costs[id(model)] = costs_of(model)
        return costs

    def model_for(self, role: str) -> Model:
        """The model of a role; unknown roles use the thread model."""
        return self.models.get(role) or self.models["thread"]

    def call_began(self) -> None:
        """Count a call in flight."""
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)

    def call_ended(self, reply: Reply) -> None:
        """Take a call out of flight, and remember which model answered."""
        if reply.role in ANSWERING and reply.state == "succeeded":
            self.answered_by = reply.model
        self.in_flight -= 1
        self.queue_seconds += reply.queue_seconds

    def call_changed(self, thread: str | None, entry: Change) -> None:
        """Tell listeners what has become of a call: see `weaver._models.layers.call_log.Change`."""
        match entry:
            case Fallback():
                self.note(f"{entry.failed} failed ({entry.error}); {entry.instead} answered instead.")
                instead = f"{entry.failed} failed and {entry.instead} is asked instead: {entry.error}"
                log.write(logging.WARNING, self.id, instead, thread=thread)
                self.emit(ModelFellBack(thread, entry.failed, entry.instead, entry.error))
            case Retry():
                again = f"a call failed and is tried again in {entry.delay:.1f} s: {entry.error}"
                log.write(logging.INFO, self.id, again, thread=thread)
                self.emit(CallRetried(thread, entry.error, entry.delay))
            case Dropped():
                self.note(f"{entry.model} does not take {entry.wish}; {entry.instead}.")
