"""Generators whose parallel structure is known, so that "when does forking pay" can be measured.

``independent`` parts need nothing of each other; a ``tree`` (sum, product, sorting) can be reduced in
pairs; a ``chain`` needs each step's result for the next; ``mixed`` has independent chains whose results are
added.
"""

from __future__ import annotations

import inspect
import math
import random
from collections.abc import Callable
from typing import Any

from weaver._evals.graders import grader
from weaver._evals.items import Item, Part
from weaver._json_reading.json_types import is_list_or_tuple
from weaver.errors import ConfigurationError, UnknownNameError

Make = Callable[..., tuple[str, str, tuple[Part, ...]]]


def independent(rng: random.Random, *, parts: int = 4, digits: int = 2) -> tuple[str, str, tuple[Part, ...]]:
    """``parts`` sums of two numbers, none of which needs another; the answer lists them in order."""
    pairs = [(_number(rng, digits), _number(rng, digits)) for _ in range(parts)]
    lines = "\n".join(f"{i + 1}. {a} + {b}" for i, (a, b) in enumerate(pairs))
    pieces = tuple(Part(f"What is {a} + {b}?", str(a + b)) for a, b in pairs)
    question = f"Work out each of these sums:\n{lines}\nGive the results in order, separated by commas."
    return question, ", ".join(p.answer for p in pieces), pieces


def tree_sum(rng: random.Random, *, terms: int = 8, digits: int = 2) -> tuple[str, str, tuple[Part, ...]]:
    """The sum of ``terms`` numbers: can be added in pairs, pairs of pairs, and so on."""
    numbers = [_number(rng, digits) for _ in range(terms)]
    return f"What is {' + '.join(map(str, numbers))}?", str(sum(numbers)), _reduced(numbers, "+", sum)


def tree_product(
    rng: random.Random, *, factors: int = 4, digits: int = 1
) -> tuple[str, str, tuple[Part, ...]]:
    """The product of ``factors`` numbers of at least 2: can be multiplied in pairs."""
    numbers = [max(2, _number(rng, digits)) for _ in range(factors)]
    parts = _reduced(numbers, "*", math.prod)
    return f"What is {' * '.join(map(str, numbers))}?", str(math.prod(numbers)), parts


def chain(rng: random.Random, *, steps: int = 4, digits: int = 1) -> tuple[str, str, tuple[Part, ...]]:
    """``steps`` operations, each on the result of the one before: nothing can run beside anything."""
    value, text, parts = _chain(rng, steps, digits)
    return f"{text} What is the result?", str(value), parts


def mixed(
    rng: random.Random, *, chains: int = 3, steps: int = 3, digits: int = 1
) -> tuple[str, str, tuple[Part, ...]]:
    """``chains`` independent chains of ``steps`` operations, and the sum of their results."""
    texts: list[str] = []
    values: list[int] = []
    parts: list[Part] = []
    for i in range(chains):
        value, text, own = _chain(rng, steps, digits)
        base = len(parts)
        parts += [Part(p.question, p.answer, tuple(base + j for j in p.after)) for p in own]
        texts.append(f"{chr(65 + i % 26)}: {text}")
        values.append(value)
    ends = tuple((i + 1) * len(parts) // chains - 1 for i in range(chains))
    parts.append(Part(f"What is {' + '.join(map(str, values))}?", str(sum(values)), ends))
    joined = "\n".join(texts)
    return f"{joined}\nWhat is the sum of the {chains} results?", str(sum(values)), tuple(parts)


def sorting(rng: random.Random, *, numbers: int = 6, digits: int = 2) -> tuple[str, str, tuple[Part, ...]]:
    """``numbers`` different numbers to be sorted: halves can be sorted on their own and merged."""
    low, high = 10 ** (digits - 1), 10**digits - 1
    drawn = rng.sample(range(low, high + 1), min(numbers, high - low + 1))
    half = len(drawn) // 2
    parts = tuple(
        Part(_sort(piece), _listed(sorted(piece)), after, work=len(piece))
        for piece, after in ((drawn[:half], ()), (drawn[half:], ()), (drawn, (0, 1)))
    )
    return _sort(drawn), _listed(sorted(drawn)), parts


GENERATORS: dict[str, tuple[Make, str, str]] = {
    "independent": (independent, "independent", "list"),
    "tree_sum": (tree_sum, "tree", "number"),
    "tree_product": (tree_product, "tree", "number"),
    "chain": (chain, "chain", "number"),
    "mixed": (mixed, "mixed", "number"),
    "sorting": (sorting, "tree", "list"),
}
"""Name to (function, structure, grader)."""


def generate(name: str, *, n: int, seed: int, options: dict[str, Any]) -> tuple[Item, ...]:
    """``n`` items of one of `GENERATORS`; item ``i`` depends on the seed and ``i`` only.

    Args:
        options: the generator's parameters; a pair (low, high) draws each item's own.

    Raises:
        UnknownNameError: no such parameter.
        ConfigurationError: a value is not a whole number of at least 1 (2 where two are needed).
    """
    make, structure, judged = GENERATORS[name]
    keywords = [p.name for p in inspect.signature(make).parameters.values() if p.kind is p.KEYWORD_ONLY]
    for key, value in options.items():
        if key not in keywords:
            raise UnknownNameError(f"parameter of task {name!r}", key, keywords)
        low, high = value if is_list_or_tuple(value) else (value, value)
        least = 1 if key == "digits" else 2
        whole = all(isinstance(v, int) and not isinstance(v, bool) for v in (low, high))
        if not whole or not least <= low <= high <= 1000:
            raise ConfigurationError(
                f"Parameter {key} of task {name!r} is {value!r}.",
                hint=f"Give a whole number from {least}, or a range such as {least}..{least + 3}.",
            )
    items: list[Item] = []
    for i in range(n):
        rng = random.Random(f"{name}/{seed}/{i}")
        drawn = {k: rng.randint(*v) if is_list_or_tuple(v) else v for k, v in options.items()}
        question, answer, parts = make(rng, **drawn)
        items.append(Item(str(i), question, answer, grader(judged), structure, parts, dict(drawn)))
    return tuple(items)


def _number(rng: random.Random, digits: int) -> int:
    return rng.randint(10 ** (digits - 1), 10**digits - 1)


def _sort(numbers: list[int]) -> str:
    return f"Sort these numbers from smallest to largest: {_listed(numbers)}"


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))


def _reduced(numbers: list[int], sign: str, total: Callable[[list[int]], int]) -> tuple[Part, ...]:
    """The parts of a reduction in pairs."""
    parts: list[Part] = []
    level: list[tuple[int, int | None]] = [(n, None) for n in numbers]
    while len(level) > 1:
        above: list[tuple[int, int | None]] = []
        for (a, i), (b, j) in zip(level[::2], level[1::2], strict=False):
            value = total([a, b])
            parts.append(
                Part(f"What is {a} {sign} {b}?", str(value), tuple(k for k in (i, j) if k is not None))
            )
            above.append((value, len(parts) - 1))
        level = above + level[len(level) // 2 * 2 :]
    return tuple(parts)


def _chain(rng: random.Random, steps: int, digits: int) -> tuple[int, str, tuple[Part, ...]]:
    value = _number(rng, digits)
    sentences = [f"Start with {value}."]
    parts: list[Part] = []
    for i in range(steps):
        other = _number(rng, digits)
        if rng.random() < 0.5 and value > other:
            sentences.append(f"Subtract {other}.")
            question, value = f"What is {value} - {other}?", value - other
        else:
            sentences.append(f"Add {other}.")
            question, value = f"What is {value} + {other}?", value + other
        parts.append(Part(question, str(value), (i - 1,) if i else ()))
    return value, " ".join(sentences), tuple(parts)
