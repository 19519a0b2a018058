"""What a simulated model knows about items of known structure. Only for simulations."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from weaver._evals.items import Item, Part
from weaver._evals.tasks.pieces import Piece, independent_pieces, pieces
from weaver._json_reading.json_types import is_object
from weaver._models.protocol import Request
from weaver._strategies.llm_compiler import PLAN
from weaver._strategies.skeleton_of_thought import EXPAND, ORGANISE
from weaver._testing.scripted import text_of
from weaver._testing.simulated import Work

STEP_TOKENS = 40
"""Simulated tokens of thinking for one step of work."""
POINTS = 10
"""A longer answer is not a list of points (for `skeleton_of_thought`, which takes so many by default)."""
DIRECTLY = '{"parallel": false, "reason": "one step", "subtasks": []}'
_JOINED = {"thought", "answer"}
_COMPILES = PLAN.partition("\n")[0]
_ORGANISES = ORGANISE.partition("%")[0]
_EXPANDS = re.compile(re.escape(EXPAND.partition("\n")[0]) + r".*\bpoint (\d+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Job:
    """What one thread is asked: some questions, and what it returns for each of the results."""

    prompt: str
    results: tuple[Part, ...]
    work: int

    def said(self, wrong: Part | None = None, rng: random.Random | None = None) -> str:
        """The answers, each with its question; of ``wrong`` a wrong one."""
        return "\n".join(
            f"{part.question}\nAnswer: {_wrong(part.answer, rng) if part is wrong and rng else part.answer}"
            for part in self.results
        )


class StructuredWorld:
    """Plays a model that can plan, work on a piece, on the whole, and merge findings.

    Its plans keep to the number of subtasks that they are asked for: the fewer, the coarser the pieces. It
    knows how each of our strategies that plans asks for a plan.

    Args:
        items: of known structure (`Item.parts`). The whole of an item is as hard as all its parts; a merge is
            right if the findings in its prompt are, and harder where they leave something to be worked out.
    """

    def __init__(self, items: Sequence[Item]) -> None:
        self._items = sorted(items, key=lambda item: -len(item.question))
        self._jobs: dict[str, _Job] = {}
        for part in (part for item in items for part in item.parts):
            self._jobs[part.question] = _Job(part.question, (part,), part.work)

    def __call__(self, request: Request, rng: random.Random) -> Work:
        """Return what the request asks for."""
        prompt = text_of(request)
        item = next((i for i in self._items if _places(i.question, prompt)), None)
        if item is None:
            return self._piece(request, prompt, rng)
        if (properties := _planned(request)) is not None:
            return Work(self._plan(item, properties), DIRECTLY, 0, 0.1)
        if (number := _number_of_parts(request)) is not None:
            return _surely(self._split(item, number))
        if _COMPILES in prompt:
            return _surely(self._calls(item))
        if "organisation" in _properties(request):
            listed = item.structure == "independent" and len(item.parts) <= POINTS
            return _surely(json.dumps({"organisation": "A" if listed else "B"}))
        if point := _EXPANDS.search(prompt):
            return self._point(item, int(point[1]), rng)
        if _ORGANISES in prompt:
            return _surely(_skeleton(item, continued=request.prefill))
        if _properties(request).keys() >= _JOINED:
            return self._joined(item, prompt, rng)
        if quoted := _found(item, prompt):
            return self._merge(item, quoted, rng)
        work = max(1, sum(p.work for p in item.parts))
        right = f"Answer: {item.answer}"
        return Work(right, f"Answer: {_wrong(item.answer, rng)}", STEP_TOKENS * work, 0.3 * work)

    def _piece(self, request: Request, said: str, rng: random.Random) -> Work:
        """A thread's work: its prompt begins with its own questions; those of its dependencies follow."""
        questions = [
            (place, -len(prompt), prompt) for prompt in self._jobs for place in _places(prompt, said)[:1]
        ]
        job = self._jobs[min(questions)[2]] if questions else self._listed(said)
        if job is None:
            return Work("I do not know.", "I do not know.", 20, 0.0)
        if _planned(request) is not None:
            return _surely(DIRECTLY)
        wrong = job.said(rng.choice(job.results), rng)
        return Work(job.said(), wrong, STEP_TOKENS * job.work, 0.3 * job.work)

    def _listed(self, said: str) -> _Job | None:
        """Lines of an item's list: what a thread is asked where the list itself is the plan."""
        for item in self._items:
            parts = tuple(part for part in item.parts if _places(_heading(part.question), said))
            if parts and item.question.partition("\n")[0] in said:
                return _Job(said, parts, sum(part.work for part in parts))
        return None

    def _job(self, item: Item, piece: Piece) -> _Job:
        """The piece as a thread is asked to work on it; remembered, to be recognised when it is."""
        questions = [item.parts[number].question for number in piece.members]
        question = questions[0]
        if len(questions) > 1:
            question = f"Work out, in this order: {'; '.join(map(_heading, questions))}."
        results = tuple(item.parts[number] for number in piece.results)
        job = _Job(question, results, sum(item.parts[number].work for number in piece.members))
        return self._jobs.setdefault(question, job)

    def _cut(self, item: Item, most: int) -> list[tuple[_Job, list[int]]]:
        """Pieces as jobs, each with the places of those that it needs. The same work is there only once."""
        jobs: dict[str, tuple[_Job, list[int]]] = {}
        places: list[int] = []
        for piece in pieces(item.parts, most):
            job = self._job(item, piece)
            jobs.setdefault(job.prompt, (job, sorted({places[needed] for needed in piece.after})))
            places.append([*jobs].index(job.prompt))
        return list(jobs.values())

    def _plan(self, item: Item, properties: Mapping[str, Any]) -> str:
        subtasks = [
            {
                "id": f"p{number}",
                "title": job.prompt[:60],
                "prompt": job.prompt,
                "depends_on": [f"p{needed}" for needed in after],
                "agent": None,
                "max_tokens": 4 * STEP_TOKENS * job.work,
            }
            for number, (job, after) in enumerate(self._cut(item, properties["subtasks"].get("maxItems", 32)))
        ]
        parallel = len(subtasks) > 1
        plan = {"parallel": parallel, "reason": item.structure, "subtasks": subtasks if parallel else []}
        return json.dumps(plan)

    def _split(self, item: Item, number: int) -> str:
        """Exactly so many parts: where there are not so many, some are done more than once."""
        jobs = [self._job(item, piece) for piece in independent_pieces(item.parts, number)]
        parts = [jobs[i % len(jobs)] for i in range(number)]
        return json.dumps({"value": [{"title": job.prompt[:60], "prompt": job.prompt} for job in parts]})

    def _calls(self, item: Item) -> str:
        jobs = self._cut(item, 32)
        if len(jobs) == 1:
            return f"1. ask({json.dumps(item.question)})\njoin()"
        lines: list[str] = []
        for number, (job, after) in enumerate(jobs, start=1):
            references = "".join(f"\n(${needed + 1})" for needed in after)
            lines.append(f"{number}. ask({json.dumps(job.prompt + references)})")
        return "\n".join([*lines, "join()"])

    def _point(self, item: Item, number: int, rng: random.Random) -> Work:
        """One point of a skeleton, written on from its heading."""
        part = item.parts[min(number, len(item.parts)) - 1]
        wrong = f"= {_wrong(part.answer, rng)}"
        return Work(f"= {part.answer}", wrong, STEP_TOKENS * part.work, 0.3 * part.work)

    def _merge(self, item: Item, found: Mapping[int, str], rng: random.Random) -> Work:
        """Merge findings into the answer: work out heads, leave out what was lost."""
        done = set(found)
        for number in range(len(item.parts) - 1, -1, -1):
            if number in done:
                done.update(item.parts[number].after)
        open_parts = [part for number, part in enumerate(item.parts) if number not in done]
        whole = all(part.after for part in open_parts) and all(
            answer == item.parts[number].answer for number, answer in found.items()
        )
        wrong = f"Answer: {_wrong(item.answer, rng)}"
        work = sum(part.work for part in open_parts)
        return Work(
            f"Answer: {item.answer}" if whole else wrong,
            wrong,
            STEP_TOKENS // 2 + STEP_TOKENS * work,
            0.05 + 0.3 * work,
        )

    def _joined(self, item: Item, said: str, rng: random.Random) -> Work:
        """Return what follows from calls: their answers merged, or the one answer that there is."""
        if quoted := _found(item, said):
            merged = self._merge(item, quoted, rng)
        else:
            text = "Answer: " + (re.findall(r"^Answer: (.*)", said, re.MULTILINE) or [""])[-1]
            merged = replace(_surely(text), thinking=STEP_TOKENS // 2)
        right, wrong = (
            json.dumps({"thought": "That is enough.", "action": "finish", "answer": text})
            for text in (merged.right, merged.wrong)
        )
        return replace(merged, right=right, wrong=wrong)


def _surely(text: str) -> Work:
    """Something that is not got wrong."""
    return Work(text, text, 0, 0.0)


def _properties(request: Request) -> Mapping[str, Any]:
    """Return the properties of the JSON object that a request asks for; {} without one."""
    properties = request.output.schema.get("properties") if request.output is not None else None
    return properties if is_object(properties) else {}


def _planned(request: Request) -> Mapping[str, Any] | None:
    """The properties of a plan, if one is asked for."""
    properties = _properties(request)
    return properties if "subtasks" in properties else None


def _number_of_parts(request: Request) -> int | None:
    """Return how many parts `fixed` asks for, if it does."""
    if request.output is None or request.output.name != "parts":
        return None
    return int(_properties(request)["value"]["minItems"])


def _places(question: str, said: str) -> list[int]:
    """Return where a question stands in a text, as a whole: a list that goes on is another question."""
    return [match.start() for match in re.finditer(re.escape(question) + r"(?![\w,])", said)]


def _found(item: Item, said: str) -> dict[int, str]:
    """The answers that findings give, by the numbers of the parts."""
    quoted: dict[int, str | Any] = {}
    for number, part in enumerate(item.parts):
        if match := re.search(re.escape(part.question) + r"\s+Answer: ([^\n]*)", said):
            quoted[number] = match[1].strip()
    return quoted


def _heading(question: str) -> str:
    return question.removeprefix("What is ").removesuffix("?")


def _skeleton(item: Item, *, continued: bool) -> str:
    listed = "\n".join(f"{i}. {_heading(part.question)}" for i, part in enumerate(item.parts, start=1))
    return listed.removeprefix("1.") if continued else listed


def _wrong(answer: str, rng: random.Random) -> str:
    """An answer of the same form that is not the right one."""
    numbers = list(re.finditer(r"\d+", answer))
    if not numbers:
        return answer + "?"
    which = rng.choice(numbers)
    value = int(which.group()) + rng.choice((-2, -1, 1, 2, 10))
    return answer[: which.start()] + str(abs(value)) + answer[which.end() :]
