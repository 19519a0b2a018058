"""Responses: from the body of a request to an `Inquiry`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weaver._data.messages import Message, ToolCall, system
from weaver._models.protocol import OutputSchema, ToolSpec
from weaver._serving.chat.request import (
    MOST_MESSAGES,
    MOST_TOOLS,
    content_of,
    output_schema,
    sampling_of,
    tool_choice,
    tool_spec,
)
from weaver._serving.http.fields import Fields
from weaver._serving.work.history import without_reasoning
from weaver._serving.work.inquiry import EFFORTS, Inquiry, extras_from

_ROLES = ("system", "developer", "user", "assistant")


def inquiry_of(body: Fields, headers: Mapping[str, str], earlier: tuple[Message, ...]) -> Inquiry:
    """Read what a request asks. Unknown fields are ignored.

    Args:
        earlier: the conversation that ``previous_response_id`` names.

    Raises:
        ApiError: a field is wrong, or asks for what cannot be done.
    """
    for name in ("conversation", "prompt"):
        if body.has(name):
            raise body.error(name, "is not supported: send input, or previous_response_id")
    tools = tuple(_tool(tool) for tool in body.objects("tools", MOST_TOOLS))
    output, json_object = _text_format(body)
    reasoning = body.object("reasoning")
    effort = reasoning.choice("effort", tuple(EFFORTS)) if reasoning is not None else None
    instructions = (system(body.text("instructions")),) if body.has("instructions") else ()
    extra = {"parallel_tool_calls": False} if tools and body.any("parallel_tool_calls") is False else {}
    return Inquiry(
        model=body.required_text("model"),
        messages=(*instructions, *earlier, *input_messages(body)),
        stream=body.flag("stream"),
        sampling=sampling_of(body, body.count("max_output_tokens", 1, 10**9), effort=effort),
        tools=tools,
        tool_choice=tool_choice(body, tools),
        output=output,
        json_object=json_object,
        extra=extra,
        extras=extras_from(body, headers),
        not_followed=("top_p",) if body.any("top_p") not in (None, 1) else (),
    )


def input_messages(body: Fields) -> tuple[Message, ...]:
    """The messages in ``input``: a text, or items.

    Raises:
        ApiError: there is nothing to answer, or an item is unknown.
    """
    if isinstance(body.any("input"), str):
        return (Message("user", body.required_text("input")),)
    messages: list[Message] = []
    for item in body.objects("input", MOST_MESSAGES):
        _add(messages, item)
    if not messages:
        raise body.error("input", "is required")
    return tuple(messages)


def _add(messages: list[Message], item: Fields) -> None:
    kind = item.text("type", "message")
    if kind == "message":
        role: Any = item.choice("role", _ROLES)
        if role is None:
            raise item.error("role", "is required")
        content = content_of(item, "content")
        if role == "assistant" and isinstance(content, str):
            content = without_reasoning(content)
        messages.append(Message("system" if role == "developer" else role, content))
    elif kind == "function_call":
        call = ToolCall(
            item.required_text("call_id"), item.required_text("name"), item.text("arguments", "{}")
        )
        last = messages[-1] if messages else None
        if last is not None and last.role == "assistant":  # calls stand in the message before them
            messages[-1] = Message("assistant", last.content, (*last.tool_calls, call))
        else:
            messages.append(Message("assistant", "", (call,)))
    elif kind == "function_call_output":
        content = content_of(item, "output")
        messages.append(Message("tool", content, tool_call_id=item.required_text("call_id")))
    elif kind != "reasoning":
        raise item.error("type", f"{kind[:40]!r} is not supported")


def _tool(tool: Fields) -> ToolSpec:
    if (kind := tool.text("type", "function")) != "function":
        raise tool.error("type", f"{kind[:40]!r} is not supported: only functions are")
    return tool_spec(tool)


def _text_format(body: Fields) -> tuple[OutputSchema | None, bool]:
    text = body.object("text")
    form = text.object("format") if text is not None else None
    if form is None:
        return None, False
    kind = form.choice("type", ("text", "json_object", "json_schema"))
    return (output_schema(form), False) if kind == "json_schema" else (None, kind == "json_object")
