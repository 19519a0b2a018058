"""Equivalence of mathematical answers: cheap comparison here, algebra by ``math-verify`` in a process apart.

A formula that a model wrote can keep a computer algebra system busy for ever (``9^{9^{9^9}}``). So it is
never evaluated in this process, and the one that does is killed when its time is up
(docs/decisions/0050-mathematics-apart.md).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import anyio

from weaver._coordination.answers.protocol import Equivalence
from weaver._coordination.values.final import answer_of, plain_math
from weaver._coordination.values.quantities import Quantity, quantity
from weaver.errors import ConfigurationError

_MAX_CHARS = 2_000
_MAX_PAIRS = 64


@dataclass(frozen=True, slots=True)
class Formula:
    """A mathematical answer: its text without ornaments, and its number if it is just one."""

    text: str
    number: Quantity | None


def read_formula(text: str) -> Formula | None:
    """The marked answer (or the whole text) as a formula; None when it is empty."""
    answer = answer_of(text)
    form = plain_math(answer)
    return Formula(form, quantity(answer)) if form else None


def same_formula(a: Formula, b: Formula) -> bool | None:
    """Equal as text or as numbers; None when algebra would be needed to tell."""
    if a.text == b.text:
        return True
    if a.number is not None and b.number is not None:
        return a.number.agrees(b.number)
    return None


def mathematics(*, seconds: float = 10.0) -> Equivalence:
    """Answers that are the same by algebra: fractions, roots, sets, intervals, equations, polynomials.

    Args:
        seconds: time that one question to the algebra process may take, its start (about a second) included.
            Pairs that are not decided by then count as different.

    Raises:
        ConfigurationError: the extra ``math`` is not installed.
    """
    if find_spec("math_verify") is None:
        raise ConfigurationError(
            "The equivalence 'math' needs the package math-verify, which is not installed.",
            hint="Install it with: pip install 'weaver-reasoning[math]'. Or use 'number' or 'auto'.",
        )

    async def arbiter(pairs: Sequence[tuple[str, str]]) -> Sequence[bool | None]:
        return await compare_by_algebra(pairs, seconds=seconds)

    return Equivalence("math", read_formula, same_formula, arbiter)


async def compare_by_algebra(pairs: Sequence[tuple[str, str]], *, seconds: float = 10.0) -> list[bool | None]:
    """Ask a fresh algebra process about ``pairs`` of texts. None for what it could not decide in time.

    The process gets the texts as JSON on its standard input and nothing else; cancelling kills it.
    """
    formulas = [(answer_of(a), answer_of(b)) for a, b in pairs[:_MAX_PAIRS]]
    bounded = [pair if max(map(len, pair)) <= _MAX_CHARS else None for pair in formulas]
    path = os.pathsep.join(p for p in sys.path if p)
    result: list[bool | None] = [None] * len(pairs)
    with anyio.move_on_after(seconds):
        process = await anyio.run_process(
            [sys.executable, "-m", "weaver._coordination.answers.math_worker"],
            input=json.dumps(bounded).encode(),
            check=False,
            env={"PYTHONPATH": path, "PATH": os.environ.get("PATH", ""), "PYTHONUTF8": "1"},
        )
        for i, line in enumerate(process.stdout.decode(errors="replace").splitlines()[: len(bounded)]):
            result[i] = {"same": True, "different": False}.get(line.strip())
    return result
