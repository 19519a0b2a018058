"""Estimates of the tokens of messages."""

from __future__ import annotations

from collections.abc import Sequence

from weaver._data.messages import Message
from weaver._data.usage import estimate_tokens


def message_tokens(message: Message) -> int:
    """An estimate of the tokens of a message, its other parts and tool calls included."""
    tokens = 4 + estimate_tokens(message.text)
    if not isinstance(message.content, str):
        tokens += sum(part.tokens for part in message.media)
    for call in message.tool_calls:
        tokens += estimate_tokens(call.arguments) + 4
    return tokens


def conversation_tokens(messages: Sequence[Message]) -> int:
    """An estimate of the tokens of all messages."""
    return sum(map(message_tokens, messages))
