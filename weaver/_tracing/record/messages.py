"""Messages in the form of the GenAI conventions, as JSON text of bounded length."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from weaver._json_reading.json_types import Json

if TYPE_CHECKING:
    from weaver._data.messages import Message
    from weaver._models.protocol import Request
    from weaver._models.reply import Reply


CUT = "… [cut]"


def cut(text: str, limit: int) -> str:
    """``text``, or its beginning and a sign that more was there."""
    return text if len(text) <= limit else text[: max(limit - len(CUT), 0)] + CUT


def input_of(
    request: Request, redact: Callable[[str], str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The conventions' ``gen_ai.system_instructions`` and ``gen_ai.input.messages`` of a request."""
    if request.prompt is not None:
        return [], [{"role": "user", "parts": [_text(redact(request.prompt))]}]
    instructions = [_text(redact(described(m))) for m in request.messages if m.role == "system"]
    return instructions, [_message(m, redact) for m in request.messages if m.role != "system"]


def described(message: Message) -> str:
    """The text of a message; other parts by kind, type and size, never their bytes."""
    if isinstance(message.content, str):
        return message.content
    media = [f"[{part.description}]" for part in message.media]
    return "\n\n".join([message.text, *media])


def output_of(reply: Reply, redact: Callable[[str], str]) -> list[dict[str, Any]]:
    """The conventions' ``gen_ai.output.messages`` of a reply."""
    parts: list[dict[str, Any]] = []
    if reply.reasoning:
        parts.append({"type": "reasoning", "content": redact(reply.reasoning)})
    if reply.text:
        parts.append(_text(redact(reply.text)))
    if reply.refusal:
        parts.append(_text(redact(reply.refusal)))
    parts += [
        {"type": "tool_call", "id": c.id, "name": c.name, "arguments": redact(c.arguments)}
        for c in reply.tool_calls
    ]
    finish = "tool_call" if reply.finish == "tool_calls" else reply.finish or reply.state
    return [{"role": "assistant", "parts": parts, "finish_reason": finish}]


def as_attribute(messages: Sequence[dict[str, Any]], limit: int) -> tuple[str, bool]:
    """Messages as JSON of at most ``limit`` characters, and whether anything was cut.

    What is cut stays valid JSON: long texts lose their ends first, then the middle of the list goes.
    """
    whole = dumps(messages)
    if len(whole) <= limit:
        return whole, False
    share = limit
    while share > 40:
        share //= 2
        shorter = dumps([_shorten(m, share) for m in messages])
        if len(shorter) <= limit:
            return shorter, True
    first, last = _shorten(messages[0], 200), _shorten(messages[-1], 200)
    gap = {"role": "system", "parts": [_text(f"[{len(messages) - 2} messages left out]")]}
    rest = dumps([first, gap, last])
    return (rest, True) if len(rest) <= limit else (dumps([gap]), True)


def dumps(value: Any) -> str:
    """Compact JSON that every exporter can encode."""
    return storable(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def storable(text: str) -> str:
    """``text`` without lone surrogates, which no exporter could encode."""
    return text.encode("utf-8", "replace").decode()


def _text(content: str) -> dict[str, Any]:
    return {"type": "text", "content": content}


def _message(message: Message, redact: Callable[[str], str]) -> dict[str, Any]:
    if message.role == "tool":
        part = {
            "type": "tool_call_response",
            "id": message.tool_call_id or "",
            "response": redact(described(message)),
        }
        return {"role": "tool", "parts": [part]}
    parts = [_text(redact(described(message)))] if message.content else []
    parts += [
        {"type": "tool_call", "id": c.id, "name": c.name, "arguments": redact(c.arguments)}
        for c in message.tool_calls
    ]
    return {"role": message.role, "parts": parts}


def _shorten(value: Json, limit: int) -> Any:
    """The same structure with every string under ``content``, ``response`` or ``arguments`` cut."""
    if isinstance(value, dict):
        return {
            k: cut(v, limit)
            if k in ("content", "response", "arguments") and isinstance(v, str)
            else _shorten(v, limit)
            for k, v in value.items()
        }
    return [_shorten(v, limit) for v in value] if isinstance(value, list) else value
