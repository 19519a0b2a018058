"""Chat messages, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

RoleName = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A model's wish to call a tool. ``arguments`` is the JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation.

    Args:
        role: who speaks.
        content: the text; may be empty for an assistant message that only calls tools.
        tool_calls: calls that an assistant message asks for.
        tool_call_id: for role ``tool``: the call that this is the result of.
    """

    role: RoleName
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None


def system(content: str) -> Message:
    """A system message."""
    return Message("system", content)


def user(content: str) -> Message:
    """A user message."""
    return Message("user", content)


def assistant(content: str) -> Message:
    """An assistant message."""
    return Message("assistant", content)
