"""How long a direct answer will be, before any call: from the task's words, corrected by what came before."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from weaver._data.task import Task
from weaver._models.costs import EndpointCosts
from weaver._planning.policy import Features
from weaver._text.patterns import lazily

Nature = Literal["length asked for", "items", "worked items", "prose", "question"]

TOKENS_PER_WORD = 1.4
REPEATED = 0.1
"""Part of the work that threads do twice (introductions, the question said again), until it is measured."""
PRIORS: dict[Nature, int] = {"items": 60, "worked items": 90, "prose": 500, "question": 120}
"""Tokens: of each item, else of the whole answer."""
_ASKED = lazily(
    r"\b(\d{2,5})(?:\s*(?:-|\u2013|to|or)\s*(\d{2,5}))?[\s-]*(words?|tokens?|Wörtern?|Worte?|mots|palabras)\b",
    re.IGNORECASE,
)
_EACH = lazily(r"\b(each|every|per|apiece|je|jeweils|jede[rns]?|chaque|chacune?|cada)\b", re.IGNORECASE)
_COUNTED = lazily(r"\b(sections|paragraphs|chapters|entries|parts) of (about|around|roughly|some|up to)?\b")
_WORKED = lazily(
    r"\b(?:step[- ]by[- ]step|show (?:all |the |your |every )?(?:steps?|work(?:ing)?)|"
    r"explain (?:each|every|how|why)|"
    r"derive|prove|schritt für schritt|rechenweg|étape par étape|paso a paso|passo dopo passo)\b|"
    r"\u4e00\u6b65\u4e00\u6b65|\u8be6\u7ec6\u6b65\u9aa4",
    re.IGNORECASE,
)
_PROSE = lazily(
    r"\b(essay|report|article|story|chapters?|sections?|guide|tutorial|overview|review|proposal|plan|"
    r"compar(?:e|ing|ison)|detailed?|in depth|thorough(?:ly)?|comprehensive|paragraphs?|pages?)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Length:
    """How much is expected to be written.

    Attributes:
        tokens: of a direct answer.
        written: of all threads of a fork.
        nature: what the estimate rests on; answers of one nature correct each other.
        asked: the task asks for a length for each of several parts.
        uncorrected: the estimate without what earlier answers say.
    """

    tokens: int
    written: int
    nature: Nature
    asked: bool = False
    uncorrected: float = 0.0


def direct_length(task: Task, parts: int, costs: EndpointCosts) -> Length:
    """Estimate the length of a direct answer to ``task``.

    Args:
        parts: independent parts that are known or guessed; 1 where there are none.
        costs: of the model; its earlier answers of the same nature correct the estimate.
    """
    text = task.user_words
    tokens, nature, each = _read(text, max(1, parts), compares=Features.of(task).compares)
    if task.max_tokens is not None:
        tokens = min(tokens, task.max_tokens)
    # A direct answer says little about threads, which repeat the question, and the other way round.
    direct, fork = (costs.known_bias(f"{way} length: {nature}") for way in ("direct", "fork"))
    written = tokens * (fork or (direct or 1.0) * (1 + REPEATED))
    corrected = tokens * (direct or (fork / (1 + REPEATED) if fork else 1.0))
    return Length(max(8, round(corrected)), max(8, round(written)), nature, each and parts > 1, tokens)


def expected_tokens(task: Task, parts: int) -> float:
    """Estimate the length of a direct answer from the task's words alone."""
    tokens, _, _ = _read(task.user_words, parts, compares=Features.of(task).compares)
    return tokens


def _read(text: str, parts: int, *, compares: bool) -> tuple[float, Nature, bool]:
    if matches := list(_ASKED.finditer(text)):
        sizes = [
            (int(low) + int(high or low)) / 2 * (1.0 if unit.lower().startswith("token") else TOKENS_PER_WORD)
            for low, high, unit in (match.groups() for match in matches)
        ]
        each = bool(_EACH.search(text) or _COUNTED.search(text)) and len(set(sizes)) == 1
        return (sizes[0] * parts if each else sum(sizes)), "length asked for", each
    if _PROSE.search(text) or compares:
        return PRIORS["prose"] * max(1.0, parts / 4), "prose", False
    if parts > 1:
        nature: Nature = "worked items" if _WORKED.search(text) else "items"
        return PRIORS[nature] * parts, nature, False
    return PRIORS["question"], "question", False
