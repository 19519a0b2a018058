"""Game of 24: reach 24 from four numbers. Every answer can be checked by arithmetic, so a verifier exists."""

from __future__ import annotations

import ast
import operator
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations

from weaver import Answer, Task
from weaver.verifiers import Verdict

TARGET = 24
_OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}
_SIGNS = {0x00D7: "*", 0x00F7: "/", 0x2212: "-"}
_EXPRESSION = re.compile(r"[-+*/() \d]{5,60}")


@dataclass(frozen=True, slots=True)
class Puzzle:
    """Four numbers from which 24 can be reached."""

    numbers: tuple[int, ...]

    @property
    def question(self) -> str:
        shown = ", ".join(map(str, self.numbers))
        return (
            f"Use the numbers {shown}, each exactly once, with + - * / and parentheses, to make {TARGET}. "
            f"Write the expression on the last line, such as: (1 + 3) * (2 + 4)"
        )

    @property
    def task(self) -> Task:
        return Task(prompt=self.question, metadata={"verifier": self.check})

    def grade(self, answer: str) -> float:
        """1 if any expression of the last three lines uses each number once and makes 24."""
        lines = answer.translate(_SIGNS).strip().splitlines()[-3:]
        expressions = [match[0] for line in lines for match in _EXPRESSION.finditer(line)]
        return float(any(self._is_solution(expression) for expression in expressions))

    async def check(self, answer: Answer) -> Verdict:
        """Tell whether an answer is a solution, as the rules of the game do."""
        is_right = bool(self.grade(answer.text))
        return Verdict(is_right, "" if is_right else f"No expression makes {TARGET} with these numbers.")

    def _is_solution(self, text: str) -> bool:
        try:
            tree = ast.parse(text.strip(" *"), mode="eval").body
            return _value(tree) == TARGET and _numbers(tree) == Counter(self.numbers)
        except (SyntaxError, ValueError, ZeroDivisionError):
            return False


def puzzles(seed: int, count: int) -> Iterator[Puzzle]:
    """Return ``count`` puzzles with numbers from 1 to 13 that can be solved."""
    rng = random.Random(f"game24/{seed}")
    while count:
        puzzle = Puzzle(tuple(sorted(rng.randint(1, 13) for _ in range(4))))
        if is_solvable([Fraction(number) for number in puzzle.numbers]):
            count -= 1
            yield puzzle


def is_solvable(numbers: Sequence[Fraction]) -> bool:
    """Tell whether 24 can be reached, by trying all."""
    if len(numbers) == 1:
        return numbers[0] == TARGET
    for i, j in combinations(range(len(numbers)), 2):
        a, b = numbers[i], numbers[j]
        rest = [number for k, number in enumerate(numbers) if k not in (i, j)]
        results = {a + b, a - b, b - a, a * b} | {x / y for x, y in ((a, b), (b, a)) if y}
        if any(is_solvable([*rest, result]) for result in results):
            return True
    return False


def _value(node: ast.expr) -> Fraction:
    match node:
        case ast.Constant(value=int(value)):
            return Fraction(value)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left), _value(right))
        case _:
            raise ValueError("no arithmetic")


def _numbers(node: ast.expr) -> Counter[int]:
    return Counter(n.value for n in ast.walk(node) if isinstance(n, ast.Constant))
