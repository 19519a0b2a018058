"""A simulated model that knows the tasks: it plans right, and its answers have typical lengths."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence

from tests.benchmarks.forking.measuring import is_planning
from tests.benchmarks.forking.tasks import BenchmarkTask, Expected
from weaver.models.protocol import Request
from weaver.testing import Work
from weaver.testing.scripted import text_of

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
        task = next((t for t in self._tasks if t.question == last.strip()), None)
        if task is not None:
            return _surely(
                "\n\n".join(_answer(task, part) for part in task.parts) or _filler(WHOLE_TOKENS[task.kind])
            )
        found = self._part(last)
        return _surely(_filler(20) if found is None else _answer(*found))

    def _plan(self, task: BenchmarkTask | None) -> str:
        names = [part.name for part in task.parts] if task is not None and task.forks else []
        return json.dumps({"parallel": bool(names), "reason": "separate parts", "subtasks": names})

    def _part(self, asked: str) -> tuple[BenchmarkTask, Expected] | None:
        """Whose part is asked for: the question with the part's name behind it, or in the place of all."""
        for task in self._tasks:
            if not task.forks:
                continue
            lead = task.question[: task.question.find(task.parts[0].name)]
            for part in task.parts:
                whole = asked.startswith(task.question) and f": {part.name}." in asked[len(task.question) :]
                others = [p.name for p in task.parts if p is not part]
                if whole or (
                    asked.startswith(lead) and part.name in asked and not any(o in asked for o in others)
                ):
                    return task, part
        return None


def _answer(task: BenchmarkTask, part: Expected) -> str:
    value = part.values[0]
    if task.kind in ("sections", "comparisons"):
        words = round(1.0 * (part.length or TOKENS["comparisons"]))
        return f"## {part.name}\n\n{_filler(words)}"
    if task.kind == "chains":
        return f"{_filler(WHOLE_TOKENS['chains'])} {value}"
    if task.kind in TOKENS:
        return f"{_filler(TOKENS[task.kind])} {value}"
    return f"The answer is {value}"


def _filler(words: int) -> str:
    return " ".join(["word"] * words)


def _surely(text: str) -> Work:
    return Work(text, text, 0, 0.0)
