"""Find the JSON in a whole text, and say where it is wrong. Nothing here raises, and time is linear."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from weaver._json_reading.json_types import Json
from weaver._json_reading.streaming import MAX_DEPTH, SURROGATE, THOUGHT_END, Found, JsonReader
from weaver._text.patterns import lazily

_TIDY_CHARS = 20_000
_MAX_PATCHES = 8
_COMMENT = lazily(r"\s*+(?://[^\n]*+|#[^\n]*+|/\*(?s:.*?)\*/)")
_FENCE = lazily(r"\A\s*```[\w-]*\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL)
# Strings are kept, comments and trailing commas go.
_TIDY = lazily(r'("(?:[^"\\]|\\.)*+")|//[^\n]*+|/\*(?s:.*?)\*/|,(?=\s*+[}\]])')
_THOUGHTS = lazily(r"<(think|thinking|thought|reasoning)>.*?(?:</\1>|\Z)", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Problem:
    """Where a text stops being JSON.

    Args:
        line, column: from 1.
        expected: what should stand there.
        got: what stands there, at most 20 characters.
    """

    line: int
    column: int
    expected: str
    got: str

    def __str__(self) -> str:
        got = f", not {self.got!r}" if self.got else "; the text ends"
        return f"line {self.line}, column {self.column}: expected {self.expected}{got}"


def read_json(text: str) -> list[Found]:
    """The JSON values in ``text``, in its order. Drafts inside ``<think>`` are left out.

    An exact or nearly exact text gives one value of any kind; a text with prose gives its objects and arrays.
    """
    exact, value = _strict(text)
    if not exact:
        text = without_thoughts(text)
        whole = text.strip().lstrip("\ufeff\u200b")
        if fence := _FENCE.match(whole):
            whole = fence.group(1)
        exact, value = _strict(whole)
        if not exact and whole[:1] in {"{", "["}:
            exact, value = _strict(_TIDY.sub(r"\1", whole) if len(whole) <= _TIDY_CHARS else _patched(whole))
    if exact:
        if isinstance(value, str) and value.lstrip()[:1] in {"{", "["}:
            inner, decoded = _strict(value)  # JSON inside a JSON string
            value = decoded if inner else value
        return [Found(value, exact=True)]
    reader = JsonReader()
    reader.feed(text)
    return reader.finish()


def problem_in(text: str) -> Problem | None:
    """Return where the JSON in ``text`` breaks the standard; None when it does not, or when there is none."""
    text = without_thoughts(text)
    start = min((at for at in (text.find("{"), text.find("[")) if at >= 0), default=-1)
    if start < 0:
        return None
    try:
        json.JSONDecoder().raw_decode(text, start)
    except RecursionError:
        return Problem(1, 1, f"at most {MAX_DEPTH} levels", text[:20])
    except json.JSONDecodeError as error:
        expected = error.msg.removeprefix("Expecting ").removesuffix(" at")
        return Problem(error.lineno, error.colno, expected, text[error.pos : error.pos + 20])
    except ValueError:
        return Problem(1, 1, "shorter numbers", text[:20])
    return None


def without_thoughts(text: str) -> str:
    """``text`` without what stands in ``<think>`` tags. The opening or the closing tag may be missing."""
    if "<" not in text:
        return text
    text = _THOUGHTS.sub(" ", text)
    ends = list(THOUGHT_END.finditer(text))  # the opening tag was in the prompt
    return text[ends[-1].end() :] if ends else text


def _patched(text: str) -> str:
    """A long text without the first few comments and trailing commas: each costs one pass in C."""
    for _ in range(_MAX_PATCHES):
        try:
            json.loads(text, strict=False)
        except json.JSONDecodeError as error:
            at = error.pos
            if comment := _COMMENT.match(text, at):
                text = text[:at] + text[comment.end() :]
                continue
            before, rest = text[:at].rstrip(), text[at:].lstrip(", \n\r\t")
            if rest[:1] not in {"}", "]"} or not (before.endswith(",") or text[at : at + 1] == ","):
                return text
            text = before.removesuffix(",") + rest
        except (ValueError, RecursionError):
            return text
        else:
            return text
    return text


def _strict(text: str) -> tuple[bool, Any]:
    try:
        value = json.loads(text, strict=False, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return False, None
    return True, _clean(value) if "\\ud" in text.lower() or SURROGATE.search(text) else value


def _clean(value: Json) -> Any:
    """``value`` without lone surrogates."""
    if isinstance(value, str):
        return SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        return {_clean(key): _clean(item) for key, item in value.items()}
    return value
