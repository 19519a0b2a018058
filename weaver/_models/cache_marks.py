"""Marks for providers that cache a prompt only as far as it is marked (Anthropic's ``cache_control``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weaver._data.usage import estimate_tokens
from weaver._json_reading.json_types import is_array

LEAST_TOKENS = 1024
"""Shorter beginnings are not cached by any provider."""


def takes_marks(name: str) -> bool:
    """Return True if a model, by its name, reads ``cache_control``: Claude, wherever it is hosted."""
    return name.startswith("anthropic/") or "claude" in name.lower()


def marked(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a chat request with a mark at the end of what its siblings share.

    That is the last message but one; without one, the only message. Nothing is marked under 1,024 tokens.
    """
    messages = fields.get("messages")
    if not is_array(messages) or not messages:
        return dict(fields)
    at = max(0, len(messages) - 2)
    tokens = sum(
        estimate_tokens(m["content"]) for m in messages[: at + 1] if isinstance(m.get("content"), str)
    )
    content = messages[at].get("content")
    if tokens < LEAST_TOKENS or not isinstance(content, str) or not content:
        return dict(fields)
    block = {"type": "text", "text": content, "cache_control": {"type": "ephemeral"}}
    new = [*messages[:at], {**messages[at], "content": [block]}, *messages[at + 1 :]]
    return {**fields, "messages": new}
