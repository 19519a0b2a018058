"""Questions about documents of 1 to 50 context windows, with known answers."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

from weaver._coordination.values.mentions import quantities_in
from weaver._documents.sizes import tokens_in

CITIES = ("Oslo", "Lima", "Quito", "Riga", "Turin", "Porto")
NAMES = ("Ana", "Ben", "Carla", "David", "Elena", "Hugo", "Ines", "Jonas")
ITEMS = ("lamp", "chair", "book", "plant", "shirt", "table")
PROJECTS = ("Falcon", "Heron", "Osprey", "Kestrel", "Plover", "Wren", "Swift", "Merlin")
FILLER = (
    "The meeting began on time and the minutes were read.",
    "The office on the second floor was painted in spring.",
    "Visitors are asked to sign the book at the entrance.",
    "The bicycle stand behind the building was enlarged.",
    "Lunch is served between noon and half past one.",
    "The lift was inspected and found to be in order.",
    "New chairs were ordered for the large meeting room.",
    "The printer on the ground floor has been replaced.",
)


@dataclass(frozen=True, slots=True)
class LongTask:
    """A question about documents.

    Attributes:
        size: of the documents, in context windows.
        values: what a right answer has in it; of a count, the one number that it has to be.
    """

    kind: str
    size: int
    question: str
    documents: tuple[tuple[str, str], ...]
    values: tuple[str, ...]

    def grade(self, answer: str) -> float:
        """1 for a right answer; of a count, nearness counts too; of values, the share that is there."""
        if self.kind == "count":
            true = int(self.values[0])
            numbers = [float(q.written) for q in quantities_in(answer)]
            error = abs(numbers[-1] - true) / max(true, 1) if numbers else 1.0
            return 1.0 if error == 0 else max(0.0, min(0.99, 1 - error))
        present = [bool(re.search(rf"(?<!\d){value}(?!\d)", answer)) for value in self.values]
        return sum(present) / len(present)


def long_tasks(seed: int, window: int, sizes: list[int], each: int) -> Iterator[LongTask]:
    """``each`` tasks of every kind and size; the same for the same arguments."""
    for size in sizes:
        for number in range(each):
            rng = random.Random(f"{seed}/{size}/{number}")
            tokens = int(size * window * 0.9)
            yield _count(rng, size, tokens)
            yield _needle(rng, size, tokens)
            yield _contradiction(rng, size, tokens)


def _count(rng: random.Random, size: int, tokens: int) -> LongTask:
    city, lines, used, count = rng.choice(CITIES), [], 0, 0
    while used < tokens:
        place = rng.choice(CITIES)
        count += place == city
        line = f"Order {len(lines) + 1}: {rng.choice(NAMES)} from {place} bought a {rng.choice(ITEMS)}."
        used += tokens_in(line.encode()) + 1
        lines.append(line)
    text = "\n".join(lines) + "\n"
    return LongTask(
        "count", size, f"How many orders are from {city}?", (("orders.log", text),), (str(count),)
    )


def _prose(rng: random.Random, tokens: int, facts: list[str]) -> str:
    lines, used = [], 0
    while used < tokens:
        lines.append(rng.choice(FILLER))
        used += tokens_in(lines[-1].encode()) + 1
    for fact in facts:
        lines.insert(rng.randrange(len(lines)), fact)
    return "\n\n".join(lines) + "\n"


def _needle(rng: random.Random, size: int, tokens: int) -> LongTask:
    codes = {project: rng.randrange(1000, 10_000) for project in PROJECTS}
    facts = [f"The access code of project {project} is {code}." for project, code in codes.items()]
    wanted = rng.choice(PROJECTS)
    question = f"What is the access code of project {wanted}?"
    text = _prose(rng, tokens, facts)
    return LongTask("needle", size, question, (("handbook.txt", text),), (str(codes[wanted]),))


def _contradiction(rng: random.Random, size: int, tokens: int) -> LongTask:
    project, first = rng.choice(PROJECTS), rng.randrange(100, 500)
    second = first + rng.randrange(11, 99)
    texts = [
        _prose(rng, tokens // 2, [f"The budget of project {project} is {amount} thousand euros."])
        for amount in (first, second)
    ]
    question = f"What is the budget of project {project}? Say if the documents contradict each other."
    documents = (("january.txt", texts[0]), ("march.txt", texts[1]))
    return LongTask("contradiction", size, question, documents, (str(first), str(second)))
