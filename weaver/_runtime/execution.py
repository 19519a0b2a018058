"""Running a strategy from task to result: the deadline's promise, errors as data, the books closed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from weaver._data.conversation.pairing import paired
from weaver._data.messages import Message
from weaver._data.result import (
    Answer,
    CancelReason,
    Decision,
    ErrorReport,
    Metrics,
    OutputState,
    Result,
    Status,
    ThreadReport,
)
from weaver._data.task import Task
from weaver._data.usage import Usage
from weaver._models.clock import current_time
from weaver._runtime.default_body import in_form
from weaver._runtime.limits.time_budget import TimeBudget
from weaver._runtime.recording import accompany, close_journal, open_journal
from weaver._runtime.run import Run
from weaver._runtime.state import log
from weaver._runtime.state.context import ThreadContext
from weaver._runtime.state.guards import Withheld, checked_run, context_of
from weaver._runtime.state.media import check_media
from weaver._runtime.state.run_state import RunState
from weaver._runtime.state.session_turn import SessionTurn
from weaver._runtime.threads.user_code import answered
from weaver._runtime.verifying import verified
from weaver.errors import (
    BudgetExceededError,
    DeadlineExceededError,
    JournalError,
    NoAnswerError,
    RefusedError,
    RunCancelled,
    StrategyError,
    WeaverError,
)
from weaver.events import AnswerDelta, AnswerStarted, RunFinished, RunStarted

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from weaver._sessions.protocol import Session

_BEGUN = "session/begun"
_ADDED = "session/added"
GRACE = 0.15
"""Seconds that a cancelled strategy gets to clean up before the run ends without it."""
CHECK_GRACE = 0.04
"""Seconds that output checks get after the deadline or a cancellation; then there is no answer."""

_LEVELS: dict[type[WeaverError], int] = {RunCancelled: logging.INFO, RefusedError: logging.WARNING}
"""How loud the log is about runs that ended with these errors; all others are errors."""


class Execution:
    """One run of a strategy.

    Args:
        strategy: name of the strategy, for the record.
        work: the strategy, given the root's `Run` and the task.
        parent: trace context of the caller; the current one by default.
        checks_output: False where the answer is for weaver itself (a plan, a forecast).
        session: the conversation that the task goes on with, and that the turn is added to.
        conversation: its id, for the trace; "" where it has none.

    Attributes:
        is_recorded: whether the journal of a durable run, which has ended, has its end. If not, whoever
            resumes the run comes to the same end without paying for what was recorded.
    """

    def __init__(
        self,
        state: RunState,
        task: Task,
        strategy: str,
        work: Callable[[Run, Task], Awaitable[Answer]],
        *,
        parent: Context | None = None,
        checks_output: bool = True,
        session: Session | None = None,
        conversation: str = "",
    ) -> None:
        self.state = state
        self._conversation_id = conversation
        self._verification = state.verification
        if state.hooks.parallel_checks or (state.hooks.output_checks and checks_output):
            state.withheld = Withheld(state.hooks)
        state.on_halt = self._halt
        self._checks_output = checks_output and bool(state.hooks.output_checks)
        self.error: WeaverError | None = None
        self.is_recorded = True
        self._task = task
        self._strategy = strategy
        self._work = work
        self._parent = parent
        self._stop_asked = asyncio.Event()
        self._turn = SessionTurn(session) if session is not None else None

    @property
    def task(self) -> Task:
        """The task that is worked on."""
        return self._task

    def cancel(self, reason: CancelReason = "user") -> None:
        """Stop the run: every open connection closes, and the result has what was finished.

        Call it in the run's event loop. A strategy that ignores it is left behind after `GRACE`.
        """
        self.state.stop_for(reason)
        self._stop_asked.set()

    async def run(self) -> Result[Any]:
        """Run to the end. Failures are in the result, and in `error`.

        Cancelling the calling task cancels the run, cleanly.
        """
        state = self.state
        model = state.model_for("thread").name
        span = state.tracing.runs.start(
            run_id=state.id,
            strategy=self._strategy,
            model=model,
            question="" if state.hooks.input_checks else self._task.question,
            parent=self._parent,
            conversation=self._conversation_id,
        )
        root = Run(ThreadContext(state, span, self._task, deadline_at=state.deadline_at))
        state.emit(RunStarted(state.id, self._task.question, self._strategy, model))
        try:
            answer = await self._checked(root, await self._answer(root))
            result = await self._with_turn_added(self._result(root, model, answer))
        except asyncio.CancelledError:
            self.error = RunCancelled("The run was cancelled.")
            state.tracing.runs.end(span, self._result(root, model, None))
            self.is_recorded = await close_journal(state, None, self.error)
            raise
        finally:
            state.on_halt = None
            if self._turn is not None:
                with anyio.CancelScope(shield=True):
                    await self._turn.end(())
        state.tracing.runs.end(span, result)
        if result.answer and state.listen is not None and result.answer.strip() != state.spoken.strip():
            state.emit(AnswerStarted(self._strategy))
            state.emit(AnswerDelta(result.answer))
        state.emit(RunFinished(result))
        self.is_recorded = await close_journal(state, result, self.error)
        return result

    async def _answer(self, root: Run) -> Answer | None:
        state = self.state
        try:
            await open_journal(state, self._task, self._strategy)
        except JournalError as error:
            self.error = error
            return None
        if state.cancel_reason is not None:
            self.error = RunCancelled("The run was cancelled before it began.")
            return None
        main = asyncio.ensure_future(self._guarded(root))
        beside = accompany(state)
        stop_asked = asyncio.ensure_future(self._stop_asked.wait())
        seconds = TimeBudget(state.deadline_at).left
        try:
            await asyncio.wait({main, stop_asked}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if not main.done():
                state.stop_for("deadline")  # unless somebody has stopped it for another reason
                await self._stop(main)
        except asyncio.CancelledError:
            state.stop_for("parent")
            await self._stop(main)
            raise
        finally:
            stop_asked.cancel()
            for task in beside:
                task.cancel()
        return self._outcome(root, main)

    async def _guarded(self, root: Run) -> Answer:
        with self.state.tracing.attached(root.context.span):
            await self._enter_conversation(root)
            return await checked_run(root.context, self._task, partial(self._work_on, root))

    async def _enter_conversation(self, root: Run) -> None:
        """Put the session's messages before the task, and mend what does not fit together."""
        if self._turn is not None:
            self._task = self._task.after(await self._history(root, await self._turn.begin()))
        messages, notes = paired(self._task.messages)
        if notes:
            self._task = replace(self._task, messages=messages)
        for note in notes:
            self.state.note(note)
        root.context.task = self._task
        if any(message.is_untrusted for message in messages):
            root.context.has_read_untrusted()
        await check_media(root.context, messages)

    async def _history(self, root: Run, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        """The session's messages; in a resumed run, those that it began with."""

        async def count() -> int:
            return len(messages)

        return messages[: await root.context.recorded_step(_BEGUN, count)]

    async def _with_turn_added(self, result: Result[Any]) -> Result[Any]:
        """Add the turn to the session, unless the run failed, was cancelled, or has added it before."""
        turn, state = self._turn, self.state
        if turn is None or result.status == "failed" or state.cancel_reason in ("user", "parent", "refused"):
            return result
        if state.record is not None and state.record.find(_ADDED) is not None:
            return result
        try:
            await turn.end(result.messages, state.deadline_at)
            if state.record is not None:
                await state.record.add(_ADDED, "ok", True)
        except WeaverError as error:
            state.note(f"The turn was not added to the session: {error.message}")
            return replace(result, notes=tuple(state.notes))
        return result

    async def _work_on(self, root: Run, task: Task) -> Answer:
        """The strategy's answer to ``task``, which has passed the input checks."""
        if self.state.hooks.input_checks:
            self.state.tracing.runs.set_question(root.context.span, task.question)
        root.context.task = task
        answer = await answered(self._work, root, task, who=f"Strategy {self._strategy!r}")
        answer = await in_form(root, task, answer)
        if self._verification is None:
            return answer
        root.offer(answer)
        return await verified(root, task, answer, self._verification)

    async def _checked(self, root: Run, answer: Answer | None) -> Answer | None:
        """The answer as the output checks leave it; None, with `error`, where they do not pass in time."""
        state = self.state
        if answer is None or not self._checks_output:
            return answer
        seconds = TimeBudget(state.deadline_at).left if state.cancel_reason is None else 0.0
        check = asyncio.ensure_future(state.hooks.checked_output(answer, context_of(root.context)))
        try:
            await asyncio.wait({check}, timeout=None if seconds is None else max(seconds, CHECK_GRACE))
            if check.done():
                answer = await check
                if state.withheld is not None:
                    state.withheld.pass_output()
                return answer
            self.error = self.error or DeadlineExceededError(
                "The output checks had not passed by the deadline, so there is no answer.",
                hint="Allow more time, or use checks that take less.",
            )
        except WeaverError as error:
            self.error = error
        finally:
            check.cancel()
            await asyncio.wait({check}, timeout=CHECK_GRACE)
            check.add_done_callback(_ignore)
        return None

    def _halt(self) -> None:
        self._stop_asked.set()

    async def _stop(self, main: asyncio.Task[Answer]) -> None:
        main.cancel()
        await asyncio.wait({main}, timeout=GRACE)
        if not main.done():
            self.state.note("Something in the run ignored its cancellation and was left behind.")
            main.add_done_callback(_ignore)

    def _outcome(self, root: Run, main: asyncio.Task[Answer]) -> Answer | None:
        state = self.state
        if state.halted_by is not None:
            main.add_done_callback(_ignore)
            self.error = state.halted_by
            return None
        if main.done() and not main.cancelled():
            error = main.exception()
            if error is None:
                return main.result()
            if isinstance(error, WeaverError):
                self.error = error
            elif isinstance(error, Exception):
                self.error = StrategyError(
                    f"Strategy {self._strategy!r} raised {type(error).__name__}: {error}."
                )
                self.error.__cause__ = error
            else:
                raise error
            return self._salvaged(root)
        rescued = self._rescued(root)
        if state.cancel_reason == "deadline":
            if rescued is None:
                self.error = DeadlineExceededError(
                    f"The deadline of {state.deadline or 0:g} s passed before there was anything to answer "
                    "with.",
                    hint="Allow more time, or use a faster model.",
                )
            else:
                state.note(
                    "The deadline came before the answer was finished; this is what there was by then."
                )
        else:
            self.error = RunCancelled("The run was cancelled.")
        return rescued

    def _salvaged(self, root: Run) -> Answer | None:
        """Return the partial answer after an error: all if time, money or threads ran out, else the offer."""
        state = self.state
        if state.cancel_reason is not None or isinstance(self.error, (BudgetExceededError, NoAnswerError)):
            return self._rescued(root)
        if state.offered is not None:
            state.note(f"The strategy could not finish; this is the best answer it had. {self.error}")
        return state.offered

    def _rescued(self, root: Run) -> Answer | None:
        """The best answer at hand: what the strategy offered, else what threads have written.

        Those next to the root count; where they have written nothing themselves, those that they forked.
        """
        if self.state.offered is not None:
            return self.state.offered
        texts: dict[int, list[str]] = {}
        for t in self.state.threads:
            if t.state in ("succeeded", "timed_out", "cancelled") and t.text.strip():
                texts.setdefault(t.depth, []).append(f"{t.title}: {t.text.strip()}")
        parts = texts[min(texts)] if texts else []
        if not parts and (text := root.context.text_so_far.strip()):
            parts = [text]
        return Answer("\n\n".join(parts), complete=False) if parts else None

    def _result(self, root: Run, model: str, answer: Answer | None) -> Result[Any]:
        state = self.state
        status: Status = "failed"
        if answer is not None and not answer.text.strip() and answer.output is None and self.error is None:
            self.error = NoAnswerError(f"Strategy {self._strategy!r} came back with an empty answer.")
        elif answer is not None:
            whole = answer.complete and self.error is None and state.cancel_reason is None
            status = "complete" if whole else "partial"
        if state.record is not None:
            state.record.close_replay()
        usage = state.accounting.total
        for note in state.prefixes.misses:
            state.note(note)
        if left_out := state.decisions.left_out:
            state.note(f"The decision log is full; {left_out} later decisions are not in it.")
        tokens, seconds = root.context.path_so_far
        cancelled = sum(t.state == "cancelled" for t in state.threads)
        path = min(tokens, usage.output_tokens) or usage.output_tokens
        history, messages = self._conversation(root, answer if status != "failed" else None)
        result: Result[Any] = Result(
            run_id=state.id,
            status=status,
            answer=answer.text if answer is not None and status != "failed" else "",
            strategy=self._strategy,
            model=state.answered_by or model,
            typed_output=answer.output if answer is not None else None,
            output_state=self._output_state(answer, status),
            decision=self._decision(usage),
            plan=state.plan,
            threads=self._threads(),
            conflicts=tuple(state.conflicts),
            usage=usage,
            metrics=Metrics(
                critical_path_tokens=path,
                total_output_tokens=usage.output_tokens,
                acceleration_ratio=1 - path / usage.output_tokens if usage.output_tokens else 0.0,
                self_parallel_speedup=usage.output_tokens / path if path else 1.0,
                wall_seconds=current_time() - state.started,
                critical_path_seconds=seconds,
                queue_seconds=state.queue_seconds,
                threads=len(state.threads),
                cancelled_threads=cancelled,
                max_in_flight=state.max_in_flight,
            ),
            notes=tuple(state.notes),
            trace_id=state.tracing.trace_id(root.context.span),
            error=ErrorReport(type(self.error).__name__, str(self.error)) if self.error else None,
            messages=messages,
            history=history,
            decision_log=state.decisions.finished(status),
            rewards=tuple(state.decisions.rewards),
            verified=self._verification.passed if self._verification is not None else None,
            sources=answer.sources if answer is not None and status != "failed" else (),
        )
        if self.error is not None:
            self.error.result = result
            level = _LEVELS.get(type(self.error), logging.ERROR)
            log.write(level, state.id, f"{status}: {type(self.error).__name__}: {self.error}")
        else:
            log.write(logging.DEBUG, state.id, f"{status} in {result.metrics.wall_seconds:.2f} s")
        return result

    def _conversation(
        self, root: Run, answer: Answer | None
    ) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
        """The messages before this turn, and those of this turn."""
        turn = root.context.task.turn
        conversation = root.context.task.conversation
        history = conversation[: len(conversation) - len(turn)]
        if answer is None:
            return history, ()
        last = Message("assistant", answer.text, untrusted=True if root.context.read_untrusted else None)
        return history, (*turn, *answer.steps, last)

    def _output_state(self, answer: Answer | None, status: Status) -> OutputState:
        if self._task.output is None:
            return "text"
        # A complete answer fits its type, which may have None for a value.
        return "typed" if status == "complete" or (answer and answer.output is not None) else "missing"

    def _threads(self) -> tuple[ThreadReport, ...]:
        """Report the threads; without their text where a guardrail refused the run."""
        reports = (t.report(self.state.started) for t in self.state.threads)
        if isinstance(self.error, RefusedError):
            return tuple(replace(report, answer=None) for report in reports)
        return tuple(reports)

    def _decision(self, usage: Usage) -> Decision:
        """The run's decision, its forecast beside what the run took."""
        decision = self.state.decision
        if decision is None:
            why = f"the strategy {self._strategy} was asked for"
            return Decision(bool(self.state.threads), "user", why)
        if decision.forecast is None:
            return decision
        seconds = current_time() - self.state.started
        forecast = replace(decision.forecast, actual_seconds=seconds, actual_usd=usage.cost_usd)
        return replace(decision, forecast=forecast)


def _ignore(task: asyncio.Task[Any]) -> None:
    """Take note of a left-behind task's end, so that asyncio does not complain about it."""
    if not task.cancelled():
        task.exception()
