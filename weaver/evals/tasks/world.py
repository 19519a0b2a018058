"""What a simulated model knows about items of known structure. Only for simulations."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence

from weaver.evals.items import Item, Part
from weaver.models.protocol import Request
from weaver.testing.scripted import text_of
from weaver.testing.simulated import Work

STEP_TOKENS = 40
"""Simulated tokens of thinking for one step of work."""


class StructuredWorld:
    """Plays a model that can plan, work on one part, on the whole, and merge findings.

    Args:
        items: of known structure (`Item.parts`). The whole of an item is as hard as all its parts; a merge is
            right exactly if the findings in its prompt are.
    """

    def __init__(self, items: Sequence[Item]) -> None:
        self._items = sorted(items, key=lambda item: -len(item.question))
        self._parts = {part.question: part for item in items for part in item.parts}

    def __call__(self, request: Request, rng: random.Random) -> Work:
        """What the request asks for."""
        said = text_of(request)
        item = next((i for i in self._items if i.question in said), None)
        if item is None:
            # A thread's prompt begins with its own question; those of its dependencies follow.
            asked = [(said.find(q), p.question) for q, p in self._parts.items() if q in said]
            part = self._parts[min(asked)[1]] if asked else None
            return self._part(part, rng) if part else Work("I do not know.", "I do not know.", 20, 0.0)
        if _plans(request):
            return Work(self._plan(item), '{"parallel": false, "reason": "one step", "subtasks": []}', 0, 0.1)
        found = [p for p in item.parts if p.question in said]
        if len(found) > 1:
            return self._merge(item, said, rng)
        work = max(1, sum(p.work for p in item.parts))
        right = f"Answer: {item.answer}"
        return Work(right, f"Answer: {_wrong(item.answer, rng)}", STEP_TOKENS * work, 0.3 * work)

    def _part(self, part: Part, rng: random.Random) -> Work:
        right, wrong = f"Answer: {part.answer}", f"Answer: {_wrong(part.answer, rng)}"
        return Work(right, wrong, STEP_TOKENS * part.work, 0.3 * part.work)

    def _plan(self, item: Item) -> str:
        subtasks = [
            {
                "id": f"p{i}",
                "title": part.question[:60],
                "prompt": part.question,
                "depends_on": [f"p{j}" for j in part.after],
                "agent": None,
                "max_tokens": 4 * STEP_TOKENS * part.work,
            }
            for i, part in enumerate(item.parts[:32])
        ]
        parallel = item.structure != "chain" and len(subtasks) > 1
        plan = {"parallel": parallel, "reason": item.structure, "subtasks": subtasks if parallel else []}
        return json.dumps(plan)

    def _merge(self, item: Item, said: str, rng: random.Random) -> Work:
        wrong = _wrong(item.answer, rng)
        whole = all(re.search(rf"Answer: {re.escape(p.answer)}\b", said) for p in item.parts)
        right = item.answer if whole else wrong
        return Work(f"Answer: {right}", f"Answer: {wrong}", STEP_TOKENS // 2, 0.05)


def _plans(request: Request) -> bool:
    schema = request.output.schema if request.output is not None else {}
    return "subtasks" in json.dumps(schema)


def _wrong(answer: str, rng: random.Random) -> str:
    """An answer of the same form that is not the right one."""
    numbers = list(re.finditer(r"\d+", answer))
    if not numbers:
        return answer + "?"
    which = rng.choice(numbers)
    value = int(which.group()) + rng.choice((-2, -1, 1, 2, 10))
    return answer[: which.start()] + str(abs(value)) + answer[which.end() :]
