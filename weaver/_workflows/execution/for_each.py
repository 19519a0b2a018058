"""``for_each``: one thread per item, at most so many at a time, joined by the step's rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

import anyio

from weaver._coordination.conflicts.resolve import settle_conflicts
from weaver._data.result import Answer, CancelReason
from weaver._data.task import Task
from weaver._json_reading.json_types import JsonLike, is_array
from weaver._runtime.run import Run
from weaver._runtime.state.thread import Thread
from weaver._runtime.threads.group import Threads
from weaver._runtime.threads.join_protocol import Around, JoinRule, JoinState
from weaver._runtime.threads.thread_runner import Ending
from weaver._text.shortening import one_line
from weaver._workflows.execution.approval import current_step
from weaver._workflows.execution.preparation.prepared import NO_TIMEOUT
from weaver._workflows.execution.state import ended
from weaver._workflows.expressions.evaluator import evaluate
from weaver._workflows.expressions.parser import ExpressionError
from weaver._workflows.expressions.values import Values
from weaver.errors import BudgetExceededError, StepError, WeaverError

if TYPE_CHECKING:
    from weaver._workflows.execution.step_run import StepRun

_NAMES = ("name", "title", "id", "label")
"""Keys of an item that name it."""
_NAME_CHARS = 40
_NUMBERS = 10
"""How many items a message lists by number."""


class Items:
    """The items of one step at work."""

    def __init__(self, work: StepRun, run: Run, names: Mapping[str, Any]) -> None:
        self.work = work
        self.progress = work.progress
        self.step = work.step
        self.run_ = run
        self.names = dict(names)
        self.settled = False
        self._left: Iterator[tuple[int, Any]] = iter(())
        self._threads: Threads | None = None
        self._begun: dict[str, tuple[dict[str, Any], Task | None, Exception | None]] = {}
        self._path = f"{work.progress.path}{work.step.id}"
        self._unstarted = ""
        # With a fallback every item has an output, also those that the step's deadline left no time for.
        deadline_at = float("inf") if self.step.on_timeout == "fallback" else work.deadline_at
        self._deadline_at = min(run.context.deadline_at, deadline_at)
        self._timed = self._deadline_at < float("inf")
        self._context = copy_context()

    async def run(self) -> Answer:
        """Work on every item.

        Raises:
            StepError: what should be a list is none.
            NoAnswerError: no item succeeded, or not as many as the join needs.
        """
        items = self._list()
        if not items:
            return Answer("", output=[])
        step = self.step
        try:
            async with self.run_.fork(
                body=self._work,
                name="item",
                timeout=NO_TIMEOUT,
                on_error="fail_fast" if step.on_error == "fail_fast" else "keep",
                on_timeout="fail",
            ) as threads:
                winners = await self._joined(threads, items)
        finally:
            self._record(items)
        if step.spec.conflicts:
            finished = [t for t in threads.all if t.state == "succeeded"]
            conflicts = await settle_conflicts(self.run_, finished, ladder=self.progress.ladder(step))
            self.progress.conflicts[step.id] = conflicts
        return self._answer(winners, threads, len(items))

    def _list(self) -> list[Any]:
        items = self.step.items
        value = items.value(self.names) if isinstance(items, Values) else evaluate(items, self.names)  # type: ignore[arg-type]
        if value is None:
            return []
        if not is_array(value):
            raise StepError(f"Step {self.step.id}: for_each needs a list, and got {type(value).__name__}.")
        limit = self.step.spec.max_items
        if len(value) > limit:
            self.run_.note(
                f"Step {self.step.id}: only the first {limit} of {len(value)} items are worked on."
            )
        return value[:limit]

    async def _joined(self, threads: Threads, items: list[Any]) -> list[Thread]:
        rule = self.progress.rule(self.run_, self.step)
        self._threads = threads
        self._left = enumerate(items)
        self.work.shares = len(items)
        for _ in range(min(self.step.max_parallel or len(items), len(items))):
            self._start_next()
        return await threads.join(rule if self.step.spec.join is None else _Watched(rule, self))

    def _start_next(self) -> None:
        """Start the next item, if there is one and it still matters."""
        threads = self._threads
        if threads is None:
            return
        index, item = next(self._left, (-1, None))
        late = self._timed and anyio.current_time() >= self._deadline_at
        if late:
            by_step = self.work.deadline_at <= self.run_.context.deadline_at
            self._unstarted = self.work.deadline_passed if by_step else "the deadline passed"
        if index < 0 or late or self.settled or not self._start(threads, index, item):
            self._left = iter(())
            threads.close()

    def _start(self, threads: Threads, index: int, item: Any) -> bool:
        step = self.step
        title = f"{step.title} {index + 1}{_name(item)}"
        names = self.names | {step.spec.item_name: item, "index": index}
        problem: Exception | None = None
        try:
            task = step.action.task(self.work, names, title)
        except (ExpressionError, WeaverError) as error:
            task, problem = None, error
        self._begun[str(index + 1)] = (names, task, problem)
        try:
            threads.start(task or Task(title, title=title), id=str(index + 1))
        except BudgetExceededError as error:
            self._unstarted = str(error).rstrip(".")
            return False
        return True

    async def _work(self, run: Run, task: Task) -> Answer:  # noqa: ARG002 - a body's signature
        """The body of one item's thread."""
        number = run.path.rpartition("/")[2]
        names, own_task, problem = self._begun.pop(number)
        token = current_step.set((self._path, int(number) - 1))
        failed = True
        try:
            if problem is not None:
                raise problem
            answer = await self.work.run(run, names, own_task)
            failed = False
            return answer
        except Ending:
            raise
        except ExpressionError as error:
            self.work.fail(StepError(f"Step {self.step.id}: {self.progress.explained(error)}."))
        except Exception as error:  # noqa: BLE001 - raised again
            self.work.fail(error)
        finally:
            current_step.reset(token)
            self.leave(failed=failed)

    def leave(self, *, failed: bool) -> None:
        """An item is done. Without a join rule the next one takes its place at once."""
        if failed and self.step.on_error == "fail_fast":
            self.settled = True
        if self.step.spec.join is None:
            self.go_on()

    def go_on(self) -> None:
        """Start the next item, in the step's own context: that of an item has the item's span."""
        self._context.run(self._start_next)

    def _record(self, items: list[Any]) -> None:
        by_number = {_number(t): t for t in self._threads.all} if self._threads is not None else {}
        record = self.progress.records[self.step.id]
        for index, item in enumerate(items):
            thread = by_number.get(index + 1)
            output = (
                self.progress.output(thread) if thread is not None and thread.state == "succeeded" else None
            )
            record["items"].append(_item_record(index, item, thread, output))

    def _answer(self, winners: list[Thread], threads: Threads, count: int) -> Answer:
        """The winners' outputs in the order of the items, and what is missing."""
        missing = self._missing(winners, threads, count)
        if self.step.single:
            answer = winners[0].answer
            assert answer is not None
            return Answer(
                answer.text,
                output=answer.output,
                claims=answer.claims,
                complete=not missing,
                missing=tuple(missing),
            )
        ordered = sorted(winners, key=_number)
        outputs = [self.progress.output(t) for t in ordered]
        text = "\n\n".join(t.text for t in ordered)
        return Answer(text, output=outputs, complete=not missing, missing=tuple(missing))

    def _missing(self, winners: list[Thread], threads: Threads, count: int) -> list[str]:
        """Return which items have no output, or only a part of one, and why: each cause once."""
        reasons: dict[tuple[str, str], list[int]] = {}
        for t in threads.all:
            if t.state in ("failed", "timed_out") or t.cancel_reason in ("budget", "deadline"):
                why = str(t.error) if t.error is not None else f"the {t.cancel_reason} came first"
                reasons.setdefault((t.state, why.rstrip(".")), []).append(_number(t))
        parts: dict[str, list[int]] = {}
        for t in winners:
            for gap in t.answer.missing if t.answer is not None else ():
                parts.setdefault(gap, []).append(_number(t))
        if len(threads.all) < count and not self.settled:
            reasons["waiting", self._unstarted] = list(range(len(threads.all) + 1, count + 1))
        return [
            *(
                f"{_items(numbers, count)} {ended(state, several=len(numbers) > 1)}: {why}"
                for (state, why), numbers in reasons.items()
            ),
            *(f"{_items(numbers, count)}: {gap}" for gap, numbers in parts.items()),
        ]


def _name(item: JsonLike) -> str:
    """Name an item after its number, for people and traces; "" for one without a short name."""
    if isinstance(item, Mapping):
        item = next((item[key] for key in _NAMES if isinstance(item.get(key), (str, int))), None)
    if not isinstance(item, (str, int, float)) or isinstance(item, bool):
        return ""
    line = one_line(str(item)[: 4 * _NAME_CHARS], _NAME_CHARS)
    return f": {line}" if line else ""


def _number(thread: Thread) -> int:
    """Return which item a thread works on, from 1."""
    return int(thread.id.rpartition("/")[2])


def _items(numbers: list[int], count: int) -> str:
    """``item 3 of 5``, ``3 of 5 items (1, 2, 4)``."""
    if len(numbers) == 1:
        return f"item {numbers[0]} of {count}"
    listing = ", ".join(map(str, sorted(numbers)[:_NUMBERS])) + (", ..." if len(numbers) > _NUMBERS else "")
    return f"{len(numbers)} of {count} items ({listing})"


class _Watched:
    """A rule that is asked about a finished item before the next one is started."""

    def __init__(self, rule: JoinRule, items: Items) -> None:
        self.name = rule.name
        self._rule = rule
        self._items = items

    def begin(self) -> JoinState:
        return _WatchedState(self._rule.begin(), self._items)


class _WatchedState(Around):
    def __init__(self, state: JoinState, items: Items) -> None:
        super().__init__(state)
        self._items = items

    async def finished(self, thread: Any, *, outstanding: int) -> CancelReason | None:
        reason = await super().finished(thread, outstanding=outstanding)
        if reason is not None:
            self._items.settled = True
        else:
            self._items.go_on()
        return reason


def _item_record(index: int, item: Any, thread: Thread | None, output: Any) -> dict[str, Any]:
    if thread is None:
        return {
            "item": item,
            "index": index,
            "output": None,
            "text": "",
            "state": "cancelled",
            "error": "it was not started",
        }
    return {
        "item": item,
        "index": index,
        "output": output,
        "text": thread.text,
        "state": thread.state,
        "error": str(thread.error) if thread.error is not None else None,
    }
