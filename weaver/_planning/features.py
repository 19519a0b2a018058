"""What policies read of a task, as numbers: without a model, and of the user's own words only."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import get_args, get_origin

from weaver._data.conversation.sizes import conversation_tokens
from weaver._data.task import Task
from weaver._data.usage import estimate_tokens
from weaver._planning.gate.lengths import expected_tokens
from weaver._planning.listed import Meaning
from weaver._planning.part_questions import asks_one_answer
from weaver._planning.policy import Features, Lean, Rules
from weaver._text.patterns import lazily

VERSION = "1"
"""Changes with the meaning of any feature: what was fitted on others cannot be used."""
_CODE = lazily(r"```|^\s*(?:def |class |import |#include|public )|[;{}]\s*$", re.MULTILINE)
_TABLE = lazily(r"^\s*\|.*\|\s*$", re.MULTILINE)
_OPERATOR = lazily(r"\d\s*[-+*/x\u00d7\u00f7^=<>]\s*\(?\d")
_CHOICE = lazily(r"^\s*\(?[A-Da-d][).:]\s", re.MULTILINE)
_NOT_LATIN = lazily(r"[^\W\d_a-zA-Z\u00c0-\u024f]")
_QUESTION_WORDS = ("what", "who", "when", "where", "which", "why", "how")
_WRITING = lazily(
    r"\b(write|essay|story|poem|letter|email|article|report|schreib\w*|écris|escribe)\b", re.IGNORECASE
)
_READ_CHARS = 8000


def features_of(task: Task) -> dict[str, float]:
    """Return the features of ``task``, in a fixed order: counts as logarithms, marks as 0 or 1."""
    text = task.user_words
    read = text if len(text) <= _READ_CHARS else f"{text[: _READ_CHARS // 2]}\n{text[-_READ_CHARS // 2 :]}"
    f = Features.of(task)
    lean: Lean = Rules().judge(task).lean
    words = set(re.findall(r"[a-z]+", read.lower()))
    meanings: tuple[Meaning, ...] = get_args(Meaning)
    numbers: dict[str, float] = {
        "words": math.log1p(f.words),
        "questions": math.log1p(f.questions),
        "items": math.log1p(f.items),
        "clauses": math.log1p(f.clauses),
        "texts counted": math.log1p(f.counted),
        "numbers": math.log1p(f.numbers),
        "operators": math.log1p(len(_OPERATOR.findall(read))),
        "lines": math.log1p(read.count("\n")),
        "expected tokens": math.log1p(expected_tokens(task, max(1, f.items, f.questions, f.counted))),
        "context tokens": math.log1p(estimate_tokens(task.context) + conversation_tokens(task.earlier)),
        "tools": math.log1p(len(task.tools)),
        "parts": math.log1p(len(task.parts)),
    }
    marks: dict[str, bool] = {
        **{f"listing {meaning}": f.listing == meaning for meaning in meanings},
        **{f"asks {word}": word in words for word in _QUESTION_WORDS},
        "compares": f.compares,
        "several": f.several,
        "chained": f.chained,
        "joined": f.joined,
        "one text": f.one_text,
        "one answer": asks_one_answer(text),
        "writing": _WRITING.search(read) is not None,
        "code": _CODE.search(read) is not None,
        "table": _TABLE.search(read) is not None,
        "choices": _CHOICE.search(read) is not None,
        "typed": task.output is not None,
        "typed list": get_origin(task.output) in (list, dict),
        "media": bool(task.media),
        "not latin": _NOT_LATIN.search(read) is not None,
        "rules plan": lean == "plan",
        "rules direct": lean == "direct",
    }
    return numbers | {name: float(mark) for name, mark in marks.items()}


class TaskFeatures(Mapping[str, float]):
    """`features_of` a task, read when somebody looks at them: every thread decides, and few are looked at."""

    def __init__(self, task: Task) -> None:
        self._task: Task | None = task
        self._features: dict[str, float] = {}

    def __getitem__(self, name: str) -> float:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def __repr__(self) -> str:
        return repr(self._read())

    def __reduce__(self) -> tuple[type[dict[str, float]], tuple[dict[str, float]]]:
        return dict, (self._read(),)

    def _read(self) -> dict[str, float]:
        if self._task is not None:
            self._features, self._task = features_of(self._task), None
        return self._features
