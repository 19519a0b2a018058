"""A direct answer that is begun before it is known whether it will be needed."""

from __future__ import annotations

from dataclasses import replace

from weaver._data.result import Answer
from weaver._data.task import Task
from weaver._models.protocol import Delta, Reasoning, Text
from weaver._runtime.run import Run
from weaver._runtime.threads.group import Threads
from weaver.errors import NoAnswerError
from weaver.events import AnswerDelta, AnswerReasoning, AnswerStarted


class Speculation:
    """Runs in its own thread; what it says is kept back until it is chosen."""

    def __init__(self, run: Run, threads: Threads, task: Task) -> None:
        self._run = run
        self._heard = _HeldBack(run) if run.context.state.listen is not None else None
        self._thread = threads.start(task, id="direct", body=self._body)
        threads.close()

    def drop(self) -> None:
        """It is not needed: stop it at once."""
        self._thread.cancel("not_needed")

    @property
    def dropped(self) -> bool:
        """True if it was stopped because it seemed not to be needed."""
        return self._thread.cancel_reason is not None

    async def answer(self) -> Answer:
        """It is the answer: let listeners hear it, and wait for its end.

        Raises:
            WeaverError: the thread's own error, if it failed.
        """
        if self._heard is not None:
            self._heard.release()
        await self._thread.wait()
        self._run.context.joined(self._thread)
        if self._thread.error is not None:
            raise self._thread.error
        if self._thread.state != "succeeded" or self._thread.answer is None:
            raise NoAnswerError(f"The direct answer ended as {self._thread.state}.")
        return self._thread.answer

    async def _body(self, run: Run, task: Task) -> Answer:
        answer = await run.reason(task, listen=self._heard)
        self._run.offer(replace(answer, complete=False))
        return answer


class _HeldBack:
    """A listener that keeps text and reasoning back until they are released; then it passes them on."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._is_released = False
        self._text: list[str] = []
        self._reasoning: list[str] = []

    def __call__(self, delta: Delta) -> None:
        if isinstance(delta, Text):
            self._text.append(delta.text)
        elif isinstance(delta, Reasoning):
            self._reasoning.append(delta.text)
        if self._is_released:
            self._pass_on()

    def begin_anew(self) -> None:
        """See `weaver._runtime.calls.model_calls.BeginsAnew`."""
        self._text.clear()
        if self._is_released:
            self._run.emit(AnswerStarted("direct"))

    def release(self) -> None:
        """Listeners hear what there is, and all that follows."""
        self._is_released = True
        self._run.emit(AnswerStarted("direct"))
        self._pass_on()

    def _pass_on(self) -> None:
        if reasoning := "".join(self._reasoning):
            self._run.emit(AnswerReasoning(reasoning))
        if text := "".join(self._text):
            self._run.emit(AnswerDelta(text))
        self._reasoning.clear()
        self._text.clear()
