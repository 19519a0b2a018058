"""Where an answer's text says what the answer is, and plain forms that can be compared."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any, Literal

from weaver._json_reading.json_types import is_object
from weaver._text.patterns import lazily
from weaver._text.shortening import one_line

NOTHING_FOUND = object()
"""What `json_value` gives for a text without JSON (None is a JSON value)."""

_MARKER = lazily(
    r"\b(?:answer|result)[ \t]{0,4}(?:\*\*|__)?[ \t]{0,4}(?:is[ \t]{0,4}:?|are[ \t]{0,4}:?|:|=)"
    r"(?:[\"\u201d']?[ \t]{1,4}is\b|[\"\u201d'](?=[ \t]))?[ \t]{0,4}(?:\*\*|__)?\s{0,4}(?=\S)",
    re.IGNORECASE,
)
_HASHES = lazily(r"^####\s*(?=\S)", re.MULTILINE)
_FENCE = lazily(r"```[\w+-]*[ \t]*\n(?P<body>.*?)```", re.DOTALL)
_SENTENCE_END = lazily(r"(?<=[^\d\s.][.!?])\s+(?=[A-Z(])|(?<=\d\.)\s+(?=[A-Z(])")
_ARTICLES = frozenset(("a", "an", "the"))
_KEYS = ("final_answer", "answer", "result", "value")
_SHORT_WORDS = 12
MARKED_WITHIN = 10_000
"""Characters at the end of a text in which its marked answer is looked for."""
LONGEST_VALUE = 2_000
"""Characters; longer texts are prose, and compared as they are but for spaces."""


def final_answer(text: str) -> str | None:
    r"""The part of ``text`` that is marked as the answer, trimmed; None when nothing is marked.

    Looks for, the last one of each counting: ``\boxed{...}``, ``#### ...``, a JSON object with a key
    ``answer``, and "(final) answer is ..." or "Answer: ...".
    """
    marked = _marked(text)
    if marked is None:
        return None
    kind, content = marked
    if kind == "json":
        return content.strip()
    if kind == "words":
        return trimmed(_SENTENCE_END.split(content[:500])[0]) or None
    return trimmed(content)


def written_answer(text: str) -> str:
    r"""The marked answer as it was written, to the end of its line; the whole text when nothing is marked.

    Marks are those of `final_answer`. Only space around the answer is taken off, and the emphasis that began
    before the mark.
    """
    marked = _marked(text)
    if marked is None:
        return text.strip()
    kind, content = marked
    content = content.strip()
    for emphasis in ("**", "__") if kind == "words" else ():
        before = text[: text.rfind(content)].rpartition("\n")[2]
        if content.endswith(emphasis) and before.count(emphasis) % 2 and content.count(emphasis) % 2:
            return content.removesuffix(emphasis).rstrip()
    return content


def _marked(text: str) -> tuple[Literal["boxed", "hashes", "json", "words"], str] | None:
    """Return how the last answer is marked, and what stands there, untrimmed."""
    text = text[-MARKED_WITHIN:]
    boxed = last_boxed(text)
    if boxed is not None:
        return "boxed", boxed
    if (hashed := _after_last(_HASHES, text)) is not None:
        return "hashes", hashed.partition("\n")[0]
    value = json_value(text) if "{" in text else NOTHING_FOUND
    if is_object(value):
        for key in _KEYS:
            if key in value:
                inner = value[key]
                return "json", inner if isinstance(inner, str) else json.dumps(inner, sort_keys=True)
    if (rest := _after_last(_MARKER, text)) is not None:
        return "words", rest.partition("\n")[0]
    return None


def final_part(text: str) -> str:
    r"""All that follows the mark of the answer, over several lines; the whole text when nothing is marked."""
    end = text[-MARKED_WITHIN:]
    for part in (last_boxed(end), _after_last(_HASHES, end), _after_last(_MARKER, end)):
        if part is not None:
            return part
    return text


def _after_last(mark: re.Pattern[str], text: str) -> str | None:
    marks = list(mark.finditer(text))
    return text[marks[-1].end() :] if marks else None


def answer_of(text: str) -> str:
    """The marked answer, or the whole text when nothing is marked."""
    return final_answer(text) or trimmed(text)


def shown(text: str, limit: int = 200) -> str:
    """A short form for people: the marked answer, or the text in one line, cut after ``limit`` characters."""
    return one_line(final_answer(text) or text, limit)


def is_short(text: str) -> bool:
    """Return True if a text is a value rather than prose: at most twelve words and no sentence break."""
    if len(text) > LONGEST_VALUE:
        return False
    return len(text.split()) <= _SHORT_WORDS and "\n" not in text.strip() and not _SENTENCE_END.search(text)


def last_boxed(text: str) -> str | None:
    r"""The content of the last ``\boxed{...}`` or ``\fbox{...}`` with balanced braces; None without one."""
    start = max(text.rfind("\\boxed"), text.rfind("\\fbox"))
    if start < 0:
        return None
    opened = text.find("{", start)
    if opened < 0:
        return None
    depth = 0
    for i in range(opened, len(text)):
        depth += {"{": 1, "}": -1}.get(text[i], 0)
        if depth == 0:
            return text[opened + 1 : i]
    return None


def json_value(text: str) -> Any:
    """The JSON value of a text: the whole text, its last fenced block, or its last object or array.

    Returns `NOTHING_FOUND` when there is none.
    """
    candidates = [text.strip(), *(m["body"].strip() for m in reversed(list(_FENCE.finditer(text))))]
    for candidate in candidates:
        value = _loaded(candidate)
        if value is not NOTHING_FOUND:
            return value
    return _embedded(text)


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return NOTHING_FOUND


def _embedded(text: str) -> Any:
    """The last object or array inside running text; bounded, so that a page of brackets costs little."""
    decoder = json.JSONDecoder()
    value: Any = NOTHING_FOUND
    position, tries = 0, 0
    while tries < 50 and (match := re.compile(r"[{\[]").search(text, position)):
        tries += 1
        try:
            value, position = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            position = match.start() + 1
    return value


def trimmed(text: str) -> str:
    r"""Strip the ornaments of an answer: markdown, quotes, ``$...$``, ``\text{}``, a final full stop."""
    text = text.strip()
    if len(text) > LONGEST_VALUE:
        return text
    before = None
    while text != before:
        before = text
        text = text.strip().strip("*_`").strip()
        if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'$":
            text = text[1:-1]
        if len(text) > 1 and text[0] == "\u201c" and text[-1] == "\u201d":
            text = text[1:-1]
        if text.startswith(("\\(", "\\[")) and text.endswith(("\\)", "\\]")):
            text = text[2:-2]
        if match := re.fullmatch(r"\\(?:text|mathrm|textbf|mathbf)\{([^{}]*)\}", text):
            text = match[1]
        if text.endswith(".") and not text.endswith("..."):
            text = text[:-1]
    return text


def plain(text: str) -> str:
    """Normalize words: Unicode compatibility form, no case, articles, punctuation or spare space."""
    if len(text) > LONGEST_VALUE:
        return " ".join(text.split())
    folded = unicodedata.normalize("NFKC", trimmed(text)).casefold()
    words = re.sub(r"[^\w\s%+-]|_", " ", folded).split()
    return " ".join(w for w in words if w not in _ARTICLES) or " ".join(words)


def plain_math(text: str) -> str:
    """Normalize a formula's text: no spaces, no sizing or display commands, one form of fractions."""
    if len(text) > LONGEST_VALUE:
        return "".join(text.split())
    text = unicodedata.normalize("NFKC", trimmed(text))
    text = re.sub(r"\\(?:left|right|displaystyle|,|;|!|quad|limits)(?![A-Za-z])", "", text)
    text = re.sub(r"\\[dt]frac", r"\\frac", text)
    text = re.sub(r"\\frac\s*(\d)\s*(\d)", r"\\frac{\1}{\2}", text)
    text = re.sub(r"\^\{(\w)\}", r"^\1", text)
    text = re.sub(r"\\text\{([^{}]*)\}", r"\1", text)
    return re.sub(r"\s+", "", text)
