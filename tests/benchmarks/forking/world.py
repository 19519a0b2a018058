"""A simulated model that knows the tasks: it plans right, and its answers have typical lengths."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from os.path import commonprefix

from tests.benchmarks.forking.measuring import is_planning
from tests.benchmarks.forking.tasks import BenchmarkTask, Expected
from weaver._data.plan import ONLY_THIS, YOUR_PART
from weaver._models.protocol import Request
from weaver._testing.scripted import text_of
from weaver.testing import Work

TOKENS = {"capitals": 12, "plurals": 16, "sums": 70, "products": 90, "look_ups": 12, "comparisons": 90}
"""Of one part's answer, by kind."""
WHOLE_TOKENS = {"chains": 90, "single_questions": 40, "stories": 160}


class BenchmarkWorld:
    """What the simulated model says."""

    def __init__(self, tasks: Sequence[BenchmarkTask]) -> None:
        self._tasks = sorted(tasks, key=lambda task: -len(task.question))

    def __call__(self, request: Request, rng: random.Random) -> Work:
        last = str(request.messages[-1].content) if request.messages else text_of(request)
        if is_planning(request):
            task = next((t for t in self._tasks if t.question in last), None)
            return _surely(self._plan(task))
        task = self._task(last)
        if task is None:
            return _surely(_filler(20))
        if not task.forks:
            value = task.parts[0].values[0] if task.parts else ""
            return _surely(f"{_filler(WHOLE_TOKENS[task.kind])} {value}")
        return _surely("\n\n".join(_answer(task, part) for part in _asked(task, last)))

    def _task(self, text: str) -> BenchmarkTask | None:
        """The task that is asked about as a whole, else the one with the longest beginning in common."""
        whole = next((task for task in self._tasks if text.startswith(task.question)), None)
        if whole is not None:
            return whole
        named = [task for task in self._tasks if task.forks and _asked(task, text)]
        named.sort(key=lambda task: len(commonprefix((task.question, text))))  # noqa: RUF071 - of texts
        return named[-1] if named else None

    def _plan(self, task: BenchmarkTask | None) -> str:
        names = [part.name for part in task.parts] if task is not None and task.forks else []
        return json.dumps({"parallel": bool(names), "reason": "separate parts", "subtasks": names})


def _asked(task: BenchmarkTask, text: str) -> list[Expected]:
    """The parts that a question asks for: the one behind the task, else those it names outside of tables."""
    if own := [part for part in task.parts if f"{YOUR_PART}{part.name}{ONLY_THIS}" in text]:
        return own
    asked = "\n".join(line for line in text.splitlines() if "|" not in line)
    return [part for part in task.parts if re.search(rf"(?<!\w){re.escape(part.name)}(?!\w)", asked)]


def _answer(task: BenchmarkTask, part: Expected) -> str:
    value = part.values[0]
    if task.kind in ("sections", "comparisons"):
        words = round(1.0 * (part.length or TOKENS["comparisons"]))
        return f"## {part.name}\n\n{_filler(words)}"
    return f"{_filler(TOKENS[task.kind])} {value}"


def _filler(words: int) -> str:
    return " ".join(["word"] * words)


def _surely(text: str) -> Work:
    return Work(text, text, 0, 0.0)
