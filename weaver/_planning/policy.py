"""When to fork: rules on the task alone, before any call is made.

Objective: do not pay for a planner where forking cannot pay. The rules know nothing about the model's
skill and read surface features only: what the task enumerates and means (`weaver._planning.listed`),
several questions, comparisons, length. They know marks and words of a dozen languages. Whatever they are
unsure about is left to the planner, with a direct answer started beside it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Protocol

from weaver._data.task import Task
from weaver._planning.cues import COMPARISON, EACH, ONE_TEXT, SEVERAL
from weaver._planning.enumerations import questions_in
from weaver._planning.listed import Meaning, listing_in
from weaver._text.patterns import is_in, lazily

Lean = Literal["direct", "plan", "unsure"]

_NUMBERS = {
    word: number
    for words in (
        "two three four five six seven eight nine ten",
        "zwei drei vier fünf sechs sieben acht neun zehn",
        "deux trois quatre cinq six sept huit neuf dix",
        "dos tres cuatro cinco seis siete ocho nueve diez",
        "due tre quattro cinque sei sette otto nove dieci",
        "\u4e8c \u4e09 \u56db \u4e94 \u516d \u4e03 \u516b \u4e5d \u5341",
    )
    for number, word in enumerate(words.split(), 2)
} | {"\u4e24": 2}
_COUNTED = lazily(
    rf"\b(\d{{1,2}}|{'|'.join(_NUMBERS)})\s+(?:[\w-]+\s+)?"
    r"(?:sections|paragraphs|chapters|articles|essays|poems|stories|letters|emails|descriptions|summaries|"
    r"absätzen?|abschnitten?|kapiteln?|gedichten?|paragraphes|chapitres|párrafos|secciones|capítulos|paragrafi|"
    r"capitoli|parágrafos|seções|абзац\w{0,2}|раздел\w{0,2})\b|"
    r"(\d{1,2}|[\u4e8c\u4e24\u4e09\u56db\u4e94\u516d\u4e03\u516b\u4e5d\u5341])\s?(?:\u4e2a|\u7bc7|\u6bb5|\u7ae0|\u3064\u306e)?"
    r"(?:\u90e8\u5206|\u7ae0\u8282|\u6bb5\u843d|\u5c0f\u8282|\u6bb5|\u7ae0|\u7bc7)",
    re.IGNORECASE,
)
_WORD = lazily(r"\w+")
_NUMBER = lazily(r"(?<![\w.])\d+(?:\.\d+)?")
_CHAIN = lazily(
    r"(?:[,;.]|\b(?:and|und|et|y|e|i|en|и))\s+(?:then|after that|afterwards|dann|danach|anschließend|puis|"
    r"ensuite|luego|después|poi|quindi|depois|daarna|затем|потом)\b|"
    r"\A\s*(?:start|begin) (?:with|at|from) (?:the number )?\d|"
    r"(?:\u7136\u540e|\u63a5\u7740|\u6700\u540e|\u6b21\u306b|\u305d\u308c\u304b\u3089|\u305d\u306e\u5f8c|[,\uff0c]\u518d)",
    re.IGNORECASE,
)
_AND = lazily(
    r"\b(?:and|und|et|y|e|en|och|и)\b|[\u3001\u548c\u4e0e\u8ddf\u53ca\u3068\u3084]|:[^\n:]{0,200},[^\n:]{0,200},",
    re.IGNORECASE,
)
_JOINED = lazily("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_QUESTION_WORD = lazily(r"\b(what|who|when|where|which|why|how)\b", re.IGNORECASE)
_ITEMS: dict[Meaning, str] = {
    "sections": "sections",
    "tasks": "tasks",
    "last": "items, the last about the others",
}
SHORT_WORDS = 12
FEW_WORDS = 60
END_CHARS = 4000
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

    listing: Meaning | None = None
    joined: bool = False
    one_text: bool = False

    @classmethod
    def of(cls, task: Task) -> Features:
        """Read the features of the user's question."""
        return _features(task.user_words)


@lru_cache(maxsize=16)  # a thread asks for the same several times at its beginning
def _features(text: str) -> Features:
    listing = listing_in(text)
    if len(text) > 2 * END_CHARS:  # what is wanted stands at the beginning or at the end
        text = f"{text[:END_CHARS]}\n{text[-END_CHARS:]}"
    return Features(
        words=_count_words(text),
        questions=questions_in(text),
        items=0 if listing is None else len(listing.items.items),
        compares=compares(text),
        several=is_in(SEVERAL, text),
        clauses=len(_QUESTION_WORD.findall(text)),
        counted=_counted(text),
        numbers=len(_NUMBER.findall(text)),
        chained=is_in(_CHAIN, text),
        listing=None if listing is None else listing.meaning,
        joined=is_in(_AND, text),
        one_text=ONE_TEXT.match(text) is not None and not is_in(EACH, text),
    )


def compares(text: str) -> bool:
    """Tell whether a text asks for a comparison."""
    return is_in(COMPARISON, text)


def _count_words(text: str) -> int:
    """Count words; scripts without blanks have about one in two characters."""
    if text.isascii():
        return len(text.split())
    joined = len(_JOINED.findall(text))
    return len(_JOINED.sub(" ", text).split()) + (joined + 1) // 2


def _counted(text: str) -> int:
    """Count the sections, paragraphs or texts are asked for; 0 where no number says it."""
    if text.isascii() and not any(
        word in _NUMBERS or (word.isdigit() and len(word) <= 2) for word in _WORD.findall(text.lower())
    ):
        return 0  # most texts: without a number there is nothing to look for
    match = _COUNTED.search(text)
    if match is None:
        return 0
    number = (match[1] or match[2]).lower()
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

    name = "rules/4"

    def judge(self, task: Task) -> Judgement:
        """See the module's docstring for what the rules know and do not know."""
        f = Features.of(task)
        if f.listing == "steps":
            return Judgement("direct", f"the {f.items} items are steps, and each needs the one before")
        if f.listing == "together":
            return Judgement(
                "direct" if f.words <= FEW_WORDS else "unsure", "one answer is asked about all items"
            )
        if f.listing == "open":
            return Judgement("unsure", f"the task lists {f.items} items, which may or may not be parts")
        if f.listing is not None:
            return Judgement("plan", f"the task lists {f.items} {_ITEMS.get(f.listing, 'items')}")
        if f.questions >= 2:
            return Judgement("plan", f"the task asks {f.questions} questions")
        if f.counted >= 2:
            return Judgement("plan", f"the task asks for {f.counted} texts or sections")
        if f.compares:
            return Judgement("plan", "the task compares things")
        if f.several:
            return Judgement("plan", "the task asks for the same of several things")
        if f.one_text:
            return Judgement("direct", "the task asks for one short text")
        if f.chained:
            return Judgement("direct", "each step needs the one before")
        if f.numbers >= MANY_NUMBERS:
            return Judgement("unsure", f"a calculation with {f.numbers} numbers may have independent parts")
        if f.words <= SHORT_WORDS and f.clauses <= 1 and not f.joined:
            return Judgement("direct", f"one short question ({f.words} words)")
        return Judgement("unsure", "the task may or may not have independent parts")


POLICIES: dict[str, Policy] = {"rules": Rules()}
"""By the names that users type."""
