"""Chat messages, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeGuard

from weaver._data.parts import AudioPart, FilePart, ImagePart, Part, TextPart, as_parts, text_of_parts

RoleName = Literal["system", "user", "assistant", "tool"]
Media = ImagePart | AudioPart | FilePart


def _no_data() -> dict[str, Any]:
    return {}  # called for each message: `dict[str, Any]()` takes several times as long


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
    provider_data: Mapping[str, Any] = field(default_factory=_no_data, hash=False)


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation.

    Args:
        role: who speaks.
        content: the text, or a list of parts (texts may stand in it as `str`); may be empty for an assistant
            message that only calls tools.
        tool_calls: calls that an assistant message asks for.
        tool_call_id: for role ``tool``: the call that this is the result of.
        provider_data: JSON fields of an assistant message that the provider wants back with it, as they came
            (the reasoning before a tool call, signed thinking blocks).
        untrusted: whether others may have written what is in it, or in what its author had read; None where
            nobody says: see `is_untrusted`.

    Raises:
        InvalidTaskError: the content is neither text nor parts.
    """

    role: RoleName
    content: str | Sequence[Part | str]
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    provider_data: Mapping[str, Any] = field(default_factory=_no_data, hash=False)
    untrusted: bool | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.content, str):
            object.__setattr__(self, "content", as_parts(self.content))

    @property
    def parts(self) -> tuple[Part, ...]:
        """The content as parts."""
        if isinstance(self.content, str):
            return (TextPart(self.content),) if self.content else ()
        return as_parts(self.content)

    @property
    def text(self) -> str:
        """The text of the content, with a mark such as ``[image 1]`` where another part stands."""
        return self.content if isinstance(self.content, str) else text_of_parts(as_parts(self.content))

    @property
    def media(self) -> tuple[Media, ...]:
        """The parts that are not text."""
        return () if isinstance(self.content, str) else tuple(filter(_is_media, as_parts(self.content)))

    @property
    def is_untrusted(self) -> bool:
        """True if it may carry instructions of others: where nobody says, tools' results and media may."""
        if self.untrusted is not None:
            return self.untrusted
        return self.role == "tool" or bool(self.media)

    def extended(self, text: str) -> Message:
        """The message with a paragraph after its content."""
        if isinstance(self.content, str):
            return replace(self, content=f"{self.content}\n\n{text}")
        return replace(self, content=(*self.content, TextPart(text)))

    def as_dict(self) -> dict[str, Any]:
        """A JSON object of OpenAI's shape, from which `weaver.conversation.message_from` makes it again."""
        fields: dict[str, Any] = {"role": self.role, "content": _content_of(self)}
        if self.tool_calls:
            fields["tool_calls"] = [_call_as_dict(call) for call in self.tool_calls]
        if self.tool_call_id is not None:
            fields["tool_call_id"] = self.tool_call_id
        if self.provider_data:
            fields["provider_data"] = dict(self.provider_data)
        if self.untrusted is not None:
            fields["untrusted"] = self.untrusted
        return fields


def _is_media(part: Part) -> TypeGuard[Media]:
    return not isinstance(part, TextPart)


def _call_as_dict(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    data = {"provider_data": dict(call.provider_data)} if call.provider_data else {}
    return {"id": call.id, "type": "function", "function": function, **data}


def _content_of(message: Message) -> Any:
    if isinstance(message.content, str):
        return message.content
    return [part_as_dict(part) for part in message.parts]


def part_as_dict(part: Part) -> dict[str, Any]:
    """The part in OpenAI's shape; bytes become base64."""
    match part:
        case TextPart(text):
            return {"type": "text", "text": text}
        case ImagePart():
            image = {"url": part.source} | ({"detail": part.detail} if part.detail else {})
            return {"type": "image_url", "image_url": image}
        case AudioPart():
            # The protocol takes bytes only; servers that take a URL take it in the same place.
            return {
                "type": "input_audio",
                "input_audio": {"data": part.base64 or part.url, "format": part.format or "wav"},
            }
        case FilePart():
            return {"type": "file", "file": {"filename": part.name, "file_data": part.source}}


def system(content: str) -> Message:
    """A system message."""
    return Message("system", content)


def user(content: str | Sequence[Part | str]) -> Message:
    """A user message."""
    return Message("user", content)


def assistant(content: str) -> Message:
    """An assistant message."""
    return Message("assistant", content)
