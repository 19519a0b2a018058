"""Claims: the statements of a thread that can be compared with those of other threads.

A thread is asked to end its answer with a fenced block of JSON. What is in it is data of a model: anything
malformed is dropped, never an error, and the block is taken out of the answer.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from weaver._coordination.values.final import NOTHING_FOUND, json_value
from weaver._coordination.values.quantities import Quantity, quantity
from weaver._coordination.values.scalars import Value, read_value, same_value
from weaver._data.result import Answer, Claim
from weaver._data.task import Task
from weaver._json_reading.json_types import is_array, is_object
from weaver._runtime.run import Run
from weaver._runtime.threads.thread_options import Body

MAX_CLAIMS = 24
REQUEST = """\
After your answer, list its main factual results as claims, so that they can be compared with those of \
others. End with exactly one block of this form and write nothing after it:

```claims
[{"subject": "Paris", "attribute": "population in 2020", "value": "2.1", "unit": "million people", \
"confidence": 0.8, "evidence": "what the value rests on"}]
```

Put every condition (year, place, case) into the attribute. One value per claim, digits for numbers. \
"confidence" is the probability from 0 to 1 that the value is right, honestly judged. "evidence" says in one \
sentence what the value rests on. List only results that the answer states, eight at most; write [] if there \
are none."""

# Bounded repetitions: whatever a model writes, reading it takes linear time.
_BLOCK = re.compile(
    r"(?<![`~])(?P<fence>`{3,16}|~{3,16})[ \t]{0,8}claims\b[^\n]*\n(?P<body>.*?)"
    r"(?:\n[ \t]{0,8}(?P=fence)[`~]{0,16}[ \t]{0,8}(?=\n|$)|$)",
    re.DOTALL | re.IGNORECASE,
)
_JSON_BLOCK = re.compile(
    r"(?<!`)(?P<fence>`{3,16})[ \t]{0,8}(?:json)?[ \t]{0,8}\n(?P<body>[^`]*)(?P=fence)\s*\Z"
)
_WORDS_OF_CONFIDENCE = {
    "certain": 0.99,
    "very high": 0.95,
    "high": 0.85,
    "medium": 0.6,
    "moderate": 0.6,
    "low": 0.3,
}


class _Written(BaseModel):
    """A claim as a model writes it."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    subject: str = Field(min_length=1, max_length=300)
    attribute: str = Field(min_length=1, max_length=300)
    value: str = Field(min_length=1, max_length=500)
    unit: str = Field(default="", max_length=60)
    confidence: float | None = None
    evidence: str = ""

    @field_validator("subject", "attribute", "value", "unit", "evidence", mode="before")
    @classmethod
    def _one_line(cls, value: Any) -> Any:
        if value is None:
            return ""
        if isinstance(value, bool):
            return "yes" if value else "no"
        return " ".join(value.split()) if isinstance(value, str) else value

    @field_validator("evidence", mode="after")
    @classmethod
    def _short(cls, value: str) -> str:
        return value[:1000]

    @field_validator("confidence", mode="before")
    @classmethod
    def _probability(cls, value: Any) -> float | None:
        if isinstance(value, str):
            if (word := value.strip().casefold()) in _WORDS_OF_CONFIDENCE:
                return _WORDS_OF_CONFIDENCE[word]
            read = quantity(value)
            value = float(read.value) if read is not None else None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return None
        if 1 < value <= 100:
            value = value / 100
        return float(value) if 0 <= value <= 1 else None


def asking_for_claims(task: Task) -> Task:
    """``task`` for a thread that is told, in its guidance, to end with claims.

    In the guidance and not in the prompt, so that a planner that splits the task further never sees it.
    """
    return replace(task, guidance="\n\n".join(filter(None, (task.guidance, REQUEST))))


def with_claims(answer: Answer) -> Answer:
    """``answer`` with the claims of its block, which is taken out of the text.

    Text that is nothing but the block is kept as it is, without the fence, so that no answer becomes empty.
    """
    text, claims = split_claims(answer.text)
    if not text and answer.text.strip():
        text = "; ".join(f"{c.subject}, {c.attribute}: {written(c)}" for c in claims) or answer.text
    return replace(answer, text=text, claims=(*answer.claims, *claims))


def claiming(body: Body | None = None) -> Body:
    """A thread's body that returns claims beside its answer.

    Asks for none where the model is small (one thing at a time) or the output has its own schema.

    Args:
        body: what the thread does; by default `Run.reason`.
    """

    async def claim(run: Run, task: Task) -> Answer:
        if task.output is None and not (await run.capabilities()).small:
            task = asking_for_claims(task)
        answer = await (body(run, task) if body is not None else run.reason(task))
        return with_claims(answer)

    return claim


def split_claims(text: str) -> tuple[str, tuple[Claim, ...]]:
    """The text without its block of claims, and the claims that are well formed.

    Takes the last block marked ``claims``, also one that was cut off; or JSON at the very end, fenced or not,
    if it holds nothing but claims.
    """
    blocks = list(_BLOCK.finditer(text))
    if blocks:
        return _BLOCK.sub("", text).strip(), _parsed(blocks[-1]["body"])
    ending = _JSON_BLOCK.search(text)
    start, body = (ending.start(), ending["body"]) if ending is not None else _array_at_end(text)
    if body and (claims := _parsed(body, strict=True)):
        return text[:start].strip(), claims
    return text.strip(), ()


def _array_at_end(text: str) -> tuple[int, str]:
    """Return the start of an array that ends the text on its own lines, and the array; "" if none."""
    text = text.rstrip()
    at = len(text) if text.endswith("]") else 0
    for _ in range(MAX_CLAIMS):
        at = text.rfind("[", 0, at)
        if at < 0:
            break
        if not text[:at].rpartition("\n")[2].strip() and isinstance(json_value(text[at:]), list):
            return at, text[at:]
    return 0, ""


def _parsed(body: str, *, strict: bool = False) -> tuple[Claim, ...]:
    value = json_value(body)
    if is_object(value):
        value = value.get("claims", [value])
    if value is NOTHING_FOUND or not is_array(value):
        return ()
    claims: list[Claim] = []
    for item in value[:MAX_CLAIMS]:
        try:
            read = _Written.model_validate(item)
        except ValidationError:
            if strict:
                return ()
            continue
        claims.append(
            Claim(read.subject, read.attribute, read.value, read.unit, read.confidence, read.evidence)
        )
    return tuple(claims)


def written(claim: Claim) -> str:
    """The value with its unit, for people: "2.1 million people", "$5"."""
    unit = claim.unit.strip()
    if not unit or unit.casefold() in claim.value.casefold():
        return claim.value
    return f"{unit}{claim.value}" if unit in ("$", "€", "£", "¥", "₹") else f"{claim.value} {unit}"


def value_of(claim: Claim) -> Quantity | Value | None:
    """The claim's value in a form that can be compared. "2.1", unit "million people" is 2.1 million."""
    read = read_value(written(claim))
    if isinstance(read, Quantity):
        return read
    return read_value(claim.value, claim.unit)


def same_claimed(a: Any, b: Any) -> bool | None:
    """True if two values of claims can both hold: numbers may be rounded; None when it cannot be told."""
    return same_value(a, b, rounding=True)
