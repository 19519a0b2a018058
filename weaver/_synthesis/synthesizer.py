"""Merging findings into an answer: streamed, from findings only, saying what is missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import anyio

from weaver._data.result import Answer, CancelReason, Finding
from weaver._data.task import Task
from weaver._models.protocol import Delta, Reasoning, Text
from weaver._runtime.default_body import thread_listener
from weaver._runtime.run import Run
from weaver._runtime.state.thread import Thread
from weaver._synthesis.merge import missing_line, speak
from weaver._synthesis.prompts import synthesizer_messages
from weaver.errors import InvalidOutputError, ModelError
from weaver.events import AnswerDelta, AnswerReasoning, AnswerStarted

Hear = Callable[[Delta], None]
TEMPERATURE = 0.3
"""Of merging, unless the run has one of its own: nothing new is looked for, but models that think aloud go in
circles at 0."""


async def synthesize(
    run: Run,
    task: Task,
    threads: Sequence[Thread],
    *,
    missing: Sequence[str] = (),
    settled: str = "",
    whole: bool = False,
) -> Answer:
    """Merge the findings of ``threads`` into an answer to ``task``.

    Args:
        threads: those with a result; a cut thread's partial text is marked as such.
        missing: what is missing, in words; the answer is then incomplete and says so.
        settled: conflicts and how they were resolved, for the synthesizer to respect.
        whole: a single thread was asked the whole task, so that its finding is the answer as it is.

    Returns:
        The answer. If the synthesizer fails, the findings one under the other, with a note.
    """
    findings = [finding for t in threads if (finding := t.finding) is not None]
    cut = [f for f in findings if not f.answer.complete]
    missing = [*missing, *(f"{f.title}: only a part was finished" for f in cut)]
    run.offer(listed(findings, missing))
    if whole and len(findings) == 1 and not missing and not settled and task.output is None:
        return speak(run, findings[0].answer)
    span = run.context.state.tracing.syntheses.start(run.context.span)
    failed: BaseException | None = None
    stopped: CancelReason | None = None
    try:
        if run.context.parent is None:
            run.emit(AnswerStarted("synthesis"))
        merged = Task(
            messages=synthesizer_messages(task, findings, missing, settled),
            title="synthesis",
            output=task.output,
            temperature=TEMPERATURE if run.context.temperature is None else run.context.temperature,
        )
        with run.context.under(span):
            answer = await run.reason(merged, role="synthesizer", listen=listener(run))
        return Answer(
            answer.text,
            output=answer.output,
            complete=answer.complete and not missing,
            missing=tuple(missing),
        )
    except (ModelError, InvalidOutputError) as error:
        failed = error
        if task.output is not None:
            raise
        run.note(f"The synthesizer failed ({error.message}); the findings are listed instead.")
        return speak(run, listed(findings, [*missing, "a merged answer: the synthesizer failed"]))
    except anyio.get_cancelled_exc_class():
        stopped = run.context.why_cancelled
        raise
    finally:
        run.context.state.tracing.syntheses.end(span, failed, cancel_reason=stopped)


def listed(findings: Sequence[Finding], missing: Sequence[str] = ()) -> Answer:
    """An answer without a model: the findings one under the other, and what is missing."""
    parts = [f"{f.title}: {f.text.strip()}" for f in findings if f.text.strip()]
    if missing:
        parts.append(missing_line(missing))
    return Answer("\n\n".join(parts), complete=False, missing=tuple(missing))


def listener(run: Run) -> Hear | None:
    """Return who hears a merge: the user in the root, else those who listen to the thread."""
    return answer_listener(run) if run.context.parent is None else thread_listener(run)


class AnswerListener:
    """Passes a model's text and reasoning on as the answer's.

    Args:
        source: of the answer, in `AnswerStarted`.
    """

    def __init__(self, run: Run, source: str) -> None:
        self._run = run
        self._source = source

    def __call__(self, delta: Delta) -> None:
        """Pass a delta on."""
        if isinstance(delta, Text):
            self._run.emit(AnswerDelta(delta.text))
        elif isinstance(delta, Reasoning):
            self._run.emit(AnswerReasoning(delta.text))

    def begin_anew(self) -> None:
        """See `weaver._runtime.calls.model_calls.BeginsAnew`."""
        self._run.emit(AnswerStarted(self._source))


def answer_listener(run: Run, source: str = "synthesis") -> Hear | None:
    """The listener for a final answer; None when nobody listens."""
    return AnswerListener(run, source) if run.context.state.listen is not None else None
