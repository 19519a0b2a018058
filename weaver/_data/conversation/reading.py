"""Messages from data of OpenAI's shape."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from weaver._data.messages import Message, RoleName, ToolCall
from weaver._data.parts import AudioPart, FilePart, ImagePart, Part, TextPart
from weaver._json_reading.json_types import JsonLike, is_iterable, is_list_or_tuple, is_mapping
from weaver.errors import InvalidTaskError

_ROLES: dict[str, RoleName] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
_HINT = 'Use weaver.Message("user", "text"), or {"role": "user", "content": "text"}.'
RETURNED = (
    "reasoning_content", "reasoning", "reasoning_details", "thinking_blocks", "extra_content",
    "provider_specific_fields",
)  # fmt: skip
"""Fields of an assistant's message that its provider wants back."""


def messages_from(values: Iterable[Any], place: str = "messages") -> tuple[Message, ...]:
    """Messages of `Message` objects and of objects of OpenAI's shape.

    Args:
        place: what errors call the list.

    Raises:
        InvalidTaskError: naming the message that is wrong, and how.
    """
    if isinstance(values, str | bytes) or is_mapping(values) or not is_iterable(values):
        raise InvalidTaskError(f"{place} is a {type(values).__name__}, not a list of messages.", hint=_HINT)
    return tuple(message_from(value, f"{place}[{i}]") for i, value in enumerate(values))


def message_from(value: Any, place: str = "the message") -> Message:
    """One message, see `messages_from`. Objects of OpenAI's SDK are taken too.

    The roles ``developer`` and ``system`` are the same here. Paths and ``file:`` URLs are never read.

    Raises:
        InvalidTaskError: naming what is wrong.
    """
    if isinstance(value, Message):
        return value
    if hasattr(value, "model_dump"):
        value = value.model_dump(exclude_none=True)
    if not is_mapping(value):
        raise InvalidTaskError(f"{place} is a {type(value).__name__}, not a message.", hint=_HINT)
    role = value.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise InvalidTaskError(
            f"{place} has the role {str(role)[:40]!r}.", hint=f"Known roles: {', '.join(_ROLES)}."
        )
    calls = tuple(
        _call(call, f"{place}.tool_calls[{i}]") for i, call in enumerate(_list(value, "tool_calls", place))
    )
    call_id = value.get("tool_call_id")
    if role == "tool" and not isinstance(call_id, str):
        raise InvalidTaskError(f"{place} is a tool's result without tool_call_id.")
    if calls and role != "assistant":
        raise InvalidTaskError(f"{place} has tool_calls, and its role is {role}.")
    data: Any = value.get("provider_data") or {}
    if not is_mapping(data):
        raise InvalidTaskError(f"{place}.provider_data is a {type(data).__name__}, not an object.")
    if role == "assistant":
        data = {**data, **{name: value[name] for name in RETURNED if value.get(name)}}
    return Message(
        _ROLES[role],
        _content(value.get("content"), place, empty=bool(calls)),
        calls,
        call_id if role == "tool" else None,
        dict(data),
        flag if isinstance(flag := value.get("untrusted"), bool) else None,
    )


def _content(content: JsonLike, place: str, *, empty: bool) -> str | Sequence[Part]:
    if content is None:
        if empty:
            return ""
        raise InvalidTaskError(f"{place} has no content.", hint=_HINT)
    if isinstance(content, str):
        return content
    if not isinstance(content, list | tuple):
        raise InvalidTaskError(
            f"{place}.content is a {type(content).__name__}, not a text or a list of parts."
        )
    parts = [part_from(part, f"{place}.content[{i}]") for i, part in enumerate(content)]
    if all(isinstance(part, TextPart) for part in parts):
        return "\n\n".join(part.text for part in parts if isinstance(part, TextPart))
    return parts


def part_from(value: Any, place: str = "the part") -> Part:
    """One part of OpenAI's shape: ``text``, ``image_url``, ``input_audio`` or ``file``.

    Raises:
        InvalidTaskError: naming what is wrong.
    """
    if isinstance(value, TextPart | ImagePart | AudioPart | FilePart):
        return value
    if isinstance(value, str):
        return TextPart(value)
    if not is_mapping(value):
        raise InvalidTaskError(f"{place} is a {type(value).__name__}, not a part.")
    kind = value.get("type")
    match kind:
        case "text" | "input_text" | "output_text":
            return TextPart(_text(value, "text", place))
        case "refusal":
            return TextPart(_text(value, "refusal", place))
        case "image_url" | "input_image":
            image: Any = value.get("image_url")
            detail = (image if is_mapping(image) else value).get("detail")
            if is_mapping(image):
                image = image.get("url")
            if not isinstance(image, str):
                raise InvalidTaskError(f"{place} has no image_url.")
            return ImagePart(url=image, detail=detail if detail in ("low", "high", "auto") else "")
        case "input_audio":
            sound = value.get("input_audio")
            data = sound.get("data") if is_mapping(sound) else None
            if not isinstance(data, str) or not is_mapping(sound):
                raise InvalidTaskError(f"{place} has no input_audio.data.")
            if "://" in data[:20]:
                return AudioPart(url=data)
            subtypes = {"mp3": "mpeg", "": "wav"}
            form = str(sound.get("format") or "")[:20]
            return AudioPart(url=f"data:audio/{subtypes.get(form, form)};base64,{data}")
        case "file" | "input_file":
            inner = value.get("file")
            about: Mapping[str, Any] = inner if is_mapping(inner) else value
            source = about.get("file_data") or about.get("file_url")
            if not isinstance(source, str):
                raise InvalidTaskError(f"{place} has no file.file_data.")
            return FilePart(url=source, name=str(about.get("filename") or "file")[:200])
        case _:
            raise InvalidTaskError(
                f"{place} has the type {str(kind)[:40]!r}.", hint="Known: text, image_url, input_audio, file."
            )


def _call(value: Any, place: str) -> ToolCall:
    if isinstance(value, ToolCall):
        return value
    function = value.get("function") if is_mapping(value) else None
    if not is_mapping(value) or not is_mapping(function):
        raise InvalidTaskError(f"{place} has no function.")
    arguments = function.get("arguments")
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments if arguments is not None else {}, default=str)
    data = value.get("provider_data")
    return ToolCall(
        _text(value, "id", place),
        _text(function, "name", place),
        arguments,
        dict(data) if is_mapping(data) else {},
    )


def _text(value: Mapping[str, Any], key: str, place: str) -> str:
    text = value.get(key)
    if not isinstance(text, str):
        raise InvalidTaskError(f"{place}.{key} is {'missing' if text is None else 'not a text'}.")
    return text


def _list(value: Mapping[str, Any], key: str, place: str) -> Sequence[Any]:
    items = value.get(key) or ()
    if not is_list_or_tuple(items):
        raise InvalidTaskError(f"{place}.{key} is a {type(items).__name__}, not a list.")
    return items
