"""Chat messages, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

RoleName = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A model's wish to call a tool.

    Args:
        id: tells this call apart from the others of its message.
        name: of the tool.
        arguments: the JSON text as the model wrote it.
        provider_data: JSON fields that the provider wants back with the call, as they came (signatures of
            thoughts, marks for caches).
    """

    id: str
    name: str
    arguments: str
    provider_data: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation.

    Args:
        role: who speaks.
        content: the text; may be empty for an assistant message that only calls tools.
        tool_calls: calls that an assistant message asks for.
        tool_call_id: for role ``tool``: the call that this is the result of.
        provider_data: JSON fields of an assistant message that the provider wants back with it, as they came
            (the reasoning before a tool call, signed thinking blocks).
    """

    role: RoleName
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    provider_data: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def text(self) -> str:
        """The text of the content."""
        return self.content


def system(content: str) -> Message:
    """A system message."""
    return Message("system", content)


def user(content: str) -> Message:
    """A user message."""
    return Message("user", content)


def assistant(content: str) -> Message:
    """An assistant message."""
    return Message("assistant", content)
