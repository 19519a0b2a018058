"""A direct answer that is begun before it is known whether it will be needed."""

from __future__ import annotations

from dataclasses import replace

from weaver.errors import NoAnswer
from weaver.events import AnswerDelta, AnswerStarted
from weaver.models.protocol import Delta, Text
from weaver.result import Answer
from weaver.runtime.group import Threads
from weaver.runtime.run import Run
from weaver.task import Task


class Speculation:
    """Runs in a thread of its own; what it says is kept back until it is chosen."""

    def __init__(self, run: Run, threads: Threads, task: Task) -> None:
        self._run = run
        self._said: list[str] = []
        self._chosen = False
        self._thread = threads.start(task, id="direct", body=self._body)
        threads.close()

    def drop(self) -> None:
        """It is not needed: stop it at once."""
        self._thread.cancel("not_needed")

    @property
    def dropped(self) -> bool:
        """Whether it was stopped because it seemed not to be needed."""
        return self._thread.cancel_reason is not None

    async def answer(self) -> Answer:
        """It is the answer: let listeners hear it, and wait for its end.

        Raises:
            WeaverError: the thread's own error, if it failed.
        """
        self._chosen = True
        self._run.emit(AnswerStarted("direct"))
        if self._said:
            self._run.emit(AnswerDelta("".join(self._said)))
        await self._thread.wait()
        self._run.joined(self._thread)
        if self._thread.error is not None:
            raise self._thread.error
        if self._thread.state != "succeeded" or self._thread.answer is None:
            raise NoAnswer(f"The direct answer ended as {self._thread.state}.")
        return self._thread.answer

    async def _body(self, run: Run, task: Task) -> Answer:
        answer = await run.reason(task, listen=self._hear if run.state.listen is not None else None)
        self._run.offer(replace(answer, complete=False))
        return answer

    def _hear(self, delta: Delta) -> None:
        if not isinstance(delta, Text):
            return
        if self._chosen:
            self._run.emit(AnswerDelta(delta.text))
        else:
            self._said.append(delta.text)
