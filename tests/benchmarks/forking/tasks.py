"""Tasks made by seed: some have parts that can be worked on at the same time, some have none."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tests.benchmarks.forking import words

LENGTH_TOLERANCE = 0.3
"""A part whose length is asked for may be this share longer or shorter."""


@dataclass(frozen=True, slots=True)
class Expected:
    """One part of a right answer.

    Attributes:
        values: any of these in the answer makes the part right.
        name: the part's name; for sections, where the part begins.
        length: words that were asked for, or None.
    """

    values: tuple[str, ...]
    name: str = ""
    length: int | None = None


@dataclass(frozen=True, slots=True)
class BenchmarkTask:
    """A question, whether it has independent parts, and what a right answer holds.

    Attributes:
        kind: name of its generator.
        forks: whether its parts can be worked on at the same time.
        parts: what is graded.
        words: words that the whole answer was asked to have, or None.
    """

    kind: str
    question: str
    forks: bool
    parts: tuple[Expected, ...] = ()
    words: int | None = None


@dataclass(frozen=True, slots=True)
class Grade:
    """How good an answer is, each figure from 0 to 1, or None where the task does not ask for it.

    Attributes:
        right: share of the parts with the right value.
        present: share of the sections that are there.
        length: share of the lengths asked for that are within 30 %.
    """

    right: float | None = None
    present: float | None = None
    length: float | None = None

    @property
    def quality(self) -> float | None:
        """Right parts or sections present; None where neither is asked for."""
        return self.right if self.right is not None else self.present


Make = Callable[[random.Random, int], BenchmarkTask]


def capitals(rng: random.Random, n: int) -> BenchmarkTask:
    """An enumeration in running text."""
    chosen = rng.sample(sorted(words.CAPITALS), n)
    start = rng.choice(
        ("What are the capitals of", "Name the capital of each of these countries:", "I need the capitals of")
    )
    parts = tuple(Expected((words.CAPITALS[name],), name) for name in chosen)
    return BenchmarkTask(
        "capitals", f"{start} {_listed(chosen)}{'?' if start.startswith('What') else '.'}", True, parts
    )


def plurals(rng: random.Random, n: int) -> BenchmarkTask:
    """The same small work on each of several words."""
    chosen = rng.sample(sorted(words.PLURALS), n)
    parts = tuple(Expected((words.PLURALS[name],), name) for name in chosen)
    return BenchmarkTask(
        "plurals",
        f"Write one sentence with the plural of each of these words: {'; '.join(chosen)}.",
        True,
        parts,
    )


def sums(rng: random.Random, n: int) -> BenchmarkTask:
    """Calculations that need nothing of each other."""
    pairs = [(rng.randint(12, 89), rng.randint(12, 89), rng.randint(2, 9)) for _ in range(n)]
    asked = _listed([f"{a} + {b} - {c}" for a, b, c in pairs])
    parts = tuple(Expected((str(a + b - c),), f"{a} + {b} - {c}") for a, b, c in pairs)
    return BenchmarkTask("sums", f"Work out {asked}. Show the steps of each.", True, parts)


def products(rng: random.Random, n: int) -> BenchmarkTask:
    """Word problems that need nothing of each other."""
    asked, parts = [], []
    for name in rng.sample(words.PEOPLE, n):
        a, b = rng.randint(3, 12), rng.randint(11, 30)
        thing = rng.choice(words.THINGS)
        asked.append(f"{name} buys {a} {thing} for {b} dollars each")
        parts.append(Expected((str(a * b),), name))
    return BenchmarkTask(
        "products",
        f"{'. '.join(asked)}. How much does each of them pay? Explain each step by step.",
        True,
        tuple(parts),
    )


def look_ups(rng: random.Random, n: int) -> BenchmarkTask:
    """Several questions about one small table."""
    people = rng.sample(words.PEOPLE, n + 3)
    rows = {name: (rng.choice(words.CITIES), rng.randint(20, 70)) for name in people}
    table = "\n".join(f"{name} | {city} | {age}" for name, (city, age) in rows.items())
    asked, parts = [], []
    for name in rng.sample(people, n):
        city, age = rows[name]
        if rng.random() < 0.5:
            asked.append(f"Where does {name} live?")
            parts.append(Expected((city,), name))
        else:
            asked.append(f"How old is {name}?")
            parts.append(Expected((str(age),), name))
    return BenchmarkTask("look_ups", f"Name | City | Age\n{table}\n\n{' '.join(asked)}", True, tuple(parts))


def comparisons(rng: random.Random, n: int) -> BenchmarkTask:
    """Two things, compared under several aspects."""
    (one, other), aspects = rng.choice(sorted(words.COMPARISONS.items()))
    chosen = rng.sample(aspects, min(n, len(aspects)))
    parts = tuple(Expected((aspect,), aspect) for aspect in chosen)
    return BenchmarkTask("comparisons", f"Compare {one} and {other}: {_listed(chosen)}.", True, parts)


def sections(rng: random.Random, n: int) -> BenchmarkTask:
    """A text in sections, each with a length asked for."""
    topic, names = rng.choice(sorted(words.SECTIONS.items()))
    chosen = rng.sample(names, min(n, len(names)))
    length = rng.choice((60, 80, 100))
    question = (
        f"Write a guide to {topic} with {words.NUMBERS[len(chosen)]} sections of about {length} words each: "
        f"{_listed(chosen)}."
    )
    parts = tuple(Expected((name,), name, length) for name in chosen)
    return BenchmarkTask("sections", question, True, parts, length * len(chosen))


def chains(rng: random.Random, n: int) -> BenchmarkTask:
    """Each step needs the result of the one before."""
    value = rng.randint(5, 40)
    steps = [f"Start with {value}"]
    for number in range(n):
        other = rng.randint(2, 9)
        if number % 3 == 1:
            steps.append("double it")
            value *= 2
        elif rng.random() < 0.5 and value > other:
            steps.append(f"subtract {other}")
            value -= other
        else:
            steps.append(f"add {other}")
            value += other
    return BenchmarkTask(
        "chains", f"{', then '.join(steps)}. What do you get?", False, (Expected((str(value),)),)
    )


def single_questions(rng: random.Random, n: int) -> BenchmarkTask:
    """One short question."""
    if rng.random() < 0.5:
        name = rng.choice(sorted(words.CAPITALS))
        return BenchmarkTask(
            "single_questions", f"What is the capital of {name}?", False, (Expected((words.CAPITALS[name],)),)
        )
    return BenchmarkTask("single_questions", rng.choice(words.QUESTIONS), False)


def stories(rng: random.Random, n: int) -> BenchmarkTask:
    """One text that is written in one piece."""
    length = rng.choice((80, 120, 150))
    who, where = rng.choice(words.HEROES), rng.choice(words.PLACES)
    return BenchmarkTask(
        "stories", f"Tell a short story of about {length} words about {who} {where}.", False, (), length
    )


FORKABLE: tuple[Make, ...] = (capitals, plurals, sums, products, look_ups, comparisons, sections)
WHOLE: tuple[Make, ...] = (chains, single_questions, stories)
WRITTEN = ("sections", "sums", "products")
"""Kinds with answers long enough for a fork to be faster: sectioned writing and worked sums."""
SIMPLE = ("chains", "single_questions")


def tasks(seed: int, each: int) -> Iterator[BenchmarkTask]:
    """``each`` tasks of every kind, and twice as many of those that have no parts; 2 to 8 parts."""
    for make in FORKABLE:
        for number in range(each):
            rng = random.Random(f"{make.__name__}/{seed}/{number}")
            yield make(rng, rng.randint(2, 8) if make is not sections else rng.randint(3, 6))
    for make in WHOLE:
        for number in range(2 * each):
            rng = random.Random(f"{make.__name__}/{seed}/{number}")
            yield make(rng, rng.randint(3, 6))


def grade(task: BenchmarkTask, answer: str) -> Grade:
    """Grade an answer by what can be checked without a judge."""
    if task.kind == "stories":
        return Grade(length=float(_within(len(answer.split()), task.words or 0)))
    if not task.parts:
        return Grade()
    if task.kind in ("sections", "comparisons"):
        texts = _sections(answer, [part.name for part in task.parts])
        present = sum(len(text.split()) >= 10 for text in texts) / len(texts)
        asked = [(text, part.length) for text, part in zip(texts, task.parts, strict=True) if part.length]
        length = (
            sum(_within(len(text.split()), words_) for text, words_ in asked) / len(asked) if asked else None
        )
        return Grade(present=present, length=length)
    right = sum(any(_stands(value, answer) for value in part.values) for part in task.parts)
    return Grade(right=right / len(task.parts))


def _within(words_: int, asked: int) -> bool:
    return abs(words_ - asked) <= LENGTH_TOLERANCE * asked


def _stands(value: str, text: str) -> bool:
    """Tell whether a value stands in a text as a word of its own; 1,200 is 1200."""
    plain = re.sub(r"(?<=\d),(?=\d{3})", "", text)
    return re.search(rf"(?<![\w.]){re.escape(value)}(?![\w])(?!\.\d)", plain, re.IGNORECASE) is not None


def _sections(text: str, names: Sequence[str]) -> list[str]:
    """The text of each section: from the line that begins with its name to that of the next."""
    starts: list[tuple[int, int]] = []
    for number, name in enumerate(names):
        heading = re.compile(
            rf"^[\W\d_]*(?:section \d+[\W_]*)?{re.escape(name)}\b.*$", re.IGNORECASE | re.MULTILINE
        )
        if (match := heading.search(text)) is not None:
            starts.append((match.start(), number))
    starts.sort()
    texts = [""] * len(names)
    ends = [*(start for start, _ in starts[1:]), len(text)]
    for (start, number), end in zip(starts, ends, strict=False):
        texts[number] = text[start:end]
    return texts


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
