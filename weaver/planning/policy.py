"""When to fork: rules on the task alone, before any call is made.

Objective: do not pay for a planner where forking cannot pay. The rules know nothing about the model's
skill and read surface features only (lists, several questions, comparisons, length); whatever they are
unsure about is left to the planner, with a direct answer started beside it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, Protocol

from weaver.task import Task

Lean = Literal["direct", "plan", "unsure"]

_ITEM = re.compile(r"^[ \t]{0,40}(?:[-*•]|\(?\d{1,2}[.)]|\(?[a-z][.)])[ \t]{1,40}\S", re.MULTILINE)
_COMPARE = re.compile(
    r"\b(compar(?:e|ing|ison)|versus|vs\.?|pros and cons|advantages and disadvantages|"
    r"differences? between)\b",
    re.IGNORECASE,
)
_SEVERAL = re.compile(
    r"\b(for each|each of|every one of|respectively|separately|both of|all of the following|the following)\b",
    re.IGNORECASE,
)
_WORDS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMBERS = {word: number for number, word in enumerate(_WORDS, 2)}
_COUNTED = re.compile(
    rf"\b(\d{{1,2}}|{'|'.join(_NUMBERS)})\s+(?:[\w-]+\s+)?"
    r"(?:sections|paragraphs|chapters|articles|essays|poems|stories|letters|emails|descriptions|summaries)\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?")
_CHAIN = re.compile(
    r"(?:[,;.]|\b(?:and|und|et|y))\s+(?:then|after that|afterwards|dann|danach|anschließend|puis|ensuite|"
    r"luego|después)\b|\A\s*(?:start|begin) (?:with|at|from) (?:the number )?\d",
    re.IGNORECASE,
)
_QUESTION_WORD = re.compile(r"\b(what|who|when|where|which|why|how)\b", re.IGNORECASE)
SHORT_WORDS = 12
MANY_NUMBERS = 6


@dataclass(frozen=True, slots=True)
class Features:
    """What can be read off a task without a model."""

    words: int
    questions: int
    items: int
    compares: bool
    several: bool
    clauses: int
    counted: int
    chained: bool
    numbers: int

    @classmethod
    def of(cls, task: Task) -> Features:
        """Features of the task's question."""
        text = own_words(task)
        return cls(
            words=len(text.split()),
            questions=text.count("?"),
            items=len(_ITEM.findall(text)),
            compares=bool(_COMPARE.search(text)),
            several=bool(_SEVERAL.search(text)),
            clauses=len(_QUESTION_WORD.findall(text)),
            counted=_counted(text),
            numbers=len(_NUMBER.findall(text)),
            chained=bool(_CHAIN.search(text)),
        )


def own_words(task: Task) -> str:
    """Return what the user asked, without lines that a program has added to the prompt.

    A program that adds lines puts the user's words into ``task.metadata["question"]``.
    """
    question = task.metadata.get("question")
    return question if isinstance(question, str) and question.strip() else task.question


def compares(text: str) -> bool:
    """Tell whether a text asks for a comparison."""
    return _COMPARE.search(text) is not None


def _counted(text: str) -> int:
    """Count the sections, paragraphs or texts are asked for; 0 where no number says it."""
    match = _COUNTED.search(text)
    if match is None:
        return 0
    number = match[1].lower()
    return _NUMBERS.get(number) or int(number)


@dataclass(frozen=True, slots=True)
class Judgement:
    """Which way a policy leans, and why."""

    lean: Lean
    reason: str


class Policy(Protocol):
    """Decides, without a model call, whether to ask a planner.

    Attributes:
        name: name and version; it stands in `Decision.policy`.
    """

    @property
    def name(self) -> str: ...

    def judge(self, task: Task) -> Judgement:
        """Lean towards a direct answer, towards planning, or leave it to the planner."""
        ...


class Rules:
    """The default policy."""

    name = "rules/3"

    def judge(self, task: Task) -> Judgement:
        """See the module's docstring for what the rules know and do not know."""
        f = Features.of(task)
        if f.items >= 2:
            return Judgement("plan", f"the task lists {f.items} items")
        if f.questions >= 2:
            return Judgement("plan", f"the task asks {f.questions} questions")
        if f.counted >= 2:
            return Judgement("plan", f"the task asks for {f.counted} texts or sections")
        if f.compares:
            return Judgement("plan", "the task compares things")
        if f.several:
            return Judgement("plan", "the task asks for the same of several things")
        if f.chained:
            return Judgement("direct", "each step needs the one before")
        if f.numbers >= MANY_NUMBERS:
            return Judgement("unsure", f"a calculation with {f.numbers} numbers may have independent parts")
        if f.words <= SHORT_WORDS and f.clauses <= 1 and " and " not in own_words(task).lower():
            return Judgement("direct", f"one short question ({f.words} words)")
        return Judgement("unsure", "the task may or may not have independent parts")


POLICIES: dict[str, Policy] = {"rules": Rules()}
"""By the names that users type."""
