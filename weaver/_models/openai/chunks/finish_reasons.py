"""The words with which servers say why an answer ended."""

from __future__ import annotations

import re

from weaver._models.protocol import FinishReason

_KNOWN: dict[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "complete": "stop",
    "success": "stop",
    "length": "length",
    "limit": "length",
    "token_limit": "length",
    "model_context_window_exceeded": "length",
    "context_length_exceeded": "length",
    "incomplete": "length",
    "truncated": "length",
    "tool_calls": "tool_calls",
    "tool_call": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "function_calls": "tool_calls",
    "content_filter": "content_filter",
    "recitation": "content_filter",
    "spii": "content_filter",
    "language": "content_filter",
    "refusal": "refusal",
    "refused": "refusal",
}
# Words of the same family: eos_token, stop_sequence, MAX_TOKENS, SAFETY, guardrail_intervened.
_FAMILIES: tuple[tuple[re.Pattern[str], FinishReason], ...] = (
    (re.compile(r"filter|safety|moderat|sensitiv|guardrail|blocklist|blocked|prohibit|toxic"),
     "content_filter"),
    (re.compile(r"refus"), "refusal"),
    (re.compile(r"error|fail|abort|cancel|resource|overload|timeout|time_limit|interrupt|network|malformed"),
     "interrupted"),
    (re.compile(r"max_.*(?:token|length)|(?:token|length)s?_limit|model_length|context_(?:window|length)"),
     "length"),
    (re.compile(r"^(?:eos|stop|end|complete|finish|done|normal)"), "stop"),
)  # fmt: skip
_NO_WORD = {"", "none", "null", "unknown", "unspecified", "finish_reason_unspecified", "not_set"}
FAILED = frozenset({"error", "abort", "failed", "error_finish"})
"""Finish reasons that report an error instead of an ending."""


def finish_reason(word: str) -> FinishReason:
    """Our word for a server's; ``interrupted`` for what no server uses for an answer's own end."""
    if (usual := _KNOWN.get(word)) is not None:
        return usual
    plain = normal(word)
    if plain in _NO_WORD:
        return "unknown"
    if (known_reason := _KNOWN.get(plain)) is not None:
        return known_reason
    for family, reason in _FAMILIES:
        if family.search(plain):
            return reason
    return "interrupted"


def normal(word: str) -> str:
    """A server's word in lower case, its parts joined by underscores."""
    if word in _KNOWN:
        return word
    return re.sub(r"[\s\-.]+", "_", word.strip()[:100].lower())
